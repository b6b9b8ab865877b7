"""Rolling figures: a job reads the feed of events from where it stopped and adds to small rows of sums.

Not in the transaction of the event itself: there, every decision of an hour would wait for the same few rows. Each
event counts once, since place and rows are written together under one lock; the figures lag by a sweep (seconds).

`HourSummary` has a row an hour and figure, for the metrics; `Quarter` a row a quarter of an hour, figure, type, team,
principal and adapter, for the reports.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Final

import orjson
from django.db import models, transaction

from core.bulk import update_many
from tasks_app.models import EventOutbox, HourSummary, HumanTask, Quarter, SummaryHead, TaskEvent, User
from tasks_app.sla import policies
from tasks_app.sla.clock import Kind, Policy, targets
from tasks_app.states import OUTCOMES, EventType

BATCH: Final = 1_000
# Upper bounds in seconds: a fifth apart, from a second to about 100 days, so that a percentile is told to within 20 %.
BOUNDS: Final = tuple(round(1.2**power, 3) for power in range(89))
# Why a deadline was missed: the longest of the parts of the time from opening to the end (docs/sla.md).
CAUSES: Final = ("waited", "worked", "held", "routed")

Snapshot = Mapping[str, Any]
# The columns of a row but its time and sums, by name.
Key = tuple[tuple[str, str], ...]


@dataclass
class Count:
    """What one row gains."""

    number: int = 0
    missed: int = 0
    seconds: float = 0.0
    buckets: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, seconds: float | None = None, *, missed: bool = False) -> None:
        self.number += 1
        self.missed += missed
        if seconds is not None:
            self.seconds += max(0.0, seconds)
            self.buckets[min(bisect_left(BOUNDS, max(0.0, seconds)), len(BOUNDS))] += 1


@dataclass
class Durations:
    """Durations added up, by buckets: the percentiles are told to within a fifth."""

    seconds: float = 0.0
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, seconds: float, buckets: Mapping[str, int]) -> None:
        self.seconds += seconds
        for place, number in buckets.items():
            self.buckets[int(place)] = self.buckets.get(int(place), 0) + number

    @property
    def number(self) -> int:
        return sum(self.buckets.values())

    @property
    def mean(self) -> float | None:
        return self.seconds / self.number if self.buckets else None

    @property
    def median(self) -> float | None:
        return median(sorted(self.buckets.items()))

    @property
    def p90(self) -> float | None:
        return p90(sorted(self.buckets.items()))


# -- of numbers by bucket, in order: each value is told as the middle of its bucket ------------------------------------

Buckets = Sequence[tuple[int, int]]


def median(buckets: Buckets) -> float | None:
    """The value in the middle; of an even number, what lies between the two."""
    number = sum(counted for _place, counted in buckets)
    return (_value(buckets, (number + 1) // 2) + _value(buckets, number // 2 + 1)) / 2 if number else None


def p90(buckets: Buckets) -> float | None:
    """What nine of ten stay under."""
    number = sum(counted for _place, counted in buckets)
    return _value(buckets, -(-9 * number // 10)) if number else None


def _value(buckets: Buckets, rank: int) -> float:
    """The value at that place, counted from 1 by size."""
    reached = zip(accumulate(counted for _place, counted in buckets), buckets, strict=True)
    place = next(place for seen, (place, _counted) in reached if seen >= rank)
    return (BOUNDS[min(place, len(BOUNDS) - 1)] + (BOUNDS[place - 1] if place else 0.0)) / 2


@dataclass(frozen=True)
class Fact:
    """An event with what it says, as the figures ask for it."""

    kind: str
    at: datetime
    snapshot: Snapshot
    task: HumanTask
    routed_at: datetime | None

    @property
    def age(self) -> float:
        return (self.at - self.task.created_at).total_seconds()


Counts = dict[tuple[datetime, Key], Count]


def roll_up(limit: int = BATCH) -> int:
    """Add up to `limit` positioned events to the summaries; return how many that were."""
    with transaction.atomic():
        head, _created = SummaryHead.objects.select_for_update().get_or_create(pk=1)
        rows = list(
            EventOutbox.objects.filter(position__gt=head.position)
            .order_by("position")
            .values_list("position", "event__task_id", "event__type", "event__at", "event__snapshot")[:limit]
        )
        if not rows:
            return 0
        hours: Counts = defaultdict(Count)
        quarters: Counts = defaultdict(Count)
        with policies.read_once() as book:
            names = dict(User.objects.values_list("pk", "username"))
            for fact in _facts(rows):
                policy = book.policies.get(fact.snapshot.get("sla_policy_id") or 0)
                for key, seconds, missed in _hourly(fact, policy, names):
                    hours[_floor(fact.at, 60), key].add(seconds, missed=missed)
                for key, seconds, missed in _quarterly(fact, policy):
                    quarters[_floor(fact.at, 15), key].add(seconds, missed=missed)
        _write(HourSummary, "hour", hours, lambda row, gained: _dense(row, gained))
        _write(Quarter, "at", quarters, lambda row, gained: _sparse(row, gained))
        head.position = rows[-1][0] or 0
        head.save(update_fields=["position"])
    return len(rows)


def _floor(moment: datetime, minutes: int) -> datetime:
    at = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return at - timedelta(minutes=at.minute % minutes)


def _facts(rows: Sequence[tuple[Any, ...]]) -> Iterator[Fact]:
    ids = {task_id for _position, task_id, *_rest in rows}
    tasks = HumanTask.objects.select_related("task_type").defer("context_data", "error_detail").in_bulk(ids)
    ended = {task_id for _position, task_id, kind, *_rest in rows if kind in OUTCOMES}
    routed: dict[str, datetime] = {}
    for task_id, at in TaskEvent.objects.filter(task__in=ended, type=EventType.ROUTED).values_list("task_id", "at"):
        routed[task_id] = max(at, routed.get(task_id, at))
    for _position, task_id, kind, at, snapshot in rows:
        if task_id in tasks:  # else it left by retention
            yield Fact(kind, at, orjson.loads(bytes(snapshot)), tasks[task_id], routed.get(task_id))


Figure = tuple[Key, float | None, bool]


def _key(what: str, **values: str) -> Key:
    return (("what", what), *values.items())


def _hourly(fact: Fact, policy: Policy | None, names: Mapping[int, str]) -> Iterator[Figure]:
    """For the metrics: few dimensions each, so that the number of rows does not grow with that of the tasks."""
    kind, task, snapshot = fact.kind, fact.task, fact.snapshot
    of_type = {"task_type": task.task_type_id}
    if kind == EventType.CREATED:
        yield _key("created", **of_type), None, False
    elif _is_first_assignment(fact):
        yield _key("assigned", **of_type), fact.age, False
    elif kind == EventType.ESCALATED and snapshot["escalation_level"] == 1:
        yield _key("escalated", **of_type), None, False
    elif kind in OUTCOMES:
        promise = {"policy": policy.name if policy else ""}
        yield _key("ended", **of_type), fact.age, _is_late(fact)
        if snapshot["assigned_at"] is not None:
            yield _key("worked", **of_type), _worked(fact), False
        yield _key("promised", **promise), None, _is_late(fact)
        for clock, missed in _clocks(fact, policy):
            yield _key(f"clock_{clock}", **promise), None, missed
        operation = {"adapter_name": task.adapter_name, "operation": task.operation[:64]}
        yield _key(f"ended_{snapshot['resolution']}"[:30], **operation), None, False
        if snapshot["resolved_by_id"] is not None:
            decided = {**of_type, "person": names.get(snapshot["resolved_by_id"], ""), "team": snapshot["team_id"]}
            yield _key("decided", **decided), fact.age, _is_late(fact)


def _quarterly(fact: Fact, policy: Policy | None) -> Iterator[Figure]:
    """For the reports: by everything that a report is by, and that says who may see it."""
    task = fact.task
    of = {
        "task_type": task.task_type_id,
        "team": fact.snapshot["team_id"],
        "principal": task.principal_id,
        "adapter_name": task.adapter_name,
    }
    if fact.kind == EventType.CREATED:
        yield _key("created", **of), None, False
    elif _is_first_assignment(fact):
        yield _key("assigned", **of), fact.age, False
    elif fact.kind == EventType.ESCALATED and fact.snapshot["escalation_level"] == 1:
        yield _key("escalated", **of), None, False
    elif fact.kind in OUTCOMES:
        yield _key("ended", **of), fact.age, _is_late(fact)
        if fact.snapshot["assigned_at"] is not None:
            yield _key("worked", **of), _worked(fact), False
        if _is_late(fact):
            yield _key(f"late_{cause_of(fact, policy)}", **of), None, False


def _is_first_assignment(fact: Fact) -> bool:
    assigned_at = fact.snapshot["assigned_at"]
    return (
        fact.kind in (EventType.CLAIMED, EventType.ASSIGNED)
        and assigned_at is not None
        and fact.snapshot.get("first_assigned_at") == assigned_at
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _is_late(fact: Fact) -> bool:
    due = _moment(fact.snapshot["due_by"])
    return due is not None and due < fact.at


def _worked(fact: Fact) -> float:
    """From the last assignment to the end."""
    assigned_at = _moment(fact.snapshot["assigned_at"])
    return (fact.at - (assigned_at or fact.at)).total_seconds()


def _clocks(fact: Fact, policy: Policy | None) -> Iterator[tuple[Kind, bool]]:
    """Each of the task's three clocks that ran, and whether it was missed: as the task's page explains them."""
    facts = policies.facts_of(fact.task)
    for kind, target in targets(facts, policy).items():
        stopped = facts.first_assigned_at if kind is Kind.ASSIGN else fact.at
        yield kind, (stopped or fact.at) > target.deadline


def cause_of(fact: Fact, policy: Policy | None) -> str:
    """Where most of the time went: before the task was with its team, waiting there, on hold, or in somebody's hands.

    Time on hold counts only where the clocks ran on; else it did not make the task late.
    """
    opened, end = fact.task.created_at, fact.at
    came = fact.routed_at or opened
    taken = max(came, _moment(fact.snapshot["assigned_at"]) or end)
    held = [(max(came, _moment(a) or came), _moment(b) or end) for a, b in fact.snapshot.get("holds") or ()]
    on_hold = sum(((b - a) for a, b in held if b > a), timedelta())
    parts = {
        "waited": taken - came,
        "worked": end - taken - on_hold,
        "held": timedelta() if policy is not None and policy.pauses_on_hold else on_hold,
        "routed": came - opened,
    }
    return max(CAUSES, key=lambda cause: parts[cause])


def _write(
    model: type[models.Model], when: str, counts: Counts, merge: Callable[[Any, Mapping[int, int]], Any]
) -> None:
    """Add to the rows that are there, and insert the others: three statements. The head's lock keeps others out."""
    if not counts:
        return
    names = [f.attname for f in model._meta.concrete_fields if isinstance(f, models.CharField)]
    found = {
        (getattr(row, when), tuple(getattr(row, name) for name in names)): row
        for row in model._default_manager.filter(**{f"{when}__in": {moment for moment, _key in counts}})
    }
    new, old = [], []
    for (moment, key), count in counts.items():
        values = dict(key)
        place = (moment, tuple(values.get(name, "") for name in names))
        row: Any = found.get(place)
        if row is None:
            row = model(**{when: moment}, **values)
            new.append(row)
        else:
            old.append(row)
        row.number += count.number
        row.missed += count.missed
        row.seconds += count.seconds
        row.buckets = merge(row, count.buckets)
    model._default_manager.bulk_create(new)
    update_many(old, ["number", "missed", "seconds", "buckets"])


def _dense(row: HourSummary, gained: Mapping[int, int]) -> list[int]:
    """A number for each bucket: many tasks an hour fill most of them."""
    if not gained:
        return list(row.buckets)
    buckets = list(row.buckets) or [0] * (len(BOUNDS) + 1)
    for place, number in gained.items():
        buckets[place] += number
    return buckets


def _sparse(row: Quarter, gained: Mapping[int, int]) -> dict[str, int]:
    """The buckets that are not empty, by their number."""
    buckets = dict(row.buckets)
    for place, number in gained.items():
        buckets[str(place)] = buckets.get(str(place), 0) + number
    return buckets
