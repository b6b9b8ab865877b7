"""Copies of what is read with every request and changes rarely, kept for a second or so in the process's memory.

`HITL_LOOKUP_SECONDS` says how long (0: never): a revoked token, a changed team or task type acts within that time in
every process. Nothing that belongs to one task is kept here.
"""

import time
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar

from django.conf import settings

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST_KEPT: Final = 10_000


class Recent(Generic[K, V]):
    """`read(key)`, remembered for `HITL_LOOKUP_SECONDS`. Values are shared between threads: treat them as frozen.

    None is not remembered, so that what has just come into being is found at once.
    """

    def __init__(self, read: Callable[..., V]) -> None:
        self._read = read
        self._kept: dict[K, tuple[float, V]] = {}

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
