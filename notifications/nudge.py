"""The nudge: tell a worker, from a thread of its own, that there is something to send."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

# A message costs a process a third of a request. So many a second are enough: the first wish of a quiet moment is
# published at once, and one that comes during the pause waits for its end.
PAUSE: Final = 0.2


class Nudger:
    """Call it after a commit: it notes the wish and returns. A thread publishes it.

    So a broker that is slow or away costs the request nothing, and the wishes of a busy moment become one message:
    whatever was committed before the message was published is found by the drain that it starts. A failed one is
    dropped; the sweep finds the work.
    """

    def __init__(self, publish: Callable[[], None]) -> None:
        self._publish = publish
        self._wanted = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._lock = threading.Lock()
        self._process = 0

    def __call__(self) -> None:
        self._idle.clear()
        self._wanted.set()
        # Threads do not survive a fork: every process starts its own with its first nudge.
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    self._process = os.getpid()
                    threading.Thread(target=self._run, name="nudge", daemon=True).start()

    def settled(self, timeout: float) -> bool:
        """Wait until nothing is left to publish, at most `timeout` seconds; whether that came about."""
        return self._idle.wait(timeout)

    def _run(self) -> None:
        failing = False
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._publish()
                failing = False
            except Exception as error:
                # Any broker fault. Said once per outage, not once per commit.
                if not failing:
                    log.warning("nudge failed, the sweep will find the work: %s", error)
                failing = True
            if not self._wanted.is_set():
                self._idle.set()
            time.sleep(PAUSE)
