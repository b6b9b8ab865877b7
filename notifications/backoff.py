"""What follows an attempt to deliver: done, again later, given up, or the endpoint switched off. Pure: no clock.

The schedule is that of Standard Webhooks 1.0 (ten attempts over 75 hours), so that a receiver that is down over a
weekend loses nothing. Jitter keeps the deliveries of one outage from coming back as one wave.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

SCHEDULE: Final[tuple[timedelta, ...]] = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""The wait before attempt 1, 2, ... 10, counted from the end of the one before."""

MAX_ATTEMPTS: Final = len(SCHEDULE)
JITTER: Final = 0.2
RETRY_AFTER_CAP: Final = timedelta(hours=24)
THROTTLE: Final = timedelta(seconds=30)
"""How long an overloaded endpoint is left alone if it does not say itself."""

_OVERLOADED: Final = frozenset({429, 502, 504})


class Outcome(StrEnum):
    """What becomes of the delivery."""

    DELIVERED = "delivered"
    RETRY = "retry"
    GIVE_UP = "give_up"
    DISABLE = "disable"


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one attempt and what to do about it."""

    outcome: Outcome
    next_at: datetime | None = None
    """When to try this delivery again; given with RETRY only."""
    throttle_until: datetime | None = None
    """The endpoint is overloaded: send it nothing, of any delivery, before this time."""


def next_attempt(
    attempt_no: int, now: datetime, *, status: int | None, retry_after: str | None, rng: random.Random
) -> Decision:
    """Decide after attempt `attempt_no` (the first is 1), which ended at `now` with `status` (None: no answer came).

    Only 2xx delivers; a redirect is a failure, as its target was never checked. 410 asks to switch the endpoint off.
    `Retry-After` (seconds or an HTTP date, capped at 24 h) puts the next attempt off, but never brings it forward.
    """
    if attempt_no < 1:
        raise ValueError("Attempts are counted from 1.")
    if status is not None and 200 <= status < 300:
        return Decision(Outcome.DELIVERED)
    if status == 410:
        return Decision(Outcome.DISABLE)
    asked = _asked_wait(retry_after, now)
    throttle_until = None
    if status in _OVERLOADED or (status == 503 and asked is not None):
        throttle_until = now + (THROTTLE if asked is None else asked)
    if attempt_no >= MAX_ATTEMPTS:
        return Decision(Outcome.GIVE_UP, throttle_until=throttle_until)
    wait = SCHEDULE[attempt_no] * rng.uniform(1 - JITTER, 1 + JITTER)
    if asked is not None:
        wait = max(wait, asked * rng.uniform(1, 1 + JITTER))
    return Decision(Outcome.RETRY, next_at=now + wait, throttle_until=throttle_until)


def _asked_wait(retry_after: str | None, now: datetime) -> timedelta | None:
    """The wait a `Retry-After` asks for, between 0 and the cap; None if there is none or it cannot be read."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        # Ten digits are 300 years; longer numbers would overflow timedelta.
        return min(timedelta(seconds=int(text[:10])), RETRY_AFTER_CAP)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max(date - now, timedelta(0)), RETRY_AFTER_CAP)
