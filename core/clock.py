"""The one clock. Services ask it once, so that every row of one change carries the same moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_simulated: ContextVar[datetime | None] = ContextVar("simulated_now", default=None)


def now() -> datetime:
    """Return the current moment, aware, in UTC; the simulated one inside `at()`."""
    return _simulated.get() or datetime.now(UTC)


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
