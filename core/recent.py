"""Copies of what is read with every request and changes rarely, kept in the process's memory.

They hold as long as the revision of the configuration does (core/revised.py), for which a process asks once in
`HITL_LOOKUP_SECONDS` (0: nothing is kept): a revoked token, a changed team or task type acts within that time in every
process. Nothing that belongs to one task is kept here.
"""

import time
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from django.conf import settings
from django.db import connection

from core import revised

_everything: Final[list["Recent[Any, Any] | RecentRows[Any, Any]"]] = []

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_KEPT: Final = 10_000
MOST_READ_TOGETHER: Final = 1_000
# A row that nobody asked for in so many readings is read no more.
KEPT_READINGS: Final = 10
# Whatever the revision says, nothing is kept for longer: whoever takes the triggers away gains no more than that.
LONGEST: Final = 60.0


class _Revision:
    """The revision, at most `HITL_LOOKUP_SECONDS` old; empty where it is not known."""

    def __init__(self) -> None:
        self._known = (0.0, "")

    def at(self, now: float, seconds: float) -> str:
        until, token = self._known
        if now >= until:
            found = revised.token()
            # A transaction sees its own change, which nobody else does and which may be taken back: then all count as
            # not knowing. (A thread that read what was before would otherwise keep it under the token of after.)
            token = found if found == token or not connection.in_atomic_block else ""
            self._known = (now + seconds, token)
        return token

    def forget(self) -> None:
        self._known = (0.0, "")


_revision: Final = _Revision()


def _until(begun: float, seconds: float, revision: str) -> float:
    """How long holds what was read from `begun` on: in a transaction one sees what is not committed."""
    return begun + (LONGEST if revision and not connection.in_atomic_block else seconds)


class Recent(Generic[K, V]):
    """`read(key)`, remembered. Values are shared between threads: treat them as frozen.

    None is not remembered, so that what has just come into being is found at once. `read` asks watched tables alone;
    with `is_watched` False others, too, and what it gives is remembered for `HITL_LOOKUP_SECONDS`.
    """

    def __init__(self, read: Callable[..., V], *, is_watched: bool = True) -> None:
        self._read, self.is_watched = read, is_watched
        self._kept: dict[K, tuple[float, str, V]] = {}
        _everything.append(self)

    def get(self, key: K, *arguments: Any) -> V:
        """The value for `key`; `arguments` go to `read` behind it, and do not tell values apart."""
        seconds: float = settings.HITL_LOOKUP_SECONDS
        if not seconds:
            return self._read(key, *arguments)
        now = time.monotonic()
        revision = _revision.at(now, seconds) if self.is_watched else ""
        kept = self._kept.get(key)
        if kept is not None and kept[0] > now and kept[1] == revision:
            return kept[2]
        value = self._read(key, *arguments)
        if value is not None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (_until(now, seconds, revision), revision, value)
        return value

    def refresh(self) -> None:
        """Read again what no longer holds, where the key says it all: before a transaction, as with rows."""
        if settings.HITL_LOOKUP_SECONDS and not connection.in_atomic_block:
            for key in list(self._kept):
                self.get(key)

    def forget(self) -> None:
        """Read anew at the next question."""
        self._kept.clear()


@dataclass
class _Reading(Generic[K, V]):
    """Rows that were read together, under which revision, and until when they hold."""

    rows: dict[K, V] = field(default_factory=dict)
    revision: str = ""
    until: float = 0.0


class RecentRows(Generic[K, V]):
    """Rows by key, remembered; when they no longer hold, those in use are read again together, by one query.

    `read(keys)` gives the rows that exist. One that does not is not remembered, so that what has just come into being
    is found at once. Rows are shared between threads: treat them as frozen.
    """

    def __init__(self, read: Callable[[Collection[K]], Mapping[K, V]]) -> None:
        self._read = read
        self._reading: _Reading[K, V] = _Reading()
        self._used: dict[K, int] = {}  # in which reading a key was last asked for
        self._number = 0
        _everything.append(self)

    def get(self, key: K) -> V | None:
        """The row of `key`."""
        seconds: float = settings.HITL_LOOKUP_SECONDS
        if not seconds:
            return self._read([key]).get(key)
        now = time.monotonic()
        reading = self._current(now, seconds, also={key})
        self._used[key] = self._number
        row = reading.rows.get(key)
        if row is None:
            row = self._read([key]).get(key)
            if row is not None:
                reading.rows[key] = row
                reading.until = min(reading.until, _until(now, seconds, reading.revision))
        return row

    def get_many(self, keys: Collection[K]) -> dict[K, V]:
        """The rows of these keys that exist; those not remembered are read by one query."""
        seconds: float = settings.HITL_LOOKUP_SECONDS
        if not seconds:
            return dict(self._read(keys))
        now = time.monotonic()
        reading = self._current(now, seconds, also=set(keys))
        self._used.update(dict.fromkeys(keys, self._number))
        rows = reading.rows
        if new := [key for key in keys if key not in rows]:
            rows.update(self._read(new))
            reading.until = min(reading.until, _until(now, seconds, reading.revision))
        return {key: rows[key] for key in keys if key in rows}

    def refresh(self) -> None:
        """Read again what no longer holds, if it is in use: before a transaction, in which it would not hold long."""
        seconds: float = settings.HITL_LOOKUP_SECONDS
        if seconds and self._used and not connection.in_atomic_block:
            self._current(time.monotonic(), seconds)

    def _current(self, now: float, seconds: float, also: Collection[K] = ()) -> _Reading[K, V]:
        revision, reading = _revision.at(now, seconds), self._reading
        if now < reading.until and reading.revision == revision:
            return reading
        used = self._used.copy() if len(self._used) < MOST_READ_TOGETHER else {}
        used = {one: number for one, number in used.items() if number > self._number - KEPT_READINGS}
        reading = _Reading(dict(self._read({*used, *also})), revision, _until(now, seconds, revision))
        # As one: the rows of one thread under the revision of another would be kept though they have changed.
        self._reading = reading
        self._used, self._number = used, self._number + 1
        return reading

    def forget(self) -> None:
        """Read anew at the next question."""
        self._reading, self._used = _Reading(), {}


def forget_everything() -> None:
    """Read everything anew at the next question: where the database is another one now, as in tests and a replay."""
    _revision.forget()
    for remembered in _everything:
        remembered.forget()
