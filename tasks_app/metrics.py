"""The numbers, from one registry: the home page, `GET /api/v1/metrics/summary/` and Prometheus read the same.

What is open is counted over open rows; what is past comes from the hours of tasks_app/summaries.py. So nothing here
costs more with the number of closed tasks. `notifications` registers its own figures in `AppConfig.ready`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Min, Q

from core import clock
from tasks_app.models import HourSummary, HumanTask, SummaryHead
from tasks_app.states import WAITING, Status
from tasks_app.summaries import BOUNDS

PERIOD: Final = timedelta(days=7)
SILENT_AFTER: Final = timedelta(minutes=2)
"""Sweeps come every few seconds: after this long without one, beat or the worker is gone."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value with its labels."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure: its Prometheus name (without `hitl_`), what it says, and its samples now."""

    name: str
    help: str
    samples: Sequence[Sample]


Collector = Callable[[datetime], Iterable[Metric]]

_collectors: list[Collector] = []


def register(collector: Collector) -> None:
    """Add figures; each collector is asked at every scrape, so it costs a few indexed queries at most."""
    if collector not in _collectors:
        _collectors.append(collector)


def collect(now: datetime | None = None) -> list[Metric]:
    """Every figure, in the order of registration."""
    moment = now or clock.now()
    return [metric for collector in _collectors for metric in collector(moment)]


@dataclass(frozen=True)
class Times:
    """Durations of a period, from buckets: the percentiles are told to within a fifth."""

    number: int
    seconds: float
    buckets: Sequence[int]

    @property
    def mean(self) -> float | None:
        counted = sum(self.buckets)
        return self.seconds / counted if counted else None

    def percentile(self, share: float) -> float | None:
        """The middle of the bucket in which that share is reached."""
        wanted, seen = share * sum(self.buckets), 0
        if not wanted:
            return None
        for place, number in enumerate(self.buckets):
            seen += number
            if seen >= wanted:
                upper = BOUNDS[min(place, len(BOUNDS) - 1)]
                lower = BOUNDS[place - 1] if place else 0.0
                return (lower + upper) / 2
        return BOUNDS[-1]


def summary(now: datetime | None = None, *, period: timedelta = PERIOD, people: bool = False) -> dict[str, Any]:
    """The figures for people: what is open now, and the last `period`. `people`: decisions by person, for leads."""
    moment = now or clock.now()
    is_open = _open(moment)
    rows = list(HourSummary.objects.filter(hour__gt=moment - period))
    of = _Hours(rows)
    answer: dict[str, Any] = {
        "at": moment,
        "period_hours": period.total_seconds() / 3600,
        "open": is_open,
        "types": {
            task_type: {
                "created": of.number("created", task_type=task_type),
                "resolved": of.number("ended", task_type=task_type),
                "escalation_rate": _rate(
                    of.number("escalated", task_type=task_type), of.number("created", task_type=task_type)
                ),
                "seconds_to_assignment": _told(of.times("assigned", task_type=task_type)),
                "seconds_to_resolution": _told(of.times("ended", task_type=task_type)),
            }
            for task_type in sorted({row.task_type for row in rows})
        },
        "policies": {
            policy or "default": {
                "resolved": of.number("ended", policy=policy),
                "breach_rate": _rate(of.missed("ended", policy=policy), of.number("ended", policy=policy)),
            }
            for policy in sorted({row.policy for row in rows if row.what == "ended"})
        },
        "operations": [
            {
                "adapter_name": adapter,
                "operation": operation,
                "resolved": total,
                "failure_rate": _rate(of.number("ended_cannot_complete", **names), total),
                "rejection_rate": _rate(of.number("ended_rejected", **names), total),
            }
            for adapter, operation in sorted(
                {(row.adapter_name, row.operation) for row in rows if row.what.startswith("ended_")}
            )
            for names in [{"adapter_name": adapter, "operation": operation}]
            for total in [of.number("ended_", prefix=True, **names)]
        ],
        "hours": [
            {"hour": hour, "created": of.number("created", hour=hour), "resolved": of.number("ended", hour=hour)}
            for hour in sorted({row.hour for row in rows})
        ],
        "seconds_since_sweep": age_of_sweep(moment),
    }
    if people:
        answer["decisions"] = {
            person: of.number("decided", person=person)
            for person in sorted({row.person for row in rows if row.what == "decided"})
        }
    return answer


class _Hours:
    """Sums over the hours of a period, by dimension."""

    def __init__(self, rows: Sequence[HourSummary]) -> None:
        self._rows = rows

    def _of(self, what: str, *, prefix: bool = False, **values: Any) -> list[HourSummary]:
        return [
            row
            for row in self._rows
            if (row.what.startswith(what) if prefix else row.what == what)
            and all(getattr(row, name) == value for name, value in values.items())
        ]

    def number(self, what: str, **values: Any) -> int:
        return sum(row.number for row in self._of(what, **values))

    def missed(self, what: str, **values: Any) -> int:
        return sum(row.missed for row in self._of(what, **values))

    def times(self, what: str, **values: Any) -> Times:
        rows = self._of(what, **values)
        buckets = [sum(numbers) for numbers in zip(*(row.buckets for row in rows if row.buckets), strict=True)]
        return Times(sum(row.number for row in rows), sum(row.seconds for row in rows), buckets)


def _told(times: Times) -> dict[str, float | None]:
    figures = {"mean": times.mean, "median": times.percentile(0.5), "p90": times.percentile(0.9)}
    return {name: None if value is None else round(value, 1) for name, value in figures.items()}


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _open(now: datetime) -> dict[str, Any]:
    """One pass over the open rows."""
    rows = HumanTask.objects.open().order_by().values("task_type", "status").annotate(n=Count("pk"))
    by_type: dict[str, dict[str, int]] = {}
    for row in rows:
        by_type.setdefault(row["task_type"], {})[str(row["status"])] = row["n"]
    totals = HumanTask.objects.open().aggregate(
        total=Count("pk"),
        overdue=Count("pk", filter=Q(due_by__lt=now)),
        oldest=Min("created_at", filter=Q(status__in=sorted(WAITING))),
    )
    oldest = totals.pop("oldest")
    return {
        **totals,
        "by_type": by_type,
        "oldest_unassigned_seconds": None if oldest is None else (now - oldest).total_seconds(),
    }


def age_of_sweep(now: datetime) -> float | None:
    """Seconds since timers were last swept: whether beat and worker live. None: never yet."""
    swept = SummaryHead.objects.values_list("swept_at", flat=True).filter(pk=1).first()
    return None if swept is None else (now - swept).total_seconds()


def silent_for(now: datetime) -> timedelta | None:
    """For how long timers should have been swept and were not; None while all is well.

    Asked of the database, not of a job: a dead beat tells nobody. Before the first sweep, what counts is a timer that
    is due.
    """
    age = age_of_sweep(now)
    if age is None:
        due = HumanTask.objects.open().filter(next_timer_at__lt=now - SILENT_AFTER).order_by("next_timer_at")
        first = due.values_list("next_timer_at", flat=True).first()
        return None if first is None else now - first
    return timedelta(seconds=age) if age > SILENT_AFTER.total_seconds() else None


def note_sweep(now: datetime) -> None:
    """Called by the sweep's job, each time it ran."""
    if not SummaryHead.objects.filter(pk=1).update(swept_at=now):
        SummaryHead.objects.get_or_create(pk=1, defaults={"swept_at": now})


