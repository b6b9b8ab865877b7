"""The only writer of the trail: `record()` adds event, outbox row and audit entry in the caller's transaction.

It composes the entry in memory, which moves the task's chain on, and writes it. A service gathers what it composes and
has `write_many()` write it at its end (tasks_app/services/rhythm.py), whether for one task or for a batch.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from core.bulk import update_columns
from core.ids import EVENT_PREFIX, new_id
from tasks_app import chain, feed, wakeup, writing
from tasks_app.actors import Actor
from tasks_app.models import EventOutbox, FeedHead, HumanTask, TaskEvent, User
from tasks_app.states import EventType
from tasks_app.writing import Entry, Found

_AUDITED_AS: Final = {
    "task_type_id": "task_type",
    "team_id": "team",
    "assigned_to_id": "assigned_to",
    "resolved_by_id": "resolved_by",
}


def state_of(task: HumanTask, *, whole: bool = False) -> dict[str, Any]:
    """The task's columns as plain values; `whole` includes those written once, which may be deferred otherwise."""
    values = task.__dict__
    return {field.attname: values[field.attname] for field in writing.columns(whole=whole)}


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return chain.moment(value)
    raise TypeError(f"{type(value).__name__} has no place in a snapshot")


def freeze(state: Mapping[str, Any]) -> bytes:
    """Canonical JSON: sorted keys, moments in UTC with microseconds."""
    return orjson.dumps(dict(state), default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME)


def record(
    task: HumanTask,
    event_type: EventType,
    actor: Actor,
    *,
    at: datetime,
    before: Mapping[str, Any] | None,
    reason: str = "",
    on_behalf_of: User | None = None,
) -> TaskEvent:
    """Add one event to the task's chain and write the task with it. The caller holds the task's row lock.

    `before` is `state_of(task)` from before the change, None for a new task. `reason` is masked already.
    """
    entry = compose(task, event_type, actor, at=at, before=before, reason=reason, on_behalf_of=on_behalf_of)
    write_many([entry])
    return entry.event


def compose(
    task: HumanTask,
    event_type: EventType,
    actor: Actor,
    *,
    at: datetime,
    before: Mapping[str, Any] | None,
    reason: str = "",
    on_behalf_of: User | None = None,
) -> Entry:
    """The next event of the task's chain, in memory: asks and writes nothing."""
    after = state_of(task, whole=before is None)
    snapshot = freeze(after)
    columns: dict[str, Any] = {
        "event_id": new_id(EVENT_PREFIX),
        "task_id": task.task_id,
        "seq": task.last_event_seq + 1,
        "type": str(event_type),
        "actor_id": actor.user.pk,
        "on_behalf_of_id": None if on_behalf_of is None else on_behalf_of.pk,
        "reason": reason,
        "at": at,
        "from_status": "" if before is None else str(before["status"]),
        "to_status": str(task.status),
        "snapshot": snapshot,
    }
    link = chain.link(task.last_event_hash, **columns)
    event = TaskEvent.of_columns({**columns, "prev_hash": task.last_event_hash, "hash": link}.items())
    event.knows(actor=actor.user, on_behalf_of=on_behalf_of)
    found = None if before is None else Found(before["version"], task.last_event_seq, task.__dict__.get("stamp"))
    task.last_event_seq, task.last_event_hash = event.seq, event.hash
    return Entry(task, event, actor, _changes(before or {}, after), found)


def write_many(entries: Sequence[Entry], *, revision: str | None = None) -> None:
    """Write what was composed, in its order, as one statement where the database allows it (tasks_app/writing.py).

    Entries of one task stand in the order of its chain. Raises Conflict where a task is not as it was found,
    and PoliciesMoved where `revision` is given and is not that of the deadline policies.
    """
    if entries:
        writing.write(entries, revision=revision)
        wakeup.after_commit()


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """The audit entry's view of a change: by field, the value before and after."""
    was = before.get
    return {
        _AUDITED_AS.get(name, name): [_shown(was(name)), _shown(value)]
        for name, value in after.items()
        if was(name) != value and name != "updated_at"
    }


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return chain.moment(value)
    return str(value) if isinstance(value, int) else orjson.dumps(value, default=_plain).decode()


def assign_positions(limit: int = 500) -> int:
    """Give committed events their place in the feed; return how many got one. The caller is in a transaction.

    One row lock makes the numbers gapless and monotonic: an event that commits late gets a later position, so a
    reader that remembers the last position never misses it. (Read by id, a slow commit would be overtaken and lost.)
    """
    head = FeedHead.objects.select_for_update().get(pk=1)
    waiting = list(
        EventOutbox.objects.filter(position__isnull=True).order_by("id").values_list("id", flat=True)[:limit]
    )
    if not waiting:
        return 0
    numbered = enumerate(waiting, start=head.last_position + 1)
    rows = [{"id": outbox_id, "position": position} for position, outbox_id in numbered]
    update_columns(EventOutbox, rows, where=("id",), also={})
    feed.freeze(head.last_position + 1, head.last_position + len(waiting))
    head.last_position += len(waiting)
    head.save(update_fields=["last_position"])
    return len(waiting)
