"""Writes what was recorded: tasks, events, outbox rows and audit entries, as many as there are, in one go.

`write_by_statement` is the hand-written one, for PostgreSQL: one round trip for one change or for a thousand, where the
ORM takes four for each. `write_by_table` is its twin, in use on SQLite, whose round trips are function calls;
tests/services/test_writing.py proves that both leave the same rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import orjson
from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import Field

from core import prepared
from core.bulk import insert_many, update_many
from tasks_app.actors import Actor
from tasks_app.exceptions import Conflict, PoliciesMoved
from tasks_app.models import EventOutbox, HumanTask, SLARevision, TaskEvent

# Bookkeeping of the trail itself stays out of the snapshot.
UNRECORDED: Final = frozenset({"last_event_seq", "last_event_hash"})
# Written once, at creation: later snapshots leave them out, and later changes do not touch them.
WRITTEN_ONCE: Final = frozenset(
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
        "value_at_risk",
    }
)


_ADDRESS: Final = LogEntry._meta.get_field("remote_addr")


class Found(NamedTuple):
    """How a task was read: its version, its last event and, where it was read without a lock, its row's stamp."""

    version: int
    seq: int
    stamp: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One event on its way to the database, with the audit entry of the same change.

    `found` is None for a new task.
    """

    task: HumanTask
    event: TaskEvent
    actor: Actor
    changes: dict[str, list[str]]
    found: Found | None

    @property
    def additional_data(self) -> dict[str, str]:
        return {"event_id": self.event.event_id, "type": str(self.event.type), "reason": self.event.reason}


@cache
def columns(*, whole: bool) -> tuple["Field[Any, Any]", ...]:
    """The task's columns that a snapshot holds; `whole` includes those written once."""
    return tuple(
        field
        for field in HumanTask._meta.concrete_fields
        if field.attname not in UNRECORDED and (whole or field.attname not in WRITTEN_ONCE)
    )


def write(entries: Sequence[Entry], *, revision: str | None = None) -> None:
    """Write the entries in their order. Of the tasks that are not new, the caller holds the locks, or one with a stamp.

    Raises Conflict where a task is not as it was found: then nothing is written of it, and nothing may be committed
    where there are several. With `revision`, new tasks are
    written only while it is that of the deadline policies; otherwise nothing is, and PoliciesMoved is raised.
    """
    opened = [entry for entry in entries if entry.found is None]
    changed = [entry for entry in entries if entry.found is not None]
    by = write_by_statement if connection.vendor == "postgresql" else write_by_table
    for part in (opened, changed):
        written = by(part, revision=revision) if part else 0
        if written != len({entry.task.pk for entry in part}):
            raise Conflict if revision is None or written else PoliciesMoved
    for entry in entries:
        for row in (entry.task, entry.event):
            row._state.adding, row._state.db = False, connection.alias


# -- by hand -----------------------------------------------------------------------------------------------------------


def write_by_statement(entries: Sequence[Entry], *, revision: str | None = None) -> int:
    """One statement: tasks (inserted, or updated by version), events, outbox rows and audit entries.

    The rows of the tasks are read from the snapshots of their last events: what the trail says is what the table holds.
    Either all entries are of new tasks or none. Returns how many tasks were written.
    """
    last = {entry.task.pk: number for number, entry in enumerate(entries)}
    found = {entry.task.pk: entry.found for entry in reversed(entries)}
    document = orjson.dumps(
        [_plain_entry(entry, number, last, found) for number, entry in enumerate(entries)],
        option=orjson.OPT_NAIVE_UTC,
    )
    content_type = ContentType.objects.get_for_model(HumanTask).pk
    with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]  # core.postgresql
        cursor.execute(
            _statement(opens=entries[0].found is None), [document.decode(), revision, revision, content_type]
        )
        row = cursor.fetchone()
    return int(row[0])


def _plain_entry(entry: Entry, number: int, last: dict[str, int], found: dict[str, Found | None]) -> dict[str, Any]:
    event, actor = entry.event, entry.actor
    version, seq, stamp = found[entry.task.pk] or Found(0, 0)
    return {
        "n": number,
        "is_last": last[entry.task.pk] == number,
        "found_version": version,
        "found_seq": seq,
        "found_stamp": stamp,
        "event_id": event.event_id,
        "task_id": event.task_id,
        "principal_id": entry.task.principal_id,
        "seq": event.seq,
        "type": event.type,
        "actor_id": event.actor_id,
        "on_behalf_of_id": event.on_behalf_of_id,
        "reason": event.reason,
        "at": event.at,
        "from_status": event.from_status,
        "to_status": event.to_status,
        "snapshot": bytes(event.snapshot).decode(),
        "prev_hash": event.prev_hash,
        "hash": event.hash,
        "action": int(LogEntry.Action.CREATE if entry.found is None else LogEntry.Action.UPDATE),
        "changes": entry.changes,
        "address": _ADDRESS.get_prep_value(actor.address),
        "cid": actor.correlation_id or None,
        "additional_data": entry.additional_data,
    }


_ENTRY: Final = """
    n int, is_last boolean, found_version int, found_seq int, found_stamp text, event_id text, task_id text,
    principal_id text, seq int, type text, actor_id int, on_behalf_of_id int, reason text, at timestamptz,
    from_status text, to_status text, snapshot text, prev_hash text, hash text, action smallint, changes jsonb,
    address inet, cid text, additional_data jsonb
"""


