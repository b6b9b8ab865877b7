"""Start the whole system as an operator does (`manage.py up`), in a process of its own, and read what it prints."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests import servers

REPOSITORY = Path(__file__).resolve().parent.parent
READY = "Ctrl-C"
PATIENCE_SECONDS = 90.0
# Of the test run itself, and not for a system that stands on its own.
NOT_INHERITED = ("HITL_", "DJANGO_", "DATABASE_URL", "REDIS_URL", "PORT", "PYTEST_")


class System:
    """`manage.py up` on `home`, on a free port. A context manager: at the end it is stopped."""

    def __init__(self, home: Path | str, **environment: str) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(NOT_INHERITED)}
        self.port = int(environment.pop("PORT", "") or servers.free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=REPOSITORY,
            env={**inherited, "HITL_HOME": str(home), "PORT": str(self.port), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str) -> Self:
        """Wait until `text` was printed."""
        wait_until(lambda: text in self.output or self.process.poll() is not None, f"{text!r} in\n{self.output}")
        assert text in self.output, f"it ended without {text!r}:\n{self.output}"
        return self

    def wait_for_end(self) -> int:
        """Its exit status, once it ended by itself."""
        status = self.process.wait(PATIENCE_SECONDS)
        self._reader.join()
        if self.process.stdout:
            self.process.stdout.close()
        return status

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send the signal that Ctrl-C sends; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait_for_end()

    def family(self) -> dict[int, str]:
        """Every process below it: id -> command line (Linux)."""
        found: dict[int, str] = {}
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        del found[self.process.pid]
        return found

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and body of a GET."""
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


def is_running(pid: int) -> bool:
    """Whether the process still does something: neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.05)
