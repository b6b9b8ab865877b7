"""Fill this project's tables with tasks whose trail verifies. Run by bench/ours.py with the project's settings.

Every task walks the real, pure transitions, and its events are frozen and chained by the functions that the services
use, so that the trail verifies; only the writing is done by COPY. Closed tasks have four events.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import django

django.setup()

from django.db import connection, transaction  # noqa: E402  (needs the settings)
from psycopg.types.json import Jsonb  # noqa: E402

from bench import fill  # noqa: E402
from core.ids import EVENT_PREFIX, TASK_PREFIX  # noqa: E402
from tasks_app import chain, events  # noqa: E402
from tasks_app.models import EventOutbox, FeedHead, HumanTask, Principal, TaskEvent, TaskType, Team, User  # noqa: E402
from tasks_app.models.task import StatusField  # noqa: E402
from tasks_app.services.create import similarity_key, team_for  # noqa: E402
from tasks_app.services.rhythm import schedule  # noqa: E402
from tasks_app.sla import deadlines  # noqa: E402
from tasks_app.states import EventType, Priority, Resolution  # noqa: E402

PRIORITIES = (1, 2, 2, 2, 3, 3, 3, 4)
TASK_COLUMNS = list(HumanTask._meta.concrete_fields)
EVENT_COLUMNS = list(TaskEvent._meta.concrete_fields)

# What the chain covers beside the previous hash and the snapshot
HASHED = (
    "event_id",
    "task_id",
    "seq",
    "type",
    "actor_id",
    "on_behalf_of_id",
    "reason",
    "at",
    "from_status",
    "to_status",
)


Row = dict[str, Any]  # columns of an event by the names of its model's fields


class Filler:
    """Makes tasks with their events, numbered and dated so that ids sort by time, as the real ones do."""

    def __init__(self) -> None:
        self.people = {"ana": User.objects.get(username="ana"), "bot": User.objects.get(username="bench")}
        self.kinds = {kind.slug: kind for kind in TaskType.objects.select_related("default_team__escalation_team")}
        self.principals = {pk: Principal.objects.get_or_create(pk=pk)[0] for pk in principals()}
        self.teams: dict[tuple[str, str], Team] = {}

    def team(self, kind: TaskType, principal_id: str) -> Team:
        key = (kind.slug, principal_id)
        if key not in self.teams:
            self.teams[key] = team_for(kind, principal_id)
        return self.teams[key]

    def task(self, number: int, created_at: datetime, *, closed: bool) -> tuple[HumanTask, list[Row]]:
        kind = self.kinds[fill.TASK_TYPES[number % 5]]
        principal_id = f"principal_{number * 7 % fill.PRINCIPALS}"
        task = HumanTask(
            task_id=made_id(TASK_PREFIX, created_at),
            task_type=kind,
            principal=self.principals[principal_id],
            adapter_name="google_ad_manager",
            priority=PRIORITIES[number * 5 % 8],
            team=self.team(kind, principal_id),
            media_buy_id=f"mb_{number}",
            creative_id=f"cr_{number}",
            operation="add_creative",
            error_detail=f"{fill.ERROR_TEXTS[number % 5]} (step {number}){fill.DETAIL_TAIL}",
            context_data=fill.context(number),
            requested_by=self.people["bot"],
            created_at=created_at,
            updated_at=created_at,
            last_seen_at=created_at,
            due_by=deadlines.default_due(Priority(PRIORITIES[number * 5 % 8]), created_at),
        )
        task.similarity_key = similarity_key(task)
        schedule(task, now=created_at)
        return task, list(self.trail(task, number, closed=closed))

    def trail(self, task: HumanTask, number: int, *, closed: bool) -> Iterator[Row]:
        """The task's life: what happens to it, and the event of each step."""
        ana, now = self.people["ana"], task.created_at
        yield self.event(task, EventType.CREATED, self.people["bot"], now, before=None)
        shape = 3 if closed else number % 20
        if shape == 0:
            yield self.step(
                task, EventType.ESCALATED, "escalate", now + timedelta(hours=1), team=task.team.escalation_team
            )
            return
        if shape > 3:
            return
        yield self.step(task, EventType.CLAIMED, "claim", now + timedelta(minutes=20), by=ana)
        if shape == 1:
            return
        yield self.step(task, EventType.STARTED, "start", now + timedelta(minutes=21))
        if not closed:
            return
        rejected = number % 5 == 0
        ending = {
            "resolution": str(Resolution.CANNOT_COMPLETE if rejected else ends_well(task.task_type)),
            "detail": "Checked against the format sheet; the advertiser was told.",
            "modifications": {},
            "by": ana,
        }
        kind = EventType.FAILED if rejected else EventType.COMPLETED
        yield self.step(task, kind, "fail" if rejected else "complete", now + timedelta(hours=2), **ending)

    def step(self, task: HumanTask, kind: EventType, verb: str, at: datetime, **arguments: Any) -> Row:
        before = str(task.status)
        getattr(task, verb)(now=at, **arguments)
        schedule(task, now=at)
        return self.event(task, kind, self.people["ana"], at, before=before)

    def event(self, task: HumanTask, kind: EventType, actor: User, at: datetime, *, before: str | None) -> Row:
        """The twin of `events.record` up to the moment of writing; `before` is the status, None for a new task."""
        columns = {
            "event_id": made_id(EVENT_PREFIX, at),
            "task_id": task.task_id,
            "seq": task.last_event_seq + 1,
            "type": str(kind),
            "actor_id": actor.pk,
            "on_behalf_of_id": None,
            "reason": "",
            "at": at,
            "from_status": before or "",
            "to_status": str(task.status),
            "snapshot": events.freeze(events.state_of(task, whole=before is None)),
        }
        digest = chain.link(task.last_event_hash, **columns)
        columns |= {"prev_hash": task.last_event_hash, "hash": digest}
        task.last_event_seq, task.last_event_hash = task.last_event_seq + 1, digest
        return columns