@cache
def _statement(*, opens: bool) -> str:
    """The statement with the task's columns as the model has them; written out once a process."""
    fields = columns(whole=opens)
    task, event, outbox, policies = (_table(model) for model in (HumanTask, TaskEvent, EventOutbox, SLARevision))
    names = [connection.ops.quote_name(field.column or "") for field in fields]
    given = [connection.ops.quote_name(field.attname) for field in fields]
    state = ", ".join(f"{name} {field.db_type(connection)}" for name, field in zip(given, fields, strict=True))
    values = ", ".join(f"s.{name}" for name in given)
    source = f"FROM entry e, json_to_record(e.snapshot::json) AS s({state}) WHERE e.is_last"
    if opens:
        written = f"""
            INSERT INTO {task} ({", ".join(names)}, last_event_seq, last_event_hash)
            SELECT {values}, e.seq, e.hash {source} ORDER BY s.dedup_key, e.n RETURNING 1"""
    else:
        written = f"""
            UPDATE {task} t SET ({", ".join(names)}, last_event_seq, last_event_hash) = ROW({values}, e.seq, e.hash)
            {source} AND t.task_id = e.task_id AND t.version = e.found_version AND t.last_event_seq = e.found_seq
            AND (e.found_stamp IS NULL OR e.found_stamp = t.xmin::text) RETURNING 1"""  # noqa: S608
    if_written = "WHERE EXISTS (SELECT FROM written)"
    return f"""
        WITH entry AS (
            SELECT * FROM json_to_recordset(%s::json) AS e({_ENTRY})
            WHERE %s::text IS NULL OR %s::text = coalesce((SELECT token FROM {policies} WHERE id = 1), '')),
        written AS ({written}),
        told AS (
            INSERT INTO {event} (event_id, task_id, seq, type, actor_id, on_behalf_of_id, reason, at, from_status,
                                 to_status, snapshot, prev_hash, hash)
            SELECT event_id, task_id, seq, type, actor_id, on_behalf_of_id, reason, at, from_status,
                   to_status, convert_to(snapshot, 'UTF8'), prev_hash, hash FROM entry {if_written} ORDER BY n),
        sent AS (
            INSERT INTO {outbox} (event_id, principal_id)
            SELECT event_id, principal_id FROM entry {if_written} ORDER BY n),
        audited AS (
            INSERT INTO {_table(LogEntry)} (content_type_id, object_pk, object_repr, action, changes_text, changes,
                                            actor_id, cid, remote_addr, "timestamp", additional_data)
            SELECT %s, task_id, task_id, action, '', changes, actor_id, cid, address, at, additional_data
            FROM entry {if_written} ORDER BY n)
        SELECT count(*) FROM written"""  # noqa: S608


def _table(model: Any) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))


# -- by table ----------------------------------------------------------------------------------------------------------


def write_by_table(entries: Sequence[Entry], *, revision: str | None = None) -> int:
    """The same rows, table by table."""
    if revision is not None and revision != SLARevision.current():
        return 0
    last = {entry.task.pk: entry for entry in entries}
    found = {entry.task.pk: entry.found for entry in reversed(entries)}
    if entries[0].found is None:
        insert_many([entry.task for entry in last.values()])
        written = len(last)
    else:
        written = _stored_as_found({pk: one for pk, one in found.items() if one is not None})
        if written != len(last):
            return written
        update_many(
            [entry.task for entry in last.values()],
            [*(field.attname for field in columns(whole=False)), *sorted(UNRECORDED)],
        )
    insert_many([entry.event for entry in entries])
    insert_many([EventOutbox(event_id=entry.event.event_id, principal_id=entry.task.principal_id) for entry in entries])
    _audit(entries)
    return written


def _stored_as_found(found: Mapping[str, Found]) -> int:
    """How many of the tasks are stored as they were read: by version and last event; unlocked ones by all they say."""
    stamped = {task_id: one.stamp for task_id, one in found.items() if one.stamp is not None}
    written = sum(_is_still(task_id, stamp) for task_id, stamp in stamped.items())
    if locked := [task_id for task_id in found if task_id not in stamped]:
        stored = HumanTask.objects.filter(pk__in=locked).values_list("pk", "version", "last_event_seq")
        written += sum(found[pk][:2] == (version, seq) for pk, version, seq in stored)
    return written


def _is_still(task_id: str, stamp: str) -> bool:
    stored = read_stamped(task_id)
    return stored is not None and stored.__dict__["stamp"] == stamp


def read_stamped(task_id: str) -> HumanTask | None:
    """The task as it stands. Its stamp is all that its row says: where that is the same later, nobody changed it."""
    for task in prepared.instances("read", lambda: HumanTask.objects.filter(pk=prepared.TEXT), text=task_id):
        task.__dict__["stamp"] = stamp_of(task)
        return task
    return None


def stamp_of(task: HumanTask) -> str:
    """Of a task that was just read."""
    return repr([task.__dict__[field.attname] for field in HumanTask._meta.concrete_fields])


def _audit(entries: Sequence[Entry]) -> None:
    """The django-auditlog entries; its own signals see neither a token's user nor the reason."""
    content_type = ContentType.objects.get_for_model(HumanTask)
    insert_many(
        [
            LogEntry(
                content_type=content_type,
                object_pk=entry.task.task_id,
                object_repr=entry.task.task_id,
                action=LogEntry.Action.CREATE if entry.found is None else LogEntry.Action.UPDATE,
                changes=entry.changes,
                actor=entry.actor.user,
                remote_addr=entry.actor.address,
                cid=entry.actor.correlation_id or None,
                timestamp=entry.event.at,
                additional_data=entry.additional_data,
            )
            for entry in entries
        ]
    )
