"""Rolling figures: a job reads the feed of events from where it stopped and adds to one row an hour and dimension.

Not in the transaction of the event itself: there, every decision of an hour would wait for the same few rows. Each
event counts once, since place and rows are written together under one lock; the figures lag by a sweep (seconds).
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from django.db import transaction

from tasks_app.models import EventOutbox, HourSummary, HumanTask, SLAPolicy, SummaryHead, User
from tasks_app.states import EventType

BATCH: Final = 1_000
# Upper bounds in seconds: a fifth apart, from a second to about 100 days, so that a percentile is told to within 20 %.
BOUNDS: Final = tuple(round(1.2**power, 3) for power in range(89))

# What, type, adapter, operation, policy, person
Key = tuple[str, str, str, str, str, str]


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
        tasks = HumanTask.objects.in_bulk({task_id for _position, task_id, *_rest in rows})
        policies = dict(SLAPolicy.objects.values_list("pk", "name"))
        people = dict(User.objects.values_list("pk", "username"))
        counts: dict[tuple[datetime, Key], Count] = defaultdict(Count)
        for _position, task_id, kind, at, snapshot in rows:
            task = tasks.get(task_id)
            if task is None:  # left by retention
                continue
            hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            for key, seconds, missed in _figures(kind, at, orjson.loads(bytes(snapshot)), task, policies, people):
                counts[hour, key].add(seconds, missed=missed)
        _write(counts)
        head.position = rows[-1][0] or 0
        head.save(update_fields=["position"])
    return len(rows)


def _figures(
    kind: str,
    at: datetime,
    snapshot: Mapping[str, Any],
    task: HumanTask,
    policies: Mapping[int, str],
    people: Mapping[int, str],
) -> Iterator[tuple[Key, float | None, bool]]:
    """What an event adds: the key of a row, a duration, and whether a deadline was missed."""
    task_type = task.task_type_id
    age = (at - task.created_at).total_seconds()
    if kind == EventType.CREATED:
        yield ("created", task_type, "", "", "", ""), None, False
    elif kind in (EventType.CLAIMED, EventType.ASSIGNED):
        if snapshot.get("first_assigned_at") == snapshot["assigned_at"]:
            yield ("assigned", task_type, "", "", "", ""), age, False
    elif kind == EventType.ESCALATED:
        if snapshot["escalation_level"] == 1:
            yield ("escalated", task_type, "", "", "", ""), None, False
    elif snapshot["completed_at"] is not None and kind in (
        EventType.COMPLETED,
        EventType.FAILED,
        EventType.WITHDRAWN,
        EventType.EXPIRED,
    ):
        due = snapshot["due_by"]
        missed = due is not None and datetime.fromisoformat(due) < at
        policy = policies.get(snapshot.get("sla_policy_id") or 0, "")
        resolution, operation = snapshot["resolution"], task.operation[:64]
        yield ("ended", task_type, "", "", policy, ""), age, missed
        yield (f"ended_{resolution}"[:30], task_type, task.adapter_name, operation, "", ""), None, False
        if snapshot["resolved_by_id"] is not None:
            yield ("decided", task_type, "", "", "", people.get(snapshot["resolved_by_id"], "")), age, missed


def _write(counts: Mapping[tuple[datetime, Key], Count]) -> None:
    names = ("what", "task_type", "adapter_name", "operation", "policy", "person")
    for (hour, key), count in counts.items():
        row, _created = HourSummary.objects.get_or_create(
            hour=hour, defaults=None, **dict(zip(names, key, strict=True))
        )
        row.number += count.number
        row.missed += count.missed
        row.seconds += count.seconds
        buckets = list(row.buckets) or [0] * (len(BOUNDS) + 1)
        for place, number in count.buckets.items():
            buckets[place] += number
        row.buckets = buckets if any(buckets) else []
        row.save(update_fields=["number", "missed", "seconds", "buckets"])
