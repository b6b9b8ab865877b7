"""Identifiers: a readable prefix and a UUIDv7 (RFC 9562), so that they sort by the time they were made."""

import re
from typing import Final

import uuid_utils

TASK_PREFIX: Final = "task_"
EVENT_PREFIX: Final = "evt_"

_SHAPE = re.compile(r"[a-z]+_[0-9a-f]{32}")


def new_id(prefix: str) -> str:
    """Return `prefix` + 32 lower-case hex digits of a UUIDv7."""
    return f"{prefix}{uuid_utils.uuid7().hex}"


def looks_like_id(value: str, prefix: str) -> bool:
    """Whether `value` has the shape of an identifier made by `new_id(prefix)`."""
    return value.startswith(prefix) and _SHAPE.fullmatch(value) is not None
