"""The only writer of the trail: `record()` adds event, outbox row and audit entry in the caller's transaction.

It composes the entry in memory, which moves the task's chain on, and writes it. `write_many()` writes what was composed
for many tasks with a few statements: the sweep's way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models

from core.bulk import insert_many, update_many
from core.ids import EVENT_PREFIX, new_id
from tasks_app import chain, wakeup
from tasks_app.actors import Actor
from tasks_app.models import EventOutbox, FeedHead, HumanTask, TaskEvent, User
from tasks_app.states import EventType

# Bookkeeping of the trail itself stays out of the snapshot.
_UNRECORDED: Final = frozenset({"last_event_seq", "last_event_hash"})
# Written once, at creation: later snapshots leave them out.
_WRITTEN_ONCE: Final = frozenset(
    {
        "task_id",
        "task_type_id",
        "principal_id",
        "adapter_name",
        "media_buy_id",
        "creative_id",
        "operation",
        "error_detail",
        "context_data",
        "requested_by_id",
        "follows_id",
        "created_at",
        "due_is_explicit",
        "dedup_key",
        "similarity_key",
    }
)
_AUDITED_AS: Final = {
    "task_type_id": "task_type",
    "team_id": "team",
    "assigned_to_id": "assigned_to",
    "resolved_by_id": "resolved_by",
}


_WHOLE: Final = tuple(field.attname for field in HumanTask._meta.concrete_fields if field.attname not in _UNRECORDED)
_EVENT: Final = tuple(field.attname for field in TaskEvent._meta.concrete_fields)
_CHANGING: Final = tuple(name for name in _WHOLE if name not in _WRITTEN_ONCE)


def state_of(task: HumanTask, *, whole: bool = False) -> dict[str, Any]:
    """The task's columns as plain values; `whole` includes those written once."""
    return {name: getattr(task, name) for name in (_WHOLE if whole else _CHANGING)}


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
    """Add one event to the task's chain and save the task with it. The caller holds the task's row lock.

    `before` is `state_of(task)` from before the change, None for a new task. `reason` is masked already.
    """
    entry = compose(task, event_type, actor, at=at, before=before, reason=reason, on_behalf_of=on_behalf_of)
    if before is None:
        task.save(force_insert=True)
    else:
        task.save(update_fields=[*entry.changed, *_UNRECORDED])
    entry.event.save(force_insert=True)
    EventOutbox(event_id=entry.event.event_id, principal_id=task.principal_id).save(force_insert=True)
    _audit(entry)
    wakeup.after_commit()
    return entry.event


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that is not written yet, with the states of its task before and after it."""

    task: HumanTask
    event: TaskEvent
    actor: Actor
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def changed(self) -> list[str]:
        return [name for name, value in self.after.items() if self.before[name] != value]


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
    whole = before is None
    after = state_of(task, whole=whole)
    snapshot = freeze(after)
    event = TaskEvent(
        event_id=new_id(EVENT_PREFIX),
        task_id=task.task_id,
        seq=task.last_event_seq + 1,
        type=event_type,
        actor=actor.user,
        on_behalf_of=on_behalf_of,
        reason=reason,
        at=at,
        from_status="" if before is None else before["status"],
        to_status=task.status,
        snapshot=snapshot,
        prev_hash=task.last_event_hash,
    )
    event.hash = chain.link(
        event.prev_hash,
        event_id=event.event_id,
        task_id=task.task_id,
        seq=event.seq,
        type=str(event.type),
        actor_id=actor.user.pk,
        on_behalf_of_id=None if on_behalf_of is None else on_behalf_of.pk,
        reason=reason,
        at=at,
        from_status=str(event.from_status),
        to_status=str(event.to_status),
        snapshot=snapshot,
    )
    task.last_event_seq, task.last_event_hash = event.seq, event.hash
    return Entry(task, event, actor, before or {}, after)


def write_many(entries: Sequence[Entry]) -> None:
    """Write what was composed for locked, existing tasks: the twin of `record`, with a few statements for all.

    Entries of one task stand in the order of its chain.
    """
    if not entries:
        return
    changed = {name for entry in entries for name in entry.changed}
    update_many({entry.task.task_id: entry.task for entry in entries}.values(), sorted(changed | _UNRECORDED))
    insert_many(TaskEvent, [{name: getattr(entry.event, name) for name in _EVENT} for entry in entries])
    insert_many(EventOutbox, [{"event_id": e.event.event_id, "principal_id": e.task.principal_id} for e in entries])
    insert_many(LogEntry, [_audit_values(entry) for entry in entries])
    wakeup.after_commit()


def _audit(entry: Entry) -> None:
    LogEntry(**_audit_values(entry)).save(force_insert=True)


def _audit_values(entry: Entry) -> dict[str, Any]:
    """The django-auditlog entry of the same change; its own signals see neither a token's user nor the reason."""
    task, event, actor, before, after = entry.task, entry.event, entry.actor, entry.before, entry.after
    changes = {
        _AUDITED_AS.get(name, name): [_shown(before.get(name)), _shown(value)]
        for name, value in after.items()
        if before.get(name) != value and name != "updated_at"
    }
    return {
        "content_type_id": ContentType.objects.get_for_model(HumanTask).pk,
        "object_pk": task.task_id,
        "object_repr": task.task_id,
        "action": LogEntry.Action.UPDATE if before else LogEntry.Action.CREATE,
        "changes": changes,
        "actor_id": actor.user.pk,
        "remote_addr": actor.address,
        "cid": actor.correlation_id or None,
        "timestamp": event.at,
        "additional_data": {"event_id": event.event_id, "type": str(event.type), "reason": event.reason},
    }


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, datetime):
        return chain.moment(value)
    return (
        value
        if isinstance(value, str)
        else str(value)
        if isinstance(value, int)
        else orjson.dumps(value, default=_plain).decode()
    )


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
    EventOutbox.objects.filter(id__in=waiting).update(
        position=models.Case(
            *(models.When(id=outbox_id, then=models.Value(position)) for position, outbox_id in numbered),
            output_field=models.BigIntegerField(),
        )
    )
    head.last_position += len(waiting)
    head.save(update_fields=["last_position"])
    return len(waiting)
