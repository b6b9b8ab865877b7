"""`python -m bench.embedded [--requests 10000 50000]`: what `make run` does on SQLite, with web, worker and beat.

- start: seconds from the command to "running", on the second start of a home with the demo; the median of three.
- rates: four clients, each of which opens a task as an adapter and decides it as a reviewer, as fast as they are
  answered, while the worker tells a receiver of each outcome. Any status but the right one, and any line of the
  system's output about a locked database, ends the run.
- memory: of all processes together, as Linux shares it out (PSS), after the start, after so many requests of a working
  day (lists, tasks, pages, creates, decisions), and after so many more.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from bench.load import Client, Request
from bench.ours import FOLDER, SESSION
from bench.serve import run_python
from tests.system import READY, System

CLIENTS = 4
SECONDS = 30.0
SETTLED = 6.0
"""Seconds after the start until beat has had each of its jobs done once."""

DECISION = json.dumps({"resolution": "approved", "resolution_detail": "Within the guidelines."}).encode()


class EmbeddedError(Exception):
    """The system answered what it should not have, or said that its database was locked."""


def _body(number: int) -> bytes:
    task = {
        "task_type": "creative_approval",
        "principal_id": "acme_corp",
        "adapter_name": "creative_engine",
        "creative_id": f"cr_{number:010d}",
        "operation": "add_creative_assets",
        "error_detail": f"Format video_standard_30s is not auto-approved (request {number:010d}).",
        "context_data": {"format_id": "video_standard_30s", "name": f"summer_{number}", "width": 1920, "height": 1080},
    }
    return json.dumps(task).encode()


@dataclass(frozen=True)
class Callers:
    """The credentials of an adapter and of a reviewer, as headers."""

    adapter: dict[str, str]
    person: dict[str, str]
    browser: dict[str, str]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes every webhook."""

    told = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Receiver.told += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()


# -- starts ------------------------------------------------------------------------------------------------------------


def start(home: Path) -> tuple[System, float]:
    began = time.monotonic()
    system = System(
        home,
        HITL_DEMO="1",
        HITL_RATE_LIMIT="100000000",
        HITL_ALLOW_PRIVATE_HOSTS="127.0.0.1",
    ).wait_for(READY)
    return system, time.monotonic() - began


def callers(home: Path) -> Callers:
    environment = {"HITL_HOME": str(home), "DJANGO_SETTINGS_MODULE": "hitl.settings"}
    adapter = json.loads((home / "demo.json").read_text())["tokens"]["bot"]
    person = run_python(["manage.py", "adapter_token", "bench-ana", "--for-user", "ana"], FOLDER, environment)
    session = run_python(["manage.py", "shell", "--verbosity", "0", "-c", SESSION], FOLDER, environment)
    return Callers(
        {"Authorization": f"Bearer {adapter}"},
        {"Authorization": f"Bearer {person}"},
        {"Cookie": f"sessionid={session}"},
    )


def listen(port: int, by: Callers, url: str) -> None:
    """Have the adapter told of each outcome."""
    body = json.dumps({"url": f"{url}outcomes"}).encode()
    _ask(Client(port), Request("POST", "/api/v1/webhook-endpoints/", by.adapter, body, 201))


# -- rates -------------------------------------------------------------------------------------------------------------


def open_and_decide(client: Client, by: Callers, number: int) -> tuple[float, float]:
    """Seconds that the one and the other took."""
    began = time.monotonic()
    task = _ask(client, Request("POST", "/api/v1/tasks/", by.adapter, _body(number), 201))
    opened = time.monotonic()
    _ask(client, Request("POST", f"/api/v1/tasks/{task['task_id']}/complete/", by.person, DECISION))
    return opened - began, time.monotonic() - opened


def _ask(client: Client, request: Request) -> dict[str, str]:
    status, body = client.send(request.render())
    if status != request.expected:
        raise EmbeddedError(f"{request.method} {request.path}: {status} {body[:300]!r}")
    found: dict[str, str] = json.loads(body) if body.startswith(b"{") else {}
    return found


