"""The trail as a file for auditors: JSON lines in the order of positions, with checkpoints and public keys.

Lines: one `trail` (form, range, public keys), `event` lines with their audit entries, and each `checkpoint` behind the
last event that it covers. docs/audit.md describes them; docs/verify_trail.py checks them without this project.
"""

from collections.abc import Iterator
from typing import Any, Final

from tasks_app import chain
from tasks_app.models import Checkpoint, FeedHead, TaskEvent
from tasks_app.trail.checkpoints import BATCH, sent, trusted_keys
from tasks_app.trail.rows import AuditEntry, EventRow, audit_entries, event_rows, one_view

FORM: Final = "hitl-trail-1"


def lines(first: int = 1, last: int | None = None) -> Iterator[dict[str, Any]]:
    """The objects to write, one a line, for positions `first` to `last` (the newest if None). A checkpoint is included
    if all that it covers is.
    """
    with one_view():
        newest = FeedHead.objects.get(pk=1).last_position
        end = newest if last is None else min(last, newest)
        yield {"kind": "trail", "form": FORM, "first": first, "last": end, "public_keys": trusted_keys()}
        inside = Checkpoint.objects.filter(from_position__gte=first - 1, to_position__lte=end)
        checkpoints = inside.order_by("number").defer("rows").iterator(chunk_size=BATCH)
        checkpoint = next(checkpoints, None)
        for event in _events(first, end):
            while checkpoint is not None and checkpoint.to_position < event["position"]:
                yield {"kind": "checkpoint", **sent(checkpoint)}
                checkpoint = next(checkpoints, None)
            yield event
        while checkpoint is not None:
            yield {"kind": "checkpoint", **sent(checkpoint)}
            checkpoint = next(checkpoints, None)


def _events(first: int, end: int) -> Iterator[dict[str, Any]]:
    for start in range(first, end + 1, BATCH):
        found = TaskEvent.objects.filter(outbox__position__gte=start, outbox__position__lt=min(start + BATCH, end + 1))
        rows = list(event_rows(found.order_by("outbox__position")))
        audited = audit_entries({row.task_id for row in rows})
        for row in rows:
            yield _event(row, audited.get(row.event_id, []))


def _event(row: EventRow, audit: list[AuditEntry]) -> dict[str, Any]:
    fields = row._asdict()
    del fields["outbox_id"]
    fields |= {"at": chain.moment(row.at), "snapshot": bytes(row.snapshot).decode("utf-8", "surrogateescape")}
    return {"kind": "event", **fields, "audit": audit}
