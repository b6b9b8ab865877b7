"""The drain: dispatch, lease, send and write until nothing is left, so that one job does the work of thousands."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from core import clock
from notifications.relay import own_webhook
from notifications.relay.dispatch import fan_out
from notifications.relay.leases import Leased, lease_due
from notifications.relay.outcomes import Try, settle
from notifications.relay.people import fold
from notifications.relay.sender import CONNECTIONS, PER_RECEIVER, Sender

FIRST_WINDOW: Final = 5
"""So many requests at once to a receiver that has not answered yet; each success allows one more, up to `WIDEST`."""
AHEAD: Final = 3
"""So many times what the session sends at once is leased: while the database works, places that become free are filled.

Behind a receiver that hangs the last of them wait twice the deadline of a request for their own; a lease is longer.
"""
WIDEST: Final = AHEAD * PER_RECEIVER
DISPATCHED: Final = 150
"""So many events become deliveries between two looks at what came back: the sender must not run dry meanwhile."""
POLL_SECONDS: Final = 0.25
"""While requests are on their way: how often a drain looks for new work."""
TURN_SECONDS: Final = 60.0
"""How long a drain takes new work; the next one begins while this one waits for its last answers."""

_flight = threading.Lock()
_wanted = threading.Event()


def drain() -> int:
    """Send what is due; return how many outcomes were written.

    One drain runs per process: a second one only tells the first that there is more, so that hanging receivers never
    occupy all threads of a worker. Drains of several processes share the work by their leases.
    """
    done = 0
    _wanted.set()
    while _wanted.is_set() and _flight.acquire(blocking=False):
        with Drain() as one:
            try:
                _wanted.clear()
                one.run(TURN_SECONDS)
            finally:
                _flight.release()
            one.finish()
            done += one.done
    return done


class Drain:
    """One drain: what is on its way, and how much each receiver may have at once."""

    def __init__(self) -> None:
        self.done = 0
        self._sender = Sender()
        self._in_flight: Counter[str] = Counter()
        self._windows: dict[str, int] = {}

    def __enter__(self) -> "Drain":
        return self

    def __exit__(self, *exc: object) -> None:
        self._sender.__exit__(None, None, None)

    def run(self, seconds: float, moment: Callable[[], float] = time.monotonic) -> None:
        """Work until nothing is due or on its way, or the time is over."""
        own_webhook.ensure(clock.now())
        end = moment() + seconds
        while moment() < end:
            dispatched = fan_out(DISPATCHED) + fold()
            batch = lease_due(AHEAD * CONNECTIONS - self._in_flight.total(), self._room)
            self._submit(batch)
            if self._in_flight.total():
                self._settle(self._sender.collect(POLL_SECONDS, enough=1 + self._in_flight.total() // 4))
            elif not dispatched:
                return

    def finish(self) -> None:
        """Wait for what is on its way; every request has its deadline."""
        while self._in_flight.total():
            self._settle(self._sender.collect(POLL_SECONDS))

    def _room(self, origin: str) -> int:
        return self._windows.get(origin, FIRST_WINDOW) - self._in_flight[origin]

    def _submit(self, batch: Sequence[Leased]) -> None:
        if batch:
            self._sender.submit(batch)
            self._in_flight.update(leased.origin for leased in batch)

    def _settle(self, tries: Sequence[Try]) -> None:
        for one in tries:
            origin = one.leased.origin
            self._in_flight[origin] -= 1
            succeeded = one.status is not None and one.status < 300
            wider = min(WIDEST, self._windows.get(origin, FIRST_WINDOW) + 1)
            self._windows[origin] = wider if succeeded else FIRST_WINDOW
        self.done += settle(tries)
