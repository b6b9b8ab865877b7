"""What is read of the trail: events with their place in the feed, audit entries, and the digests that tie them up.

Digests are SHA-256 in lower-case hex over compact UTF-8 JSON with sorted keys: what json.dumps of the standard library
writes too (no floats are among the values), so that docs/verify_trail.py repeats them without this project.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson
from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import DateTimeField, Exists, JSONField, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast

from tasks_app import chain
from tasks_app.models import HumanTask, TaskEvent

AuditEntry = dict[str, Any]

AUDIT_COLUMNS: Final = (
    "id", "object_pk", "object_id", "object_repr", "serialized_data", "action", "changes_text", "changes", "actor_id",
    "cid", "remote_addr", "remote_port", "timestamp", "additional_data", "actor_email",
)  # fmt: skip


class EventRow(NamedTuple):
    """An event as stored, with its outbox row (None where that is gone) and its position (None while it is new)."""

    event_id: str
    task_id: str
    seq: int
    type: str
    actor_id: int
    on_behalf_of_id: int | None
    reason: str
    at: datetime
    from_status: str
    to_status: str
    snapshot: bytes
    prev_hash: str
    hash: str
    outbox_id: int | None
    position: int | None

    def computed_hash(self) -> str:
        """What the hash should be, by the columns and the previous hash that the row names."""
        return chain.link(
            self.prev_hash,
            event_id=self.event_id,
            task_id=self.task_id,
            seq=self.seq,
            type=self.type,
            actor_id=self.actor_id,
            on_behalf_of_id=self.on_behalf_of_id,
            reason=self.reason,
            at=self.at,
            from_status=self.from_status,
            to_status=self.to_status,
            snapshot=self.snapshot,
        )


EVENT_COLUMNS: Final = (*EventRow._fields[:-2], "outbox__id", "outbox__position")


def compact(value: Any) -> str:
    """The JSON text that digests are made of."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def audit_entries(task_ids: Iterable[str]) -> dict[str, list[AuditEntry]]:
    """The audit entries of these tasks, oldest first, by the event that they belong to ("" where they name none)."""
    found: dict[str, list[AuditEntry]] = {}
    # By object_pk alone and without an order: else SQLite takes the index of content_type and reads all there are.
    entries = _read(LogEntry.objects.filter(object_pk__in=list(task_ids)).order_by())
    for entry in sorted(entries, key=lambda entry: int(entry["id"])):
        data = entry["additional_data"]
        event_id = data.get("event_id") if isinstance(data, dict) else None
        found.setdefault(str(event_id or ""), []).append(entry)
    return found


def stray_entries() -> Iterator[AuditEntry]:
    """The audit entries of tasks that have no event at all."""
    events = TaskEvent.objects.filter(task_id=OuterRef("object_pk"))
    return _read(LogEntry.objects.filter(~Exists(events), content_type=_content_type()).order_by("id"))


def _content_type() -> ContentType:
    return ContentType.objects.get_for_model(HumanTask)


def _read(entries: QuerySet[Any]) -> Iterator[AuditEntry]:
    kind = _content_type().pk
    return (
        entry
        for entry in plain_rows(entries, ("content_type_id", *AUDIT_COLUMNS))
        if entry.pop("content_type_id") == kind
    )


def plain_rows(selected: QuerySet[Any], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of a model as JSON values, with moments as the trail writes them, in half of the time that `values()` takes.

    JSON comes as text and is read here, and so do moments on SQLite: Django's own converters would cost more than all
    the hashing.
    """
    fields = {field.attname: field for field in selected.model._meta.concrete_fields}
    readers: dict[int, Callable[[Any], Any]] = {}
    columns, as_text = [], {}
    for index, name in enumerate(names):
        if isinstance(fields[name], JSONField):
            readers[index] = orjson.loads
        elif isinstance(fields[name], DateTimeField):
            readers[index] = moment_of if connection.vendor == "sqlite" else chain.moment
        if readers.get(index) in (None, chain.moment):
            columns.append(name)
        else:
            as_text[f"{name}_as_text"] = Cast(name, TextField())
            columns.append(f"{name}_as_text")
    for row in selected.annotate(**as_text).values_list(*columns).iterator(chunk_size=2_000):
        values = list(row)
        for index, read in readers.items():
            if values[index] is not None:
                values[index] = read(values[index])
        yield dict(zip(names, values, strict=True))


def event_rows(selected: QuerySet[TaskEvent]) -> Iterator[EventRow]:
    """Events with their place in the feed, in the order of the query."""
    if connection.vendor != "sqlite":
        yield from map(EventRow._make, selected.values_list(*EVENT_COLUMNS).iterator(chunk_size=2_000))
        return
    place = EVENT_COLUMNS.index("at")
    columns = [*EVENT_COLUMNS[:place], "at_as_text", *EVENT_COLUMNS[place + 1 :]]
    for row in selected.annotate(at_as_text=Cast("at", TextField())).values_list(*columns).iterator(chunk_size=2_000):
        yield EventRow._make((*row[:place], read_moment(row[place]), *row[place + 1 :]))


def moment_of(text: str) -> str:
    """SQLite's `2026-01-31 12:00:00.000000` as the trail writes it."""
    if len(text) == 26 and text[10] == " ":
        return f"{text[:10]}T{text[11:]}Z"
    return chain.moment(read_moment(text))


def read_moment(text: str) -> datetime:
    """A moment as Django stores it in SQLite: in UTC, without saying so."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def leaf(event_hash: str, entries: Sequence[AuditEntry]) -> str:
    """The digest of an event together with its audit entries."""
    return sha256(event_hash + "".join(sha256(compact(entry)) for entry in entries))


@contextmanager
def one_view() -> Iterator[None]:
    """Read everything in the block as of one moment, while others go on writing."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        # atomic() would begin IMMEDIATE and keep every writer waiting; a deferred transaction reads its snapshot.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
