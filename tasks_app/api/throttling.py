"""Requests per minute and token. If the store of the counts is down, requests pass: a limit is no outage."""

import logging
import threading
import time
from typing import Any, Final

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from core import clock
from tasks_app.models import AdapterToken

log = logging.getLogger(__name__)

# A process takes requests from a token's minute in parcels of a hundredth of the limit, at most so many, and asks the
# store again when the parcel is used up: one round trip for many requests. So the limit is never exceeded, and each
# process may leave up to one parcel of it unused.
LARGEST_PARCEL: Final = 50
# After a failure of the store, requests pass uncounted for so long, instead of waiting for it one after another.
REST_SECONDS: Final = 5.0


class Allowances:
    """What this process may still let pass: by caller the minute with its limit, and what is left of the parcel."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[tuple[int, int], int]] = {}
        self._lock = threading.Lock()
        self._rests_until = 0.0

    def take(self, who: str, minute: int, limit: int) -> bool:
        """Whether one more request of `who` may pass in this minute."""
        with self._lock:
            kept, left = self._left.get(who, ((0, 0), 0))
            if left > 0 and kept == (minute, limit):
                self._left[who] = (kept, left - 1)
                return True
        if time.monotonic() < self._rests_until:
            return True
        parcel = max(1, min(limit // 100, LARGEST_PARCEL))
        try:
            granted = _fetch(f"rate:{who}:{minute}", parcel, limit)
        except Exception as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            log.warning("rate limit not counted: %s", error)
            return True
        with self._lock:
            if len(self._left) > 10_000:
                self._left.clear()
            self._left[who] = ((minute, limit), granted - 1)
        return granted > 0

    def wake(self) -> None:
        """Forget a failure of the store."""
        self._rests_until = 0.0


def _fetch(key: str, parcel: int, limit: int) -> int:
    """Count a parcel in the store; return how many of its requests are within the limit."""
    try:
        counted = cache.incr(key, parcel)
    except ValueError:  # the first of the minute
        cache.add(key, 0, timeout=120)
        counted = cache.incr(key, parcel)
    return min(parcel, limit - (counted - parcel))


allowances: Final = Allowances()


class TokenThrottle(BaseThrottle):
    """A count per clock minute and caller."""

    def allow_request(self, request: Request, view: Any) -> bool:
        limit = settings.HITL_RATE_LIMIT
        if not limit or not request.user.is_authenticated:
            return True
        who = f"t{request.auth.pk}" if isinstance(request.auth, AdapterToken) else f"u{request.user.pk}"
        return allowances.take(who, int(clock.now().timestamp()) // 60, limit)

    def wait(self) -> float:
        return 60 - clock.now().timestamp() % 60
