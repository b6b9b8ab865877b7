"""Run a few child processes as one: start them, bring back one that falls, stop all of them together."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

STOP_SECONDS: Final = 8.0
RESTARTS: Final = 3
RESTARTS_WITHIN_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.1

Say = Callable[[str], None]


@dataclass
class Child:
    """One child: its name in messages, its command and what its environment has besides ours."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    falls: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS + 1))

    def fell(self) -> str | None:
        """How it ended, or None while it runs."""
        status = self.process.poll() if self.process else None
        if status is None:
            return None
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def falls_too_often(self, moment: float) -> bool:
        """Note a fall at `moment` (monotonic seconds); whether it was one too many for the time given."""
        self.falls.append(moment)
        return len(self.falls) > RESTARTS and moment - self.falls[0] < RESTARTS_WITHIN_SECONDS


class Supervisor:
    """Start children in process groups of their own, so that a Ctrl-C in the terminal reaches us alone, and wait.

    SIGINT and SIGTERM stop everything in order; a second one stops it at once. Children also end when we are killed
    (Linux), so that nothing is left holding the port.
    """

    def __init__(self, children: Sequence[Child], folder: Path, say: Say) -> None:
        self.children = children
        self.folder = folder
        self.say = say
        self._signals = 0
        self._woken = threading.Event()

    def run(self, is_ready: Callable[[], bool], when_ready: Callable[[], None], ready_within: float) -> int:
        """Run until a signal (returns 0) or a failure (returns 1). `when_ready` is called once `is_ready()` says so."""
        signal.signal(signal.SIGINT, self._note_signal)
        signal.signal(signal.SIGTERM, self._note_signal)
        deadline: float | None = time.monotonic() + ready_within
        try:
            for child in self.children:
                self._start(child)
            while not self._signals:
                if deadline is not None and is_ready():
                    deadline = None
                    when_ready()
                failure = self._tend(starting=deadline is not None)
                if failure is None and deadline is not None and time.monotonic() > deadline:
                    failure = f"The system did not become ready within {ready_within:.0f} seconds."
                if failure:
                    self.say(f"{failure} Stopping the rest.")
                    return 1
                self._woken.wait(POLL_SECONDS)
            return 0
        finally:
            self._stop()

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        self._woken.set()

    def _start(self, child: Child) -> None:
        child.process = subprocess.Popen(  # noqa: S603  (our own commands, no shell)
            child.command,
            cwd=self.folder,
            env={**os.environ, **child.environment},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )

    def _tend(self, *, starting: bool) -> str | None:
        """Bring back a child that fell; a sentence if that is pointless: it fell at the start, or again and again."""
        for child in self.children:
            how = child.fell()
            if how is None:
                continue
            if starting or child.falls_too_often(time.monotonic()):
                return f"The {child.name} ended unexpectedly ({how})."
            self.say(f"The {child.name} ended unexpectedly ({how}); it is started again.")
            self._start(child)
        return None

    def _stop(self) -> None:
        """Ask all at once, wait, and end what is left, its own children included."""
        running = [child.process for child in self.children if child.process]
        for process in running:
            process.terminate()
        asked, deadline = self._signals, time.monotonic() + STOP_SECONDS
        while any(process.poll() is None for process in running):
            if time.monotonic() > deadline or self._signals > asked:
                break
            time.sleep(POLL_SECONDS / 2)
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _end_with_parent() -> None:
    """Runs in the child before its program: ask Linux to send it SIGTERM when its parent is gone."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
