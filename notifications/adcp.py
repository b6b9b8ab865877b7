"""The push notification of the Ad Context Protocol: how a human task looks to a buyer's agent. Pure.

Written after adcontextprotocol/adcp@4439b187: static/schemas/source/core/mcp-webhook-payload.json and
docs/building/by-layer/L3/webhooks.mdx. What only the buyer knows (`operation_id`, `context`, `token`) the adapter
passes on when it opens the task, under `context_data.adcp`; docs/webhooks.md says how.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from notifications.payloads import News, moment
from tasks_app.states import Resolution

CONTEXT_KEY: Final = "adcp"
"""Where in a task's `context_data` the adapter puts what the buyer gave."""
MOST_CONTEXT: Final = 64_000
"""Bytes of a `context` that is echoed; a larger one is left out."""

STATUSES: Final[Mapping[str, str]] = {
    "": "submitted",
    Resolution.APPROVED: "completed",
    Resolution.COMPLETED: "completed",
    Resolution.REJECTED: "rejected",
    Resolution.CANNOT_COMPLETE: "failed",
    Resolution.EXPIRED: "failed",
    Resolution.WITHDRAWN: "canceled",
}
"""How a task ended (empty: it is open) -> the protocol's task status."""

_MESSAGES: Final[Mapping[str, str]] = {
    "": "A person has to look at this operation.",
    Resolution.APPROVED: "A person approved this operation.",
    Resolution.COMPLETED: "A person carried this operation out, or removed what was in its way.",
    Resolution.REJECTED: "A person rejected this operation.",
    Resolution.CANNOT_COMPLETE: "A person could not complete this operation.",
    Resolution.EXPIRED: "Nobody decided about this operation in time.",
    Resolution.WITHDRAWN: "This operation was withdrawn before anybody decided.",
}
_ERRORS: Final[Mapping[str, tuple[str, str]]] = {
    Resolution.REJECTED: ("POLICY_VIOLATION", "terminal"),
    Resolution.CANNOT_COMPLETE: ("HUMAN_CANNOT_COMPLETE", "terminal"),
    Resolution.EXPIRED: ("HUMAN_DECISION_EXPIRED", "correctable"),
}

# The protocol's task types with the protocol (domain) that each belongs to; None where it has no name for it.
_PROTOCOLS: Final[Mapping[str | None, str]] = {
    "media-buy": "create_media_buy update_media_buy buy_products accept_proposal control_media_buy media_buy_delivery "
    "sync_creatives get_products request_proposals refine_proposals decline_proposals sync_event_sources "
    "sync_audiences sync_catalogs log_event",
    "creative": "build_creative preview_creative get_creative_delivery",
    "signals": "activate_signal get_signals",
    "governance": "create_property_list update_property_list get_property_list list_property_lists "
    "delete_property_list",
    "brand": "get_brand_identity search_brands get_rights acquire_rights update_rights",
    None: "sync_accounts get_account_financials sync_agent_notification_configs",
}
TASK_TYPES: Final = {name: protocol for protocol, names in _PROTOCOLS.items() for name in names.split()}
_OF_OUR_TYPES: Final = {"creative_approval": "sync_creatives"}
_OTHERWISE: Final = "create_media_buy"

_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,255}")


def body(news: News, *, idempotency_key: str, token: str) -> bytes:
    """The envelope. Our own ids are under `ext.hitl`, so that an adapter finds its task again."""
    task, echo = news.task, news.echo
    resolution = news.snapshot["resolution"] or ""
    task_id = _known_id(echo.get("task_id")) or task["task_id"]
    task_type = _task_type(news)
    envelope: dict[str, Any] = {
        "idempotency_key": idempotency_key,
        "operation_id": _known_id(echo.get("operation_id")) or task["task_id"],
        "task_id": task_id,
        "task_type": task_type,
        "status": STATUSES[resolution],
        "timestamp": moment(news.at),
        "message": _MESSAGES[resolution],
    }
    if protocol := TASK_TYPES[task_type]:
        envelope["protocol"] = protocol
    if resolution:
        envelope["notification_id"] = f"{task_id}.terminal"
    if resolution in _ERRORS:
        code, recovery = _ERRORS[resolution]
        error = {"code": code, "message": _MESSAGES[resolution], "recovery": recovery}
        envelope["result"] = {"errors": [error]}
    elif not resolution:
        envelope["result"] = {"status": "submitted", "task_id": task_id}
    envelope |= _echoed(echo, token)
    envelope["ext"] = {
        "hitl": {
            "task_id": task["task_id"],
            "task_type": task["task_type_id"],
            "resolution": resolution or None,
            "seq": news.seq,
        }
    }
    return orjson.dumps(envelope)


def _echoed(echo: Mapping[str, Any], token: str) -> dict[str, Any]:
    """`context`, `context_id` and `token` as the buyer gave them; what cannot be echoed as it was is left out."""
    found: dict[str, Any] = {}
    context = echo.get("context")
    if isinstance(context, dict) and len(orjson.dumps(context)) <= MOST_CONTEXT:
        found["context"] = context
    if context_id := _known_id(echo.get("context_id")):
        found["context_id"] = context_id
    own = echo.get("token")
    wanted = own if isinstance(own, str) and own else token
    if is_token(wanted):
        found["token"] = wanted
    return found


def is_token(text: str) -> bool:
    """Whether `text` has a length that the protocol allows for a token."""
    return 16 <= len(text) <= 4096


def _task_type(news: News) -> str:
    """What the adapter named, else the operation, where the protocol has a task of that name; else by our type."""
    for name in (news.echo.get("task_type"), news.task["operation"]):
        if isinstance(name, str) and name in TASK_TYPES:
            return name
    return _OF_OUR_TYPES.get(news.task["task_type_id"], _OTHERWISE)


def _known_id(value: Any) -> str:
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""
