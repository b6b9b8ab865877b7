"""Run a few child processes as one: start them, bring back one that falls, stop all of them together.

`manage.py up` becomes this program once everything is prepared (`become`). It imports nothing but the standard library,
so that what only waits for its children does not keep 80 MB of Django for it.
"""

import ctypes
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

READY_SECONDS: Final = 120.0
STOP_SECONDS: Final = 8.0
RESTARTS: Final = 3
RESTARTS_WITHIN_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.1

Say = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """A program to keep running: its name in messages, its command and what its environment has besides ours."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """What to run in which folder, whose `/readyz` tells that it runs, and the lines to print then."""

    programs: Sequence[Program]
    folder: str
    host: str
    port: int
    announcement: str


@dataclass
class Child:
    """A program and the process that runs it."""

    program: Program
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

    def __init__(self, programs: Sequence[Program], folder: Path, say: Say) -> None:
        self.children = [Child(program) for program in programs]
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
            child.program.command,
            cwd=self.folder,
            env={**os.environ, **child.program.environment},
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
                return f"The {child.program.name} ended unexpectedly ({how})."
            self.say(f"The {child.program.name} ended unexpectedly ({how}); it is started again.")
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


# -- as a program ------------------------------------------------------------------------------------------------------


def become(plan: Plan, lock: int) -> NoReturn:
    """Go on as this module with the same process id. The open file `lock` stays locked until the end.

    The plan travels through a pipe: it names logins, which a command line would show to everybody on the machine.
    """
    reading, writing = os.pipe()
    os.write(writing, json.dumps(asdict(plan)).encode())  # some kilobytes: a pipe holds them before anybody reads
    os.close(writing)
    os.set_inheritable(reading, True)
    os.set_inheritable(lock, True)
    os.execv(sys.executable, [sys.executable, "-P", __file__, str(reading)])  # noqa: S606  (no shell, nothing from outside)


def main(descriptor: int) -> int:
    with os.fdopen(descriptor, "rb") as pipe:
        given: dict[str, Any] = json.load(pipe)
    plan = Plan(**{**given, "programs": [Program(**program) for program in given["programs"]]})
    status = Supervisor(plan.programs, Path(plan.folder), _say).run(
        is_ready=lambda: _answers(plan.host, plan.port),
        when_ready=lambda: _say(plan.announcement),
        ready_within=READY_SECONDS,
    )
    _say("Stopped.")
    return status


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _answers(host: str, port: int) -> bool:
    """Whether our web server says that it is ready."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (compared, not bound)
    connection = http.client.HTTPConnection(reachable, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
