"""The numbers, from one registry: the home page, `GET /api/v1/metrics/summary/` and Prometheus read the same.

What is open is counted over open rows; what is past comes from the hours of tasks_app/hours.py. So nothing here
costs more with the number of closed tasks. `notifications` registers its own figures in `AppConfig.ready`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Min, Q

from core import clock
from tasks_app import counts, hours
from tasks_app.models import HumanTask, SummaryHead
from tasks_app.models.task import NEVER
from tasks_app.states import WAITING, Status

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


def summary(now: datetime | None = None, *, period: timedelta = PERIOD, people: Q | None = None) -> dict[str, Any]:
    """The figures for people: what is open now, and the last `period`. `people`: whose decisions are told.

    The cost is that of the hours and of the figures' few dimensions, and of the open rows.
    """
    moment = now or clock.now()
    return {**_own(moment, period, people), "outgoing": _of_others(moment)}


def _own(moment: datetime, period: timedelta, people: Q | None = None) -> dict[str, Any]:
    return {
        "at": moment,
        "period_hours": period.total_seconds() / 3600,
        "open": _open(moment),
        **hours.of_period(moment, period, people),
        "seconds_since_sweep": age_of_sweep(moment),
    }


def _of_others(now: datetime) -> dict[str, float]:
    """The single figures that other apps registered: what waits on its way out, and for how long."""
    others = (collector(now) for collector in _collectors if collector is not task_metrics)
    return {m.name: m.samples[0].value for found in others for m in found if [s.labels for s in m.samples] == [{}]}


def _open(now: datetime) -> dict[str, Any]:
    """What is open now, counted again when something happened or a deadline passed (tasks_app/counts.py)."""
    counted = counts.remembered("figures", now, lambda: _count_open(now))
    oldest = counted["oldest"]
    return {
        "total": counted["total"],
        "overdue": counted["overdue"],
        "by_type": counted["by_type"],
        "oldest_unassigned_seconds": None if oldest is None else (now - oldest).total_seconds(),
    }


def _count_open(now: datetime) -> tuple[dict[str, Any], datetime]:
    """One pass over the open rows; and until when that holds."""
    rows: Any = HumanTask.objects.open().order_by().values_list("task_type", "status")
    rows = rows.annotate(
        number=Count("pk"),
        late=Count("pk", filter=Q(due_by__lt=now)),
        first=Min("created_at"),
        next_due=Min("due_by", filter=Q(due_by__gte=now)),
    )
    by_type: dict[str, dict[str, int]] = {}
    total = overdue = 0
    oldest: datetime | None = None
    until = NEVER
    for task_type, status, number, late, first, next_due in rows:
        by_type.setdefault(task_type, {})[str(status)] = number
        total, overdue, until = total + number, overdue + late, min(until, next_due or NEVER)
        if status in WAITING:
            oldest = first if oldest is None else min(oldest, first)
    return {"total": total, "overdue": overdue, "oldest": oldest, "by_type": by_type}, until


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
    figures = _own(now, timedelta(hours=24))
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
        # None of a type that had none opened, while some may well have been escalated: 0 would say that all is well.
        ("escalation_ratio_24h", "escalation_rate", "Escalated tasks to those opened in the last 24 hours, by type."),
    ):
        samples = [Sample(t[key], {"task_type": kind}) for kind, t in types.items() if t[key] is not None]
        yield Metric(name, text, samples)
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
