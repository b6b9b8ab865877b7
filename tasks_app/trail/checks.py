"""What can be wrong with the trail, one check a function. Pure: they take rows and yield findings.

For each attack a test says which of them see it, and shows that nothing does once these are taken away.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tasks_app import chain
from tasks_app.states import EventType
from tasks_app.trail.checkpoints import NOTHING, Sent, signature_flaw
from tasks_app.trail.rows import AuditEntry, EventRow, sha256

# Columns of a task that change without an event: a recurrence between its steps, and a timer pushed forward.
UNTOLD: Final = frozenset({"occurrences", "last_seen_at", "next_timer_at"})
_CREATE: Final = 0  # auditlog's numbers for what happened to the object
_UPDATE: Final = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One bad row: which check (a function here) saw it, where it is, and what is wrong with it."""

    check: str
    what: str
    task_id: str = ""
    seq: int | None = None
    position: int | None = None
    checkpoint: int | None = None

    def __str__(self) -> str:
        places = []
        if self.task_id:
            places.append(self.task_id if self.seq is None else f"{self.task_id}, event {self.seq}")
        if self.position is not None:
            places.append(f"position {self.position}")
        if self.checkpoint is not None:
            places.append(f"checkpoint {self.checkpoint}")
        return f"{' / '.join(places) or 'the trail'}: {self.what}"


def order(event: EventRow, previous: EventRow | None) -> Iterator[Finding]:
    """The event is the next of its task, and names the hash of the one before it."""
    expected = previous.seq + 1 if previous else 1
    if event.seq > expected:
        yield Finding("order", "this event is missing", event.task_id, expected)
    elif event.prev_hash != (previous.hash if previous else ""):
        yield Finding("order", "it does not follow from the event before it", event.task_id, event.seq)


def hash_fits(event: EventRow, computed: str) -> Iterator[Finding]:
    """The hash is that of the columns."""
    if event.hash != computed:
        yield Finding("hash_fits", "it was edited: its hash does not fit its columns", event.task_id, event.seq)


def place(event: EventRow) -> Iterator[Finding]:
    """The event has its outbox row."""
    if event.outbox_id is None:
        yield Finding("place", "it has no place in the feed", event.task_id, event.seq)


def head(last: EventRow, seq: int, event_hash: str) -> Iterator[Finding]:
    """The task, where it is still kept, points at the last event of its chain."""
    if seq > last.seq:
        yield Finding("head", "this event is missing: the task points at it", last.task_id, seq)
    elif (seq, event_hash) != (last.seq, last.hash):
        yield Finding("head", "the task does not know this event as its last", last.task_id, last.seq)


def kept(last: EventRow, is_kept: bool) -> Iterator[Finding]:
    """The task's row is there; or its last event says that it left by retention, and it is not."""
    removed = last.type == EventType.REMOVED
    if not is_kept and not removed:
        yield Finding("kept", "the task is gone, and no event says that it left", last.task_id, last.seq)
    elif is_kept and removed:
        yield Finding("kept", "the task is here, although it left", last.task_id, last.seq)


def eventless(task_id: str) -> Iterator[Finding]:
    """A task without any event."""
    yield Finding("eventless", "this event is missing: the task has none", task_id, 1)


def row(last: EventRow, told: Mapping[str, Any], stored: Mapping[str, Any]) -> Iterator[Finding]:
    """The task's row says what its events tell."""
    different = sorted(name for name in (told.keys() & stored.keys()) - UNTOLD if told[name] != stored[name])
    if different:
        what = f"the task's {', '.join(different)} changed without an event"
        yield Finding("row", what, last.task_id, last.seq)


