"""What a buyer gave along with an operation, read back for the endpoint that belongs to the task's adapter.

It came with the task under `context_data.adcp` and passed the masking at the door: the token, and whatever else was
masked, is encrypted beside the task. Here the originals are put back for the message alone, which goes to the one who
brought them; they are neither logged nor stored in the clear.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from cryptography.fernet import InvalidToken

from core import crypto
from notifications.adcp import CONTEXT_KEY
from tasks_app.masking import unmask
from tasks_app.models import HumanTask, SealedDetail

Echo = dict[str, Any]


def read(task_ids: Iterable[str]) -> dict[str, tuple[Echo, Echo]]:
    """By task: the echo as it came, and as it is stored (masked, without the token). In two queries."""
    wanted = sorted(set(task_ids))
    contexts = HumanTask.objects.filter(pk__in=wanted).values_list("pk", "context_data")
    stored = {pk: data[CONTEXT_KEY] for pk, data in contexts if isinstance(data.get(CONTEXT_KEY), dict)}
    originals: dict[str, dict[str, str]] = {}
    if stored:
        for detail in SealedDetail.objects.filter(task__in=sorted(stored)).order_by("pk"):
            try:
                found = orjson.loads(crypto.unseal(bytes(detail.sealed)))
            except InvalidToken:  # its key has left the ring: the masked text is all there is
                continue
            originals.setdefault(detail.task_id, {}).update(found)
    return {
        pk: (dict(_unmasked(echo, originals.get(pk, {}))), {key: echo[key] for key in echo if key != "token"})
        for pk, echo in stored.items()
    }


def _unmasked(echo: Echo, originals: dict[str, str]) -> Echo:
    plain = unmask(echo, originals)
    return plain if isinstance(plain, dict) else {}
