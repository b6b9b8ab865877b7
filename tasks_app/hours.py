"""What the hours of tasks_app/summaries.py say of a period: added up once, remembered until the roll-up adds to them.

A week is thousands of rows, each with its durations in ninety buckets: adding them up took longer than the page around
it. They change only together with the place up to which the feed is summed (`SummaryHead.position`), so that a sum
holds while that is the same and the period begins with the same hour.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import add
from typing import Any, Final, TypeVar

import orjson
from django.conf import settings
from django.db.models import Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast

from tasks_app import summaries
from tasks_app.models import HourSummary, SummaryHead
from tasks_app.sla.clock import Kind

T = TypeVar("T")

MOST_KEPT: Final = 200
HOUR: Final = timedelta(hours=1)

_kept: dict[Hashable, tuple[int, Any]] = {}


def remembered(key: Hashable, summed: Callable[[], T]) -> T:
    """`summed()`, which reads the hours that `key` names; never older than the last roll-up.

    The place is read before the hours: what came between is summed again at the next question. Nothing is remembered
    where HITL_LOOKUP_SECONDS is 0.
    """
    if not settings.HITL_LOOKUP_SECONDS:
        return summed()
    position = SummaryHead.objects.values_list("position", flat=True).filter(pk=1).first() or 0
    kept = _kept.get(key)
    if kept is None or kept[0] != position:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        kept = _kept[key] = (position, summed())
    found: T = kept[1]
    return found


def forget() -> None:
    """Add up anew: for tests."""
    _kept.clear()


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

    @property
    def median(self) -> float | None:
        return summaries.median(list(enumerate(self.buckets)))

    @property
    def p90(self) -> float | None:
        return summaries.p90(list(enumerate(self.buckets)))


def times_by(hours: "QuerySet[HourSummary]", *names: str) -> dict[tuple[Any, ...], Times]:
    """The durations of these hours, added up by the columns `names`."""
    found: dict[tuple[Any, ...], Times] = {}
    # As text: Django would read each row's JSON by the slower of the parsers.
    timed = hours.exclude(buckets=[]).annotate(counted=Cast("buckets", TextField()))
    for *key, number, seconds, counted in timed.values_list(*names, "number", "seconds", "counted"):
        buckets, known = orjson.loads(counted), found.get(tuple(key))
        if known is not None:
            number, seconds = number + known.number, seconds + known.seconds
            buckets = list(map(add, known.buckets, buckets))
        found[tuple(key)] = Times(number, seconds, buckets)
    return found


def of_period(now: datetime, period: timedelta, people: Q | None) -> dict[str, Any]:
    """The figures of the hours that began within `period`; `people`: whose decisions are told."""
    # The hours after `now - period` are the same until that moment passes the next full hour.
    first = (now - period).replace(minute=0, second=0, microsecond=0)
    return remembered(("period", first, period, people), lambda: _of_hours(first, people))


def _of_hours(first: datetime, people: Q | None) -> dict[str, Any]:
    past = HourSummary.objects.filter(hour__gt=first)
    of = _Sums(past)
    answer: dict[str, Any] = {
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
        "operations": of.operations(),
        "hours": _by_hour(past),
    }
    if people is not None:
        decided = past.filter(people, what="decided").order_by("person").values_list("person")
        answer["decisions"] = dict(decided.annotate(n=Sum("number")))
    return answer


@dataclass(frozen=True)
class _Sum:
    """One figure of a period, by the dimensions that it has."""

    what: str
    task_type: str
    policy: str
    adapter_name: str
    operation: str
    number: int
    missed: int


class _Sums:
    """Sums over the hours of a period, by figure and dimension: two queries."""

    def __init__(self, past: "QuerySet[HourSummary]") -> None:
        by = ("what", "task_type", "policy", "adapter_name", "operation")
        added = past.exclude(what="decided").values_list(*by).annotate(Sum("number"), Sum("missed"))
        self.all = [_Sum(*row) for row in added]
        # Each of those that are asked for by name has one dimension: type or policy.
        self._sums = {(one.what, one.task_type or one.policy): one for one in self.all}
        self._times = times_by(past.filter(what__in=("assigned", "worked", "ended")), "what", "task_type")

    def named(self, *whats: str) -> list[str]:
        return sorted({one.task_type or one.policy for one in self.all if one.what in whats})

    def number(self, what: str, value: str) -> int:
        found = self._sums.get((what, value))
        return found.number if found else 0

    def missed(self, what: str, value: str) -> int:
        found = self._sums.get((what, value))
        return found.missed if found else 0

    def times(self, what: str, value: str) -> Times:
        return self._times.get((what, value), Times(0, 0.0, ()))

    def operations(self) -> list[dict[str, Any]]:
        """How tasks ended, by adapter and operation."""
        ended: dict[tuple[str, str], dict[str, int]] = {}
        for one in self.all:
            if one.what.startswith("ended_"):
                numbers = ended.setdefault((one.adapter_name, one.operation), {})
                numbers[one.what.removeprefix("ended_")] = one.number
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


def _by_hour(past: "QuerySet[HourSummary]") -> list[dict[str, Any]]:
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
    figures = {"mean": times.mean, "median": times.median, "p90": times.p90}
    return {name: None if value is None else round(value, 1) for name, value in figures.items()}


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
