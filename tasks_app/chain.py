"""The hash chain of a task's events. Pure, so that a verifier needs neither Django nor the database.

`hash` = SHA-256 over the compact JSON array (UTF-8, RFC 8259, no spaces, non-ASCII kept) of: the previous hash, event
id, task id, seq, type, actor id, on-behalf-of id, reason, moment (ISO 8601, UTC, microseconds, `Z`), from, to, and the
SHA-256 of the snapshot's bytes. All digests are lower-case hex; the first event's previous hash is the empty string.
"""

import hashlib
import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

# Made once: json.dumps() would make it anew for every event.
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


@lru_cache(4096)  # of each change, most moments stand in the states before and after it and in its audit entry
def moment(at: datetime) -> str:
    """`2026-01-31T12:00:00.000000Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def link(
    prev_hash: str,
    *,
    event_id: str,
    task_id: str,
    seq: int,
    type: str,
    actor_id: int,
    on_behalf_of_id: int | None,
    reason: str,
    at: datetime,
    from_status: str,
    to_status: str,
    snapshot: bytes,
) -> str:
    """The hash of one event behind `prev_hash`."""
    columns: list[Any] = [prev_hash, event_id, task_id, seq, type, actor_id, on_behalf_of_id, reason, moment(at)]
    columns += [from_status, to_status, hashlib.sha256(snapshot).hexdigest()]
    return hashlib.sha256(_ENCODER.encode(columns).encode()).hexdigest()
