"""Copies of what is read with every request and changes rarely, kept for a second or so in the process's memory.

`HITL_LOOKUP_SECONDS` says how long (0: never): a revoked token, a changed team or task type acts within that time in
every process. Nothing that belongs to one task is kept here.
"""

import time
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, Final, Generic, TypeVar

from django.conf import settings

_everything: Final[list["Recent[Any, Any] | RecentRows[Any, Any]"]] = []

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_KEPT: Final = 10_000
MOST_READ_TOGETHER: Final = 1_000
# A row that nobody asked for in so many readings is read no more.
KEPT_READINGS: Final = 10


class Recent(Generic[K, V]):
    """`read(key)`, remembered for `HITL_LOOKUP_SECONDS`. Values are shared between threads: treat them as frozen.

    None is not remembered, so that what has just come into being is found at once.
    """

    def __init__(self, read: Callable[..., V]) -> None:
        self._read = read
        self._kept: dict[K, tuple[float, V]] = {}
        _everything.append(self)

    def get(self, key: K, *arguments: Any) -> V:
        """The value for `key`; `arguments` go to `read` behind it, and do not tell values apart."""
        seconds: float = settings.HITL_LOOKUP_SECONDS
        if not seconds:
            return self._read(key, *arguments)
        now = time.monotonic()
        kept = self._kept.get(key)
        if kept is not None and kept[0] > now:
            return kept[1]
        value = self._read(key, *arguments)
        if value is not None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (now + seconds, value)
        return value

    def forget(self) -> None:
        """Read anew at the next question."""
        self._kept.clear()


class RecentRows(Generic[K, V]):
    """Rows by key, remembered for `HITL_LOOKUP_SECONDS`: those in use are then read again together, by one query.

    `read(keys)` gives the rows that exist. One that does not is not remembered, so that what has just come into being
    is found at once. Rows are shared between threads: treat them as frozen.
    """

    def __init__(self, read: Callable[[Collection[K]], Mapping[K, V]]) -> None:
        self._read = read
        self._rows: dict[K, V] = {}
        self._used: dict[K, int] = {}  # in which reading a key was last asked for
        self._reading = 0
        self._until = 0.0
        _everything.append(self)

    def get(self, key: K) -> V | None:
        """The row of `key`, at most `HITL_LOOKUP_SECONDS` old."""
        seconds: float = settings.HITL_LOOKUP_SECONDS
        if not seconds:
            return self._read([key]).get(key)
        self._read_again_if_old({key}, seconds)
        self._used[key] = self._reading
        row = self._rows.get(key)
        if row is None:
            row = self._read([key]).get(key)
            if row is not None:
                self._rows[key] = row
        return row

    def get_many(self, keys: Collection[K]) -> dict[K, V]:
        """The rows of these keys that exist; those not remembered are read by one query."""
        seconds: float = settings.HITL_LOOKUP_SECONDS
        if not seconds:
            return dict(self._read(keys))
        self._read_again_if_old(set(keys), seconds)
        rows = self._rows
        self._used.update(dict.fromkeys(keys, self._reading))
        if new := [key for key in keys if key not in rows]:
            rows.update(self._read(new))
        return {key: rows[key] for key in keys if key in rows}

    def _read_again_if_old(self, keys: set[K], seconds: float) -> None:
        now = time.monotonic()
        if now >= self._until:
            used = self._used if len(self._used) < MOST_READ_TOGETHER else {}
            used = {one: reading for one, reading in used.items() if reading > self._reading - KEPT_READINGS}
            rows = dict(self._read({*used, *keys}))
            self._rows, self._used, self._until, self._reading = rows, used, now + seconds, self._reading + 1

    def forget(self) -> None:
        """Read anew at the next question."""
        self._rows, self._used, self._until = {}, {}, 0.0


def forget_everything() -> None:
    """Read everything anew at the next question: where the database is another one now, as in tests and a replay."""
    for remembered in _everything:
        remembered.forget()