def principals() -> list[str]:
    return [f"principal_{number}" for number in range(fill.PRINCIPALS)]


def ends_well(kind: TaskType) -> Resolution:
    return Resolution.APPROVED if Resolution.APPROVED in kind.allowed_resolutions else Resolution.COMPLETED


def made_id(prefix: str, at: datetime) -> str:
    """A UUIDv7 of the moment `at` (RFC 9562, section 5.7), where `core.ids.new_id` takes the present one."""
    tail = os.urandom(10).hex()
    return f"{prefix}{int(at.timestamp() * 1000):012x}7{tail[:3]}{'89ab'[int(tail[3], 16) & 3]}{tail[4:19]}"


def row(instance: Any, fields: list[Any]) -> list[Any]:
    """The instance's columns as COPY takes them."""
    values = []
    for field in fields:
        value = getattr(instance, field.attname)
        if isinstance(field, StatusField):
            value = str(value)
        elif field.get_internal_type() == "JSONField" and value is not None:
            value = Jsonb(value)
        values.append(value)
    return values


def copy_into(model: Any, fields: list[Any], rows: list[list[Any]]) -> None:
    names = ", ".join(f'"{field.column}"' for field in fields)
    with connection.cursor() as cursor, cursor.copy(f"COPY {model._meta.db_table} ({names}) FROM STDIN") as copy:
        for values in rows:
            copy.write_row(values)


@transaction.atomic
def run(first: int, count: int, *, closed: bool) -> None:
    """Write `count` tasks numbered from `first`, in batches, then their audit entries and the feed's head."""
    filler = Filler()
    head = FeedHead.objects.select_for_update().get(pk=1)
    before = position = head.last_position
    now = datetime.now(UTC)
    oldest, span = (
        (now - timedelta(days=91), timedelta(days=90)) if closed else (now - timedelta(hours=40), timedelta(hours=36))
    )
    outbox_fields = [field for field in EventOutbox._meta.concrete_fields if not field.primary_key]
    for start in range(0, count, 5000):
        tasks, trail, outbox = [], [], []
        for offset in range(start, min(start + 5000, count)):
            task, found = filler.task(first + offset, oldest + span * (offset / count), closed=closed)
            tasks.append(row(task, TASK_COLUMNS))
            for event in found:
                position += 1
                trail.append([event[field.attname] for field in EVENT_COLUMNS])
                entry = {
                    "event_id": event["event_id"],
                    "principal_id": task.principal_id,
                    "position": position,
                    "dispatched_at": event["at"],
                }
                outbox.append([entry[field.attname] for field in outbox_fields])
        copy_into(HumanTask, TASK_COLUMNS, tasks)
        copy_into(TaskEvent, EVENT_COLUMNS, trail)
        copy_into(EventOutbox, outbox_fields, outbox)
    head.last_position = position
    head.save(update_fields=["last_position"])
    with connection.cursor() as cursor:
        cursor.execute((fill.SQL / "fill_audit.sql").read_text(), [before])


def verify() -> str:
    """Recompute every hash, link and sequence number, and compare the last of each chain with its task."""
    expected: dict[str, tuple[int, str]] = {}
    count = 0
    for event in TaskEvent.objects.order_by("task_id", "seq").iterator(5000):
        seq, last = expected.get(event.task_id, (0, ""))
        columns = {name: getattr(event, name) for name in HASHED}
        found = chain.link(last, snapshot=bytes(event.snapshot), **columns)
        if (event.seq, event.prev_hash, event.hash) != (seq + 1, last, found):
            raise SystemExit(f"the chain of {event.task_id} breaks at event {event.seq}")
        expected[event.task_id] = (event.seq, found)
        count += 1
    for task_id, seq, last in HumanTask.objects.values_list("task_id", "last_event_seq", "last_event_hash").iterator(
        5000
    ):
        if expected.get(task_id) != (seq, last):
            raise SystemExit(f"{task_id} does not end where its chain ends")
    return f"{count:,} events verified"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--closed", action="store_true")
    parser.add_argument("--verify", action="store_true")
    given = parser.parse_args()
    if given.verify:
        print(verify())
    else:
        run(given.first, given.count, closed=given.closed)
