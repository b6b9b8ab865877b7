"""The numbers, from one registry: the home page, `GET /api/v1/metrics/summary/` and Prometheus read the same.

What is open is counted over open rows; what is past comes from the hours of tasks_app/summaries.py. So nothing here
costs more with the number of closed tasks. `notifications` registers its own figures in `AppConfig.ready`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import add
from typing import Any, Final

from django.db.models import Count, Min, Q, QuerySet, Sum

from core import clock
from tasks_app.models import HourSummary, HumanTask, SummaryHead
from tasks_app.sla.clock import Kind
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


def summary(now: datetime | None = None, *, period: timedelta = PERIOD, people: Q | None = None) -> dict[str, Any]:
    """The figures for people: what is open now, and the last `period`. `people`: whose decisions are told.

    Added up by the database: the cost is that of the hours and of the figures' few dimensions.
    """
    moment = now or clock.now()
    past = HourSummary.objects.filter(hour__gt=moment - period)
    of = _Sums(past)
    answer: dict[str, Any] = {
        "at": moment,
        "period_hours": period.total_seconds() / 3600,
        "open": _open(moment),
        "types": {
            task_type: {
                "created": of.number("created", task_type),
                "resolved": of.number("ended", task_type),
                "escalation_rate": _rate(of.number("escalated", task_type), of.number("created", task_type)),
                "seconds_to_assignment": _told(of.times("assigned", task_type)),
                "seconds_of_work": _told(of.times("worked", task_type)),
                "seconds_to_resolution": _told(of.times("ended", task_type)),
            }
            for task_type in of.named("created", "assigned", "ended", "escalated")
        },
        "policies": {
            policy or "default": {
                "resolved": of.number("promised", policy),
                "breach_rate": _rate(of.missed("promised", policy), of.number("promised", policy)),
                "clocks": {
                    str(kind): _rate(of.missed(f"clock_{kind}", policy), of.number(f"clock_{kind}", policy))
                    for kind in Kind
                },
            }
            for policy in of.named("promised")
        },
        "operations": _operations(past),
        "hours": _by_hour(past),
        "seconds_since_sweep": age_of_sweep(moment),
    }
    if people is not None:
        decided = past.filter(people, what="decided").order_by("person").values_list("person")
        answer["decisions"] = dict(decided.annotate(n=Sum("number")))
    return answer


# The one dimension by which each figure is told.
_BY_POLICY: Final = ("promised", *(f"clock_{kind}" for kind in Kind))
_BY_TYPE: Final = ("created", "assigned", "worked", "ended", "escalated")


class _Sums:
    """Sums over the hours of a period, by figure and dimension: three queries."""

    def __init__(self, past: QuerySet[HourSummary]) -> None:
        self._sums: dict[tuple[str, str], tuple[int, int]] = {}
        for names, by in ((_BY_TYPE, "task_type"), (_BY_POLICY, "policy")):
            added = past.filter(what__in=names).values_list("what", by).annotate(Sum("number"), Sum("missed"))
            self._sums |= {(what, value): (number, missed) for what, value, number, missed in added}
        self._times: dict[tuple[str, str], Times] = {}
        timed = past.filter(what__in=("assigned", "worked", "ended")).exclude(buckets=[])
        for what, task_type, seconds, buckets in timed.values_list("what", "task_type", "seconds", "buckets"):
            known = self._times.get((what, task_type))
            self._times[what, task_type] = (
                Times(0, seconds, buckets)
                if known is None
                else Times(0, known.seconds + seconds, list(map(add, known.buckets, buckets)))
            )

    def named(self, *whats: str) -> list[str]:
        return sorted({value for what, value in self._sums if what in whats})

    def number(self, what: str, value: str) -> int:
        return self._sums.get((what, value), (0, 0))[0]

    def missed(self, what: str, value: str) -> int:
        return self._sums.get((what, value), (0, 0))[1]

    def times(self, what: str, value: str) -> Times:
        return self._times.get((what, value), Times(0, 0.0, ()))


def _operations(past: QuerySet[HourSummary]) -> list[dict[str, Any]]:
    """How tasks ended, by adapter and operation."""
    ended: dict[tuple[str, str], dict[str, int]] = {}
    rows = past.filter(what__startswith="ended_").values_list("adapter_name", "operation", "what")
    for adapter, operation, what, number in rows.annotate(n=Sum("number")):
        ended.setdefault((adapter, operation), {})[what.removeprefix("ended_")] = number
    return [
        {
            "adapter_name": adapter,
            "operation": operation,
            "resolved": sum(numbers.values()),
            "failure_rate": _rate(numbers.get("cannot_complete", 0), sum(numbers.values())),
            "rejection_rate": _rate(numbers.get("rejected", 0), sum(numbers.values())),
        }
        for (adapter, operation), numbers in sorted(ended.items())
    ]


def _by_hour(past: QuerySet[HourSummary]) -> list[dict[str, Any]]:
    """Created against resolved."""
    hours: dict[datetime, dict[str, int]] = {}
    rows = past.filter(what__in=("created", "ended")).order_by("hour").values_list("hour", "what")
    for hour, what, number in rows.annotate(n=Sum("number")):
        hours.setdefault(hour, {})[what] = number
    return [
        {"hour": hour, "created": numbers.get("created", 0), "resolved": numbers.get("ended", 0)}
        for hour, numbers in hours.items()
    ]


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
        ("work_seconds_24h", "seconds_of_work"),
        ("resolution_seconds_24h", "seconds_to_resolution"),
    ):
        yield Metric(
            name,
            f"{key.replace('_', ' ').capitalize()} in the last 24 hours, by type.",
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
    yield Metric(
        "clock_breach_ratio_24h",
        "The same for each of the three clocks of a policy.",
        [
            Sample(rate, {"policy": name, "clock": kind})
            for name, p in figures["policies"].items()
            for kind, rate in p["clocks"].items()
            if rate is not None
        ],
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
