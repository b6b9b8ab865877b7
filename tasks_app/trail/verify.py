"""Reads the whole trail, or a part of it, and says what is wrong with it, the first bad row first.

One pass over the events by task and seq, a thousand at a time, with their audit entries and their tasks; then the
checkpoints. Of each event only the 32 bytes of its digest stay in memory until its checkpoint is compared.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import orjson
from django.db import connection
from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from core import guards
from tasks_app import feed
from tasks_app.models import Checkpoint, EventOutbox, FeedHead, HumanTask, TaskEvent
from tasks_app.trail import checks
from tasks_app.trail.checkpoints import Sent, latest, sent, trusted_keys
from tasks_app.trail.checks import Finding
from tasks_app.trail.rows import EventRow, audit_entries, event_rows, leaf, one_view, plain_rows, stray_entries

BATCH: Final = 1_000
TOLD: Final = 100  # findings kept; a trail that was rewritten has as many as rows


@dataclass
class Report:
    """What was looked at and what is wrong. `bad` counts all findings, `findings` holds the first hundred."""

    events: int = 0
    tasks: int = 0
    audit_entries: int = 0
    checkpoints: int = 0
    covered: int = 0
    uncovered: int = 0
    last_checkpoint: Sent | None = None
    bad: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.bad

    def add(self, found: Iterable[Finding]) -> None:
        for finding in found:
            self.bad += 1
            if len(self.findings) < TOLD:
                self.findings.append(finding)


def verify(*, task_id: str = "", since_checkpoint: bool = False, against: Mapping[str, Sent] | None = None) -> Report:
    """Verify the trail as of one moment: all of it, that of one task, or that of the tasks with events since the last
    checkpoint. `against` are checkpoints that were kept elsewhere, by the name of their source.
    """
    report = Report()
    with one_view():
        last = latest()
        report.covered = last.to_position if last else 0
        head = FeedHead.objects.filter(pk=1).values_list("last_position", flat=True).first() or 0
        highest = EventOutbox.objects.aggregate(highest=Max("position"))["highest"] or 0
        leaves = bytearray(32 * (max(head, highest, report.covered) + 1))
        selected = _selected(task_id, report.covered if since_checkpoint else None)
        _chains(report, selected, leaves)
        if not (task_id or since_checkpoint):
            _whole(report)
        ours = _checkpoints(report, leaves, task_id, only_last=since_checkpoint)
        if not task_id:
            report.add(checks.gapless(leaves, report.covered, head))
        for source, other in (against or {}).items():
            report.add(checks.against(other, ours, trusted_keys(), source))
        report.add(checks.guards(guards.missing(connection)))
        report.uncovered = TaskEvent.objects.filter(_after(report.covered)).count()
    return report


def _after(position: int) -> Q:
    return Q(outbox__position__isnull=True) | Q(outbox__position__gt=position)


def _selected(task_id: str, since: int | None) -> QuerySet[TaskEvent]:
    selected = TaskEvent.objects.order_by("task_id", "seq")
    if task_id:
        return selected.filter(task_id=task_id)
    if since is not None:
        return selected.filter(task_id__in=TaskEvent.objects.filter(_after(since)).values("task_id"))
    return selected


def _chains(report: Report, selected: QuerySet[TaskEvent], leaves: bytearray) -> None:
    """The events of the selected tasks, a thousand or so at a time, never cutting a task in two."""
    batch: list[list[EventRow]] = []
    size = 0
    for _task_id, group in groupby(event_rows(selected), key=lambda row: row.task_id):
        batch.append(list(group))
        size += len(batch[-1])
        if size >= BATCH:
            _batch(report, batch, leaves)
            batch, size = [], 0
    _batch(report, batch, leaves)


def _batch(report: Report, batch: Sequence[Sequence[EventRow]], leaves: bytearray) -> None:
    """Whole tasks: their events, their audit entries and, where they are still kept, their rows."""
    tasks = _rows(group[0].task_id for group in batch)
    entries = audit_entries(group[0].task_id for group in batch)
    for group in batch:
        previous = None
        for event in group:
            own = entries.pop(event.event_id, [])
            computed = event.computed_hash()
            report.add(checks.order(event, previous))
            report.add(checks.hash_fits(event, computed))
            report.add(checks.place(event))
            report.add(checks.audit(event, own))
            report.audit_entries += len(own)
            if event.position is not None and event.position > 0:
                leaves[32 * event.position : 32 * event.position + 32] = bytes.fromhex(leaf(computed, own))
            previous = event
        task = tasks.get(group[0].task_id)
        report.add(checks.kept(group[-1], task is not None))
        if task is not None:
            report.add(checks.head(group[-1], task["last_event_seq"], task["last_event_hash"]))
            report.add(checks.row(group[-1], _told(group), task))
        report.events += len(group)
        report.tasks += 1
    for left in entries.values():
        report.audit_entries += len(left)
        for entry in left:
            report.add(checks.stray(entry))


def _told(group: Sequence[EventRow]) -> dict[str, Any]:
    """What the first event says of columns written once, and the last one of the others."""
    try:
        return {**orjson.loads(group[0].snapshot), **orjson.loads(group[-1].snapshot)}
    except (orjson.JSONDecodeError, TypeError):  # forged bytes, which the hash shows
        return {}


def _rows(task_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The tasks as they are stored, in the plain values of a snapshot."""
    names = [field.attname for field in HumanTask._meta.concrete_fields]
    rows = plain_rows(HumanTask.objects.filter(pk__in=list(task_ids)), names)
    return {row["task_id"]: row for row in rows}


def _whole(report: Report) -> None:
    """What a pass over the events cannot meet: tasks and audit entries without any event, and what the feed shows."""
    eventless = HumanTask.objects.filter(~Exists(TaskEvent.objects.filter(task_id=OuterRef("pk"))))
    for pk in eventless.order_by("pk").values_list("pk", flat=True):
        report.add(checks.eventless(pk))
    for entry in stray_entries():
        report.add(checks.stray(entry))
    report.add(checks.lines(feed.altered()))


def _checkpoints(report: Report, leaves: bytearray, task_id: str, *, only_last: bool) -> dict[int, Sent]:
    """Signatures of all checkpoints and the rows that they cover, or the signature of the last one alone."""
    keys, previous = trusted_keys(), None
    ours: dict[int, Sent] = {}
    for checkpoint in _in_order(with_rows=not only_last):
        current = sent(checkpoint)
        ours[checkpoint.number] = current
        if not only_last:
            report.add(checks.signature(current, previous, keys))
            report.add(checks.coverage(current, checkpoint.rows, leaves, task_id))
        previous = current
        report.checkpoints += 1
    report.last_checkpoint = previous
    if only_last and previous is not None:
        report.add(checks.signature(previous, ours.get(previous["number"] - 1), keys))
    return ours


def _in_order(*, with_rows: bool) -> Iterator[Checkpoint]:
    checkpoints = Checkpoint.objects.order_by("number")
    return (checkpoints if with_rows else checkpoints.defer("rows")).iterator(chunk_size=10)
