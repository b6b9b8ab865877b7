"""What receivers read: the bodies of messages, built from an event as it was recorded. Pure.

No body holds personal data or a text that a person wrote: ids, states, and, in the flat one, the masked error. What
else a receiver needs it fetches, under its own rights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from tasks_app.states import Priority

MAX_BODY: Final = 20_000
"""Bytes. Standard Webhooks asks for messages under 20 kB."""

# The columns of the task that are written once; the rest comes from the event's snapshot, as it was then.
TASK_COLUMNS: Final = (
    "task_id",
    "task_type_id",
    "principal_id",
    "adapter_name",
    "media_buy_id",
    "creative_id",
    "operation",
    "error_detail",
    "requested_by_id",
)


@dataclass(frozen=True, slots=True)
class News:
    """An event and the task it happened to."""

    event_id: str
    type: str
    seq: int
    at: datetime
    snapshot: Mapping[str, Any]
    """The task's state after the event."""
    task: Mapping[str, Any]
    """`TASK_COLUMNS`."""
    actor_id: int | None = None
    reason: str = ""
    echo: Mapping[str, Any] = field(default_factory=dict)
    """What the buyer gave along with an operation of the Ad Context Protocol (notifications/adcp.py)."""

    @property
    def priority(self) -> Priority:
        return Priority(self.snapshot["priority"])


def moment(at: datetime) -> str:
    """ISO 8601 in UTC with a Z, as everywhere in the API."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def standard(news: News) -> bytes:
    """The envelope of Standard Webhooks, thin."""
    task, snapshot = news.task, news.snapshot
    data = {
        "task_id": task["task_id"],
        "task_type": task["task_type_id"],
        "principal_id": task["principal_id"],
        "adapter_name": task["adapter_name"],
        "status": snapshot["status"],
        "priority": news.priority.slug,
        "resolution": snapshot["resolution"] or None,
        "media_buy_id": task["media_buy_id"],
        "creative_id": task["creative_id"],
        "operation": task["operation"],
        "version": snapshot["version"],
        "seq": news.seq,
    }
    return orjson.dumps({"type": news.type, "timestamp": moment(news.at), "data": data})


def flat(news: News) -> bytes:
    """The short form for chat bots and scripts: what it is, how urgent, and the masked error, cut to fit `MAX_BODY`."""
    task = news.task
    message = {
        "task_id": task["task_id"],
        "type": task["task_type_id"],
        "priority": news.priority.slug,
        "detail": "",
        "principal": task["principal_id"],
    }
    room = MAX_BODY - 1 - len(orjson.dumps(message))
    return orjson.dumps(message | {"detail": cut_to_fit(task["error_detail"], room)})


def cut_to_fit(text: str, room: int) -> str:
    """`text`, or its beginning and an ellipsis, so that it takes at most `room` bytes in JSON (without its quotes)."""
    if len(orjson.dumps(text)) - 2 <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(orjson.dumps(text[:middle] + "…")) - 2 <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low] + "…"


def ping(at: datetime) -> bytes:
    """What the test button sends, in every format."""
    return orjson.dumps({"type": "endpoint.test", "timestamp": moment(at), "data": {"message": "This is a test."}})
