"""Deadlines as pure arithmetic: when a task is due, when work on it should begin, when the sweep looks at it next.

All moments are aware and in UTC.
"""

from datetime import datetime, timedelta
from math import log10
from typing import Final

from tasks_app.states import Priority

# The mission's defaults: hours from creation to resolution. Low priority has no deadline.
DEFAULT_HOURS: Final[dict[int, int | None]] = {
    Priority.URGENT: 4,
    Priority.HIGH: 24,
    Priority.MEDIUM: 48,
    Priority.LOW: None,
}

# A task without a deadline queues as if it were due this long after its creation, so that it is not starved for ever.
HORIZON: Final = timedelta(days=30)


def default_due(priority: int, created_at: datetime) -> datetime | None:
    """The due time by priority, or None."""
    hours = DEFAULT_HOURS[priority]
    return None if hours is None else created_at + timedelta(hours=hours)


# The most that value at risk moves a task ahead, and what each further digit of it adds.
MOST_AHEAD: Final = timedelta(hours=1)
AHEAD_A_DIGIT: Final = timedelta(minutes=10)
MOST_VALUE: Final = 1_000_000_000


def start_by(
    due_by: datetime | None, created_at: datetime, handling_minutes: int, value_at_risk: int | None = None
) -> datetime:
    """The queue key: the latest moment to begin, given the usual handling time.

    Value at risk moves it ahead by ten minutes for each power of ten, an hour at most: enough to decide between tasks
    that are due at about the same time, too little for anybody to buy a place before an urgent one.
    """
    begin = (due_by or created_at + HORIZON) - timedelta(minutes=handling_minutes)
    return begin - min(MOST_AHEAD, AHEAD_A_DIGIT * log10(1 + (value_at_risk or 0)))


def expires_at(created_at: datetime, expires_after_hours: int | None) -> datetime | None:
    """When a task of a type that expires comes to its end by itself."""
    return None if expires_after_hours is None else created_at + timedelta(hours=expires_after_hours)


def next_timer(*, due_by: datetime | None, overdue_handled: bool, expiry: datetime | None) -> datetime | None:
    """The one moment that the sweep waits for: the deadline until it was acted upon, then the expiry."""
    pending = [moment for moment in (None if overdue_handled else due_by, expiry) if moment is not None]
    return min(pending, default=None)
