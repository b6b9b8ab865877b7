"""Ended tasks leave after their time: the row, its sealed originals, and what hangs on it. Its trail stays.

A task leaves in three steps: it is written to a file, if its policy says so; its chain gets a last event,
`task.removed`; and in the same transaction its row goes. Events, audit entries and checkpoints stay as they are, so the
trail verifies, and a task whose row is gone without that event is found (tasks_app/trail). What is told of past work
(tasks_app/summaries.py) stays too. A task that another one follows stays as long as that one.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from core import clock
from tasks_app import chain, events, reasons
from tasks_app.actors import Actor
from tasks_app.models import FiredStep, HumanTask, RetentionPolicy, TaskEvent
from tasks_app.models.task import TaskQuerySet
from tasks_app.states import EventType
from tasks_app.trail.rows import event_rows, plain_rows

BATCH: Final = 200
BATCHES: Final = 50  # of one run of the job
SHOWN_UP_TO: Final = 10_000


@dataclass(frozen=True)
class Preview:
    """What would leave now: how many tasks, counted up to SHOWN_UP_TO, and when the first and last of them ended."""

    number: int
    first: datetime | None
    last: datetime | None


def folder() -> Path:
    return Path(settings.HITL_HOME) / "retention"


def leaving(policy: RetentionPolicy, now: datetime) -> TaskQuerySet:
    """The tasks whose time is over, the oldest first."""
    tasks = HumanTask.objects.filter(
        completed_at__lt=now - timedelta(days=policy.days), task_type=policy.task_type_id, followers__isnull=True
    )
    if policy.reached is not None:
        tasks = tasks.filter(completed_at__gte=policy.reached)
    return tasks.order_by("completed_at", "task_id")


def preview(policy: RetentionPolicy, now: datetime) -> Preview:
    ends = list(leaving(policy, now).values_list("completed_at", flat=True)[:SHOWN_UP_TO])
    return Preview(len(ends), ends[0], ends[-1]) if ends else Preview(0, None, None)


def run(actor: Actor, *, batches: int = BATCHES, batch: int = BATCH) -> int:
    """Let go what has to go, at most `batches` times `batch` tasks of each type; return how many left."""
    gone = 0
    for policy in RetentionPolicy.objects.filter(is_active=True).order_by("pk"):
        for _number in range(batches):
            tasks = list(leaving(policy, clock.now())[:batch])
            if not tasks:
                break
            gone += _let_go(policy, tasks, actor)
    return gone


def _let_go(policy: RetentionPolicy, tasks: Sequence[HumanTask], actor: Actor) -> int:
    """Export outside the transaction; then let go those that nobody touched since."""
    seen = {task.pk: task.last_event_seq for task in tasks}
    if policy.export_first:
        _export(policy, list(seen))
    with transaction.atomic():
        locked = HumanTask.objects.select_for_update(of=("self",)).filter(pk__in=seen).order_by("pk")
        untouched = [task for task in locked if task.last_event_seq == seen[task.pk]]
        now = clock.now()
        reason = reasons.KEPT_FOR % {"days": policy.days}
        events.write_many(
            [
                events.compose(task, EventType.REMOVED, actor, at=now, before=events.state_of(task), reason=reason)
                for task in untouched
            ]
        )
        keys = [task.pk for task in untouched]
        FiredStep.objects.filter(task__in=keys).delete()
        HumanTask.objects.filter(pk__in=keys).delete()
        followed = {task.follows_id for task in untouched if task.follows_id}
        # What a task that left had followed may go with the next batch, although it ended earlier.
        earliest = HumanTask.objects.filter(pk__in=followed).order_by("completed_at").values_list("completed_at")[:1]
        ends = [tasks[-1].completed_at, *(end for (end,) in earliest)]
        RetentionPolicy.objects.filter(pk=policy.pk).update(reached=min(end for end in ends if end is not None))
    policy.refresh_from_db(fields=["reached"])
    return len(untouched)


def _export(policy: RetentionPolicy, keys: Sequence[str]) -> None:
    """Append the tasks and their events to the file of the day and type, and wait for the disk.

    A process that was killed may have left lines of tasks that are still there: whole ones are not written twice, a
    torn one goes. A failure leaves the file as it was.
    """
    folder().mkdir(mode=0o700, exist_ok=True)
    path = folder() / f"{clock.now():%Y-%m-%d}-{policy.task_type_id}.jsonl"
    texts = (json.dumps(line, ensure_ascii=False) + "\n" for line in _lines(keys))
    lines = [text.encode("utf-8", "surrogateescape") for text in texts]
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        tail = _tail(file, sum(map(len, lines)))
        there = set(tail.splitlines(keepends=True))
        end = file.seek(tail.rfind(b"\n") + 1 - len(tail), os.SEEK_END)
        file.truncate()
        try:
            rest = memoryview(b"".join(line for line in lines if line not in there))
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise
    _keep_name(folder())


def _tail(file: FileIO, length: int) -> bytes:
    """What the file ends with: so many bytes, or more, until there is the end of a line in them."""
    size = file.seek(0, os.SEEK_END)
    while True:
        file.seek(max(0, size - length))
        tail = file.readall()
        if b"\n" in tail or length >= size:
            return tail
        length = max(1, 2 * length)


def _keep_name(path: Path) -> None:
    """The disk knows a new file only when it knows the folder's new entry."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lines(keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    names = [field.attname for field in HumanTask._meta.concrete_fields]
    told: dict[str, list[dict[str, Any]]] = {}
    for event in event_rows(TaskEvent.objects.filter(task_id__in=list(keys)).order_by("task_id", "seq")):
        fields = event._asdict()
        del fields["outbox_id"]
        fields |= {"at": chain.moment(event.at), "snapshot": bytes(event.snapshot).decode("utf-8", "surrogateescape")}
        told.setdefault(event.task_id, []).append(fields)
    for row in plain_rows(HumanTask.objects.filter(pk__in=list(keys)).order_by("completed_at", "task_id"), names):
        yield {"kind": "task", "task": row, "events": told.get(row["task_id"], [])}
