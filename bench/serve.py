"""Start a project behind gunicorn as it is deployed, and stop it again.

Both projects get the same shape: two sync workers, the fastest arrangement found on two cores. A sync worker answers
one request per connection, so clients that offer keep-alive reconnect, for both alike.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.load import Request, exchange
from bench.postgres import free_port

WORKERS = 2
READY_SECONDS = 60


class ServerFailedError(Exception):
    """A server under test did not start."""


@dataclass(frozen=True)
class Server:
    port: int
    process: subprocess.Popen[bytes]
    log: Path


def run_python(arguments: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run a Python command of a project (a migration, a token) and return what it printed; its words if it fails."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerFailedError(f"{' '.join(arguments)} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout.strip()


def wait_until_served(server: Server, probe: Request) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError):
            status, _ = exchange(server.port, probe)
            if status == 200:
                return
            raise ServerFailedError(f"{probe.path} answered {status}; log:\n{tail(server.log)}")
        time.sleep(0.1)
    raise ServerFailedError(f"It did not answer within {READY_SECONDS} s; log:\n{tail(server.log)}")


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


@contextlib.contextmanager
def gunicorn(
    application: str, folder: Path, environment: Mapping[str, str], probe: Request, log: Path, workers: int = WORKERS
) -> Iterator[Server]:
    """Serve a WSGI application on a free port until the block ends. `probe` must answer 200 before the block starts."""
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}", "--workers", str(workers),
        "--worker-class", "sync", "--backlog", "2048", "--no-control-socket", "--log-level", "warning",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
        )
    server = Server(port, process, log)
    try:
        wait_until_served(server, probe)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
