"""What is read of the trail: events with their place in the feed, audit entries, and the digests that tie them up.

Digests are SHA-256 in lower-case hex over compact UTF-8 JSON with sorted keys: what json.dumps of the standard library
writes too (no floats are among the values), so that docs/verify_trail.py repeats them without this project.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, TextField
from django.db.models.functions import Cast

from tasks_app import chain
from tasks_app.models import HumanTask, TaskEvent

AuditEntry = dict[str, Any]

AUDIT_COLUMNS: Final = (
    "id", "object_pk", "object_id", "object_repr", "serialized_data", "action", "changes_text", "changes", "actor_id",
    "cid", "remote_addr", "remote_port", "timestamp", "additional_data", "actor_email",
)  # fmt: skip
_JSON_COLUMNS: Final = ("serialized_data", "changes", "additional_data")


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
    entries = LogEntry.objects.filter(content_type=_content_type(), object_pk__in=list(task_ids)).order_by("id")
    for entry in _read(entries):
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


def _read(entries: Any) -> Iterator[AuditEntry]:
    """The rows as plain values. JSON columns come as text: Django's own decoding costs half of a verification."""
    as_text = {f"{name}_text_": Cast(name, TextField()) for name in _JSON_COLUMNS}
    columns = [f"{name}_text_" if name in _JSON_COLUMNS else name for name in AUDIT_COLUMNS]
    for row in entries.annotate(**as_text).values_list(*columns).iterator(chunk_size=2_000):
        entry = dict(zip(AUDIT_COLUMNS, row, strict=True))
        for name in _JSON_COLUMNS:
            if entry[name] is not None:
                entry[name] = orjson.loads(entry[name])
        entry["timestamp"] = chain.moment(entry["timestamp"])
        yield entry


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
