"""The one clock. Services ask it once, so that every row of one change carries the same moment."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

_TICKS: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_simulated: ContextVar[datetime | None] = ContextVar("simulated_now", default=None)


def now() -> datetime:
    """Return the current moment, aware, in UTC; the simulated one inside `at()`."""
    return _simulated.get() or datetime.now(UTC)


def ticks() -> float:
    """Seconds that go on evenly, also while the machine sleeps: for how long something has taken, never for when."""
    return time.clock_gettime(_TICKS)


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Run the block as if it were `moment` (aware). For replays of event logs, never for live work."""
    if moment.tzinfo is None:
        raise ValueError("a simulated moment needs a time zone")
    token = _simulated.set(moment.astimezone(UTC))
    try:
        yield
    finally:
        _simulated.reset(token)