def _keep_deciding(port: int, by: Callers, number: int, out: Connection) -> None:
    client, end, took = Client(port), time.monotonic() + SECONDS, []
    try:
        while time.monotonic() < end:
            number += 1
            took.append(open_and_decide(client, by, number))
    except (EmbeddedError, OSError) as error:
        out.send(error)
    else:
        out.send(took)


def rates(port: int, by: Callers) -> str:
    context, running = multiprocessing.get_context("fork"), []
    for number in range(CLIENTS):
        receiving, sending = context.Pipe(duplex=False)
        arguments = (port, by, number * 100_000_000, sending)
        process = context.Process(target=_keep_deciding, args=arguments, daemon=True)
        process.start()
        running.append((process, receiving))
    took: list[tuple[float, float]] = []
    for process, receiving in running:
        share = receiving.recv()
        process.join()
        if isinstance(share, Exception):
            raise share
        took += share
    told = [f"{len(took) / SECONDS:.0f} creates and as many decisions a second with {CLIENTS} clients"]
    for name, times in zip(("create", "decision"), zip(*took, strict=True), strict=True):
        ordered = sorted(times)
        p50, p99 = (1000 * ordered[int(len(ordered) * part)] for part in (0.5, 0.99))
        told.append(f"{name} p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    return "; ".join(told)


# -- memory ------------------------------------------------------------------------------------------------------------


def memory(system: System) -> dict[str, float]:
    """Megabytes by part. A page that three processes share counts a third for each (PSS)."""
    found: dict[str, float] = {}
    for pid, command in {system.process.pid: "up", **system.family()}.items():
        part = next((name for name in ("gunicorn", "worker", "beat") if name in command), "up")
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        found[part] = found.get(part, 0) + kilobytes / 1024
    return found


def working_day(port: int, by: Callers, requests: int) -> None:
    """Lists, tasks, pages, creates and decisions by turns: ten requests a turn."""
    client, number = Client(port), 900_000_000 + int(time.monotonic())
    for _turn in range(requests // 10):
        number += 1
        task = _ask(client, Request("POST", "/api/v1/tasks/", by.adapter, _body(number), 201))
        own = task["task_id"]
        for request in (
            Request("GET", "/api/v1/tasks/pending/?limit=50", by.person),
            Request("GET", f"/api/v1/tasks/{own}/", by.adapter),
            Request("GET", "/admin/", by.browser),
            Request("GET", "/admin/tasks_app/humantask/?tab=unassigned", by.browser),
            Request("GET", f"/admin/tasks_app/humantask/{own}/change/", by.browser),
            Request("POST", f"/api/v1/tasks/{own}/complete/", by.person, DECISION),
            Request("GET", f"/api/v1/tasks/{own}/", by.adapter),
            Request("GET", "/api/v1/events/?limit=100", by.adapter),
            Request("GET", "/api/v1/tasks/pending/?limit=10", by.person),
        ):
            _ask(client, request)
    client.close()


def _said(found: dict[str, float]) -> str:
    parts = ", ".join(f"{name} {size:.0f}" for name, size in sorted(found.items()))
    return f"{sum(found.values()):.0f} MB ({parts})"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.embedded")
    parser.add_argument("--requests", type=int, nargs="*", default=[10_000, 50_000], help="of the memory's two parts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, receiver() as url:
        home = Path(folder) / "home"
        starts = []
        for _number in range(4):
            system, seconds = start(home)
            starts.append(seconds)
            system.stop()
        again = f"{median(starts[1:]):.1f} s ({', '.join(f'{seconds:.1f}' for seconds in starts[1:])})"
        print(f"start: first {starts[0]:.1f} s, then {again}", flush=True)
        system, _seconds = start(home)
        try:
            time.sleep(SETTLED)
            by = callers(home)
            listen(system.port, by, url)
            print(f"memory after the start: {_said(memory(system))}", flush=True)
            print(f"rates: {rates(system.port, by)}; {Receiver.told} webhooks arrived meanwhile", flush=True)
            for requests in given.requests:
                working_day(system.port, by, requests)
                print(f"memory after {requests:,} more requests: {_said(memory(system))}", flush=True)
        finally:
            system.stop()
        if locked := [line for line in system.lines if "locked" in line.lower()]:
            raise EmbeddedError(f"{len(locked)} lines such as {locked[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
