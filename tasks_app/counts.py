"""What is counted over open tasks, remembered for as long as nothing happens.

Counting 15,000 open rows takes some milliseconds, more than the page beside it. Whatever changes a count leaves an
event and with it an outbox row, so a count holds while the newest outbox row is the same and no deadline passed.
On PostgreSQL a row may be committed behind a newer one: a count is remembered only if no transaction was under way when
it was made, so that nothing older can appear later.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from django.conf import settings
from django.db import connection
from django.db.models import BooleanField, Count, Func, Min, Q

from core import prepared
from tasks_app.models import EventOutbox
from tasks_app.models.task import NEVER, TaskQuerySet

T = TypeVar("T")

MOST_KEPT: Final = 1_000


class NobodyWrites(Func):
    """Whether no transaction is under way that has written. SQLite has one writer, who is never seen halfway.

    Asked before the count, and about the present: whoever ended meanwhile is in the count.
    """

    function = None
    template = "TRUE"
    output_field = BooleanField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        # Not the snapshot's list: the transaction that began last stands in none.
        return (
            "NOT EXISTS (SELECT FROM pg_stat_get_activity(NULL) AS a WHERE a.backend_xid IS NOT NULL "
            "AND a.datid = (SELECT oid FROM pg_database WHERE datname = current_database()))"
        ), []


@dataclass(frozen=True)
class _Kept:
    newest: int
    until: datetime
    found: Any


_kept: dict[Hashable, _Kept] = {}


def remembered(key: Hashable, now: datetime, count: Callable[[], tuple[T, datetime]]) -> T:
    """What `count()` finds of open tasks, by a filter that `key` names; it also says up to which moment that holds.

    Nothing is remembered where HITL_LOOKUP_SECONDS is 0.
    """
    if not settings.HITL_LOOKUP_SECONDS:
        return count()[0]
    newest, is_quiet = _newest()
    kept = _kept.get(key)
    if kept is None or kept.newest != newest or now >= kept.until:
        found, until = count()
        kept = _Kept(newest, until, found)
        if is_quiet and not connection.in_atomic_block:
            if len(_kept) >= MOST_KEPT:
                _kept.clear()
            _kept[key] = kept
    answer: T = kept.found
    return answer


def open_counts(key: Hashable, tasks: Callable[[], TaskQuerySet], now: datetime) -> dict[str, int]:
    """`total_count` and `overdue_count` of `tasks()`: open ones, by a filter that `key` names and no moment changes."""

    def count() -> tuple[dict[str, int], datetime]:
        found = tasks().aggregate(**_counted(now), until=Min("due_by", filter=Q(due_by__gte=now)))
        until = found.pop("until") or NEVER
        return found, until

    return remembered(key, now, count)


def counted(tasks: TaskQuerySet, now: datetime) -> dict[str, int]:
    """The same, counted now."""
    return tasks.aggregate(**_counted(now))


def _counted(now: datetime) -> dict[str, Count]:
    return {"total_count": Count("pk"), "overdue_count": Count("pk", filter=Q(due_by__lt=now))}


def _newest() -> tuple[int, bool]:
    """The newest outbox row that can be seen, and whether an older one may still appear."""
    found = prepared.rows(
        "newest outbox row",
        lambda: EventOutbox.objects.order_by("-id").values_list("id", NobodyWrites())[:1],
    )
    return (found[0][0], bool(found[0][1])) if found else (0, False)


def forget() -> None:
    """Count anew: for tests."""
    _kept.clear()
