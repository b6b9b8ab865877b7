"""Texts that people and adapters write: masked before they are stored, the originals sealed beside the task."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from core import crypto
from tasks_app import masking
from tasks_app.models import HumanTask, SealedDetail
from tasks_app.services.rhythm import Change


def seal_originals(originals: Mapping[str, Mapping[str, str]], now: datetime) -> None:
    """Keep what masking cut out of tasks, by task, encrypted; nothing is written where nothing was cut out."""
    if not any(originals.values()):
        return
    SealedDetail.objects.bulk_create(
        SealedDetail(
            task_id=task_id,
            placeholders=sorted(cut_out),
            sealed=crypto.seal(orjson.dumps(cut_out).decode()),
            created_at=now,
        )
        for task_id, cut_out in originals.items()
        if cut_out
    )


def masked_fields(change: Change, values: dict[str, Any]) -> dict[str, Any]:
    """Mask texts and JSON that come to an existing task; placeholders go on from the numbers already used."""
    if not any(values.values()):
        return values
    safe = frozenset(change.task.task_type.safe_fields)
    masked = masking.mask_fields(values, safe_fields=safe)
    if masked.originals:
        change.need_lock()
        used = [name for names in _placeholders(change.task) for name in names]
        masked = masking.mask_fields(values, safe_fields=safe, start=masking.numbers_used(used))
        seal_originals({change.task.task_id: masked.originals}, change.now)
    return dict(masked.values)


def masked_reason(change: Change, reason: str) -> str:
    """Mask one text, such as the reason of a release."""
    return str(masked_fields(change, {"reason": reason})["reason"]) if reason else ""


def mean_the_same(task: HumanTask, one: Any, other: Any) -> bool:
    """Whether two masked values of a task say the same: one original has another placeholder each time it is masked."""
    if one == other:
        return True
    originals = _originals(task)
    return masking.unmask(one, originals) == masking.unmask(other, originals)


def _originals(task: HumanTask) -> dict[str, str]:
    """All that was cut out of a task, by placeholder."""
    found: dict[str, str] = {}
    for sealed in SealedDetail.objects.filter(task=task).values_list("sealed", flat=True):
        found |= orjson.loads(crypto.unseal(bytes(sealed)))
    return found


def _placeholders(task: HumanTask) -> list[list[str]]:
    return list(SealedDetail.objects.filter(task=task).values_list("placeholders", flat=True))