def audit(event: EventRow, entries: Sequence[AuditEntry]) -> Iterator[Finding]:
    """The event has one audit entry, which agrees with it. (Address, changes and the like are held by checkpoints.)"""
    if len(entries) != 1:
        what = f"it has {len(entries)} audit entries instead of one" if entries else "its audit entry is missing"
        yield Finding("audit", what, event.task_id, event.seq)
        return
    entry = entries[0]
    should_be = {
        "object_pk": event.task_id,
        "object_repr": event.task_id,
        "action": _CREATE if event.seq == 1 else _UPDATE,
        "actor_id": event.actor_id,
        "timestamp": chain.moment(event.at),
        "additional_data": {"event_id": event.event_id, "type": event.type, "reason": event.reason},
    }
    different = sorted(name for name, value in should_be.items() if entry[name] != value)
    if different:
        what = f"its audit entry {entry['id']} tells another {', '.join(different)}"
        yield Finding("audit", what, event.task_id, event.seq)


def stray(entry: AuditEntry) -> Iterator[Finding]:
    """An audit entry that belongs to no event of its task."""
    yield Finding("stray", f"audit entry {entry['id']} belongs to no event", entry["object_pk"])


def signature(checkpoint: Sent, previous: Sent | None, keys: dict[str, str]) -> Iterator[Finding]:
    """The checkpoint is signed by a trusted key and follows from the one before it."""
    number = checkpoint["number"]
    expected = (previous["number"] + 1, previous["to_position"], previous["digest"]) if previous else (1, 0, "")
    flaw = signature_flaw(checkpoint, keys)
    if number != expected[0]:
        yield Finding("signature", "this checkpoint is missing", checkpoint=expected[0])
    elif flaw:
        yield Finding("signature", flaw, checkpoint=number)
    elif (number, checkpoint["from_position"], checkpoint["previous"]) != expected:
        yield Finding("signature", "it does not follow from the checkpoint before it", checkpoint=number)


def coverage(checkpoint: Sent, rows: str, leaves: bytearray, task_id: str = "") -> Iterator[Finding]:
    """Every row that the checkpoint signed is what it was; `leaves` holds today's digests, 32 bytes a position."""
    number = checkpoint["number"]
    if sha256(rows) != checkpoint["rows_digest"]:
        yield Finding("coverage", "it was edited: its rows are not those that were signed", checkpoint=number)
        return
    for line in rows.splitlines():
        at, task, seq, signed = line.split(" ")
        position = int(at)
        now = leaves[32 * position : 32 * position + 32]
        if (task_id and task != task_id) or (signed != NOTHING and now == bytes.fromhex(signed)):
            continue
        if signed == NOTHING:
            what = "it was empty already when its checkpoint was made"
            yield Finding("coverage", what, position=position, checkpoint=number)
        else:
            what = "this event is gone" if not any(now) else "the event or its audit entry is not what was signed"
            yield Finding("coverage", what, task, int(seq), position, number)


def gapless(leaves: bytearray, after: int, last_position: int) -> Iterator[Finding]:
    """After the last checkpoint, every position that was given holds an event, and no other does."""
    for position in range(after + 1, len(leaves) // 32):
        if any(leaves[32 * position : 32 * position + 32]) != (position <= last_position):
            what = "it is empty: its event is gone" if position <= last_position else "it was never given"
            yield Finding("gapless", what, position=position)


def against(other: Sent, ours: Mapping[int, Sent], keys: dict[str, str], source: str) -> Iterator[Finding]:
    """The database holds the checkpoint that was kept elsewhere."""
    flaw = signature_flaw(other, keys)
    mine = ours.get(other["number"])
    if flaw:
        yield Finding("against", f"{source} cannot be used: {flaw}", checkpoint=other["number"])
    elif mine is None:
        what = (
            f"it was made {other['made_at']} ({source}), but the database does not have it: "
            "an older copy was restored, or checkpoints were deleted"
        )
        yield Finding("against", what, checkpoint=other["number"])
    elif mine["digest"] != other["digest"]:
        yield Finding("against", f"it is not the one that was kept ({source})", checkpoint=other["number"])


def lines(altered: Iterable[int]) -> Iterator[Finding]:
    """The texts that the feed holds ready say what the events say."""
    for position in altered:
        yield Finding("lines", "the feed shows another text than the event's", position=position)


def guards(missing: Sequence[str]) -> Iterator[Finding]:
    """The tables of the trail refuse changes."""
    for table in missing:
        yield Finding("guards", f"the table {table} is not protected against changes; `manage.py migrate` repairs this")