def task_metrics(now: datetime) -> Iterable[Metric]:
    """The domain's own figures for Prometheus."""
    figures = summary(now, period=timedelta(hours=24))
    is_open, types = figures["open"], figures["types"]
    yield Metric(
        "open_tasks",
        "Open tasks by type and status.",
        [
            Sample(number, {"task_type": task_type, "status": status})
            for task_type, statuses in is_open["by_type"].items()
            for status, number in statuses.items()
            if status in Status.values
        ],
    )
    yield Metric("overdue_tasks", "Open tasks past their deadline.", [Sample(is_open["overdue"])])
    yield Metric(
        "oldest_unassigned_seconds",
        "Age of the oldest task that nobody has; 0 where there is none.",
        [Sample(is_open["oldest_unassigned_seconds"] or 0)],
    )
    for name, key, text in (
        ("created_tasks_24h", "created", "Tasks opened in the last 24 hours, by type."),
        ("resolved_tasks_24h", "resolved", "Tasks ended in the last 24 hours, by type."),
        ("escalation_ratio_24h", "escalation_rate", "Escalated tasks to those opened in the last 24 hours, by type."),
    ):
        yield Metric(name, text, [Sample(t[key] or 0, {"task_type": kind}) for kind, t in types.items()])
    for name, key in (
        ("assignment_seconds_24h", "seconds_to_assignment"),
        ("resolution_seconds_24h", "seconds_to_resolution"),
    ):
        yield Metric(
            name,
            f"{'Time to assignment' if 'assign' in name else 'Time to the end'} in the last 24 hours, by type.",
            [
                Sample(value, {"task_type": kind, "stat": stat})
                for kind, t in types.items()
                for stat, value in t[key].items()
                if value is not None
            ],
        )
    yield Metric(
        "breach_ratio_24h",
        "Tasks ended after their deadline to all that ended in the last 24 hours, by policy.",
        [Sample(p["breach_rate"] or 0, {"policy": name}) for name, p in figures["policies"].items()],
    )
    for name, key in (("failure_ratio_24h", "failure_rate"), ("rejection_ratio_24h", "rejection_rate")):
        yield Metric(
            name,
            f"Share of tasks ended as {'cannot complete' if 'failure' in name else 'rejected'} in the last 24 hours.",
            [
                Sample(row[key] or 0, {"adapter": row["adapter_name"], "operation": row["operation"]})
                for row in figures["operations"]
            ],
        )
    if figures["seconds_since_sweep"] is not None:
        yield Metric("sweep_age_seconds", "Since timers were last swept.", [Sample(figures["seconds_since_sweep"])])


register(task_metrics)
