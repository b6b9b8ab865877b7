"""The drain: dispatch, lease, send and write until nothing is left, so that one job does the work of thousands."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from core import clock
from notifications.relay import own_webhook
from notifications.relay.dispatch import fan_out, give_back
from notifications.relay.leases import Leased, lease_due, lease_time
from notifications.relay.outcomes import Try, settle
from notifications.relay.people import fold
from notifications.relay.sender import CONNECTIONS, MAILS, PER_RECEIVER, Sender

FIRST_WINDOW: Final = 5
"""So many requests at once to a receiver that has not answered yet; each success allows more, up to `widest`."""
WIDER: Final = 2
AHEAD: Final = 5
"""So many times what the session sends at once is leased, so that free places are filled while the database works.

Behind a receiver that hangs the last of them are given back unsent in the half of their lease.
"""
DISPATCHED: Final = 300
"""So many events become deliveries between two looks at what came back: the sender must not run dry meanwhile."""
POLL_SECONDS: Final = 0.25
"""While requests are on their way: how often a drain looks for new work; sooner if places are free, or soon will be."""
BREATH_SECONDS: Final = 0.2
"""So far apart are a worker's looks for work while they find little. Where news trickles in without end, a look for two
events costs as much as one for twenty, and on SQLite keeps everybody else from writing."""
FEW: Final = 20
"""So little is less than this."""
FEW_LOOKS: Final = 3
"""After so many looks with little in a row it takes breath: the news of a quiet moment does not wait."""
QUIET_SECONDS: Final = 1.0
"""So long without a look is a quiet moment."""
FOLD_SECONDS: Final = 1.0
"""How often it looks for what is held back for a digest."""
TURN_SECONDS: Final = 60.0
"""How long a drain takes new work; the next one begins while this one waits for its last answers."""

_flight = threading.Lock()
_wanted = threading.Event()


@dataclass
class _Pace:
    """When this process looked last, and how many looks in a row found little. Kept by whoever holds `_flight`."""

    looked: float = 0.0
    with_little: int = 0

    def take_breath(self, seconds: float) -> None:
        since = time.monotonic() - self.looked
        if since > QUIET_SECONDS:
            self.with_little = 0
        elif self.with_little >= FEW_LOOKS:
            time.sleep(max(0.0, seconds - since))

    def note(self, found: int) -> None:
        self.looked = time.monotonic()
        self.with_little = self.with_little + 1 if found < FEW else 0


_pace = _Pace()


def widest(origin: str) -> int:
    """So much may be leased for a receiver. Of mails as many as are sent at once: they have no places of their own."""
    return AHEAD * PER_RECEIVER if origin else MAILS


def drain(*, breath: float = 0.0) -> int:
    """Send what is due; return how many outcomes were written. Looks that find little are `breath` seconds apart.

    One drain runs per process: a second one only tells the first that there is more, so that hanging receivers never
    occupy all threads of a worker. Drains of several processes share the work by their leases.
    """
    done = 0
    _wanted.set()
    while _wanted.is_set() and _flight.acquire(blocking=False):
        with Drain(breath) as one:
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

    def __init__(self, breath: float = 0.0) -> None:
        self.done = 0
        self._breath = breath
        self._sender = Sender()
        self._in_flight: Counter[str] = Counter()
        self._windows: dict[str, int] = {}
        self._leased = 0
        """What was on its way after the last look for work."""

    def __enter__(self) -> "Drain":
        return self

    def __exit__(self, *exc: object) -> None:
        self._sender.__exit__(None, None, None)

    def run(self, seconds: float, moment: Callable[[], float] = time.monotonic) -> None:
        """Work until nothing is due or on its way, or the time is over."""
        own_webhook.ensure(clock.now())
        give_back()
        end = moment() + seconds
        looked = folded = -seconds
        dispatched = 0
        while (now := moment()) < end:
            if now - looked >= POLL_SECONDS or self._in_flight.total() <= max(CONNECTIONS, self._leased // 2):
                _pace.take_breath(self._breath)
                looked, dispatched = moment(), fan_out(DISPATCHED)
                if now - folded >= FOLD_SECONDS:
                    folded, dispatched = now, dispatched + fold()
                leased = lease_due(AHEAD * CONNECTIONS - self._in_flight.total(), self._room)
                _pace.note(dispatched + len(leased))
                self._submit(leased)
            if self._in_flight.total():
                self._settle(self._sender.collect(POLL_SECONDS, enough=min(CONNECTIONS, 1 + self._leased // 4)))
            elif not dispatched:
                return

    def finish(self) -> None:
        """Wait for what is on its way, at most until its leases have ended; every request has its deadline."""
        end = time.monotonic() + lease_time().total_seconds()
        while self._in_flight.total() and time.monotonic() < end:
            self._settle(self._sender.collect(POLL_SECONDS))

    def _room(self, origin: str) -> int:
        return self._windows.get(origin, FIRST_WINDOW) - self._in_flight[origin]

    def _submit(self, batch: Sequence[Leased]) -> None:
        if batch:
            self._sender.submit(batch)
            self._in_flight.update(leased.origin for leased in batch)
        self._leased = self._in_flight.total()

    def _settle(self, tries: Sequence[Try]) -> None:
        for one in tries:
            origin = one.leased.origin
            self._in_flight[origin] -= 1
            succeeded = one.status is not None and 200 <= one.status < 300
            wider = min(widest(origin), self._windows.get(origin, FIRST_WINDOW) + WIDER)
            self._windows[origin] = wider if succeeded else FIRST_WINDOW
        self.done += settle(tries)
