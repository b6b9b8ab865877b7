"""More than can be served: `python -m bench.overload [sqlite postgres nginx] [--seconds 30] [--times 10]`.

What `manage.py up` runs, on SQLite with the demo (`make run`), on PostgreSQL, and on PostgreSQL behind nginx with the
configuration of deploy/, is asked for a working mix of API and console, every tenth call a new task. In turn:

- capacity: answers a second for as many callers as there are threads, each waiting for his answer;
- overload: ten times that for 30 seconds, at random moments, from 200 addresses, without waiting for any answer.
  Told are the accepted ones and their times, counted from the moment at which the call was to begin, and how many of
  the others got 429 or 503 with Retry-After; then how long until everybody is accepted again, and what nginx makes of
  the same flood from one address;
- slow clients that send a header or a body, or read a long answer, by a byte a second, while others work;
- SIGTERM in the middle of it: everybody whose connection was made gets a whole answer.

Rate limits of tokens stand above all this. Generator and server share the machine. Ends with 1 if anything was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import embedded, flood
from bench.load import Request, exchange
from bench.ours import FOLDER, Ours, redis
from bench.postgres import cluster, free_port
from bench.stock import column, create_body
from tests.system import READY, System

CLOSED = 10_000
THREADS = 8
CALM = 20.0
"""Calls a second that any machine can serve, for the slow clients' neighbours."""

LIMIT_SECONDS = 2.0
BACK_WITHIN_SECONDS = 10


@dataclass
class Stand:
    """One arrangement under test. Calls go to `port`; `direct` calls the system itself."""

    name: str
    system: System
    port: int
    mix: list[Request]
    long: Request
    create: Request
    slow: int
    faults: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        print(f"{self.name}: {text}", flush=True)

    def expect(self, holds: bool, text: str) -> None:
        self.say(("" if holds else "DOES NOT HOLD: ") + text)
        if not holds:
            self.faults.append(text)


def mix(
    port: int, adapter: dict[str, str], person: dict[str, str], browser: dict[str, str], body: bytes
) -> list[Request]:
    """Ten calls: lists and a task over the API, the console's pages, a new task."""
    create = Request("POST", "/api/v1/tasks/", adapter, body, 201)
    pk = json.loads(exchange(port, create)[1])["task_id"]
    pending = Request("GET", "/api/v1/tasks/pending/?limit=50", person)
    task = Request("GET", f"/api/v1/tasks/{pk}/", adapter)
    return [
        create,
        pending,
        task,
        Request("GET", "/admin/", browser),
        pending,
        Request("GET", "/admin/tasks_app/humantask/?tab=unassigned", browser),
        Request("GET", "/api/v1/events/?limit=50", adapter),
        task,
        Request("GET", f"/admin/tasks_app/humantask/{pk}/change/", browser),
        pending,
    ]


@contextlib.contextmanager
def on_sqlite(folder: Path) -> Iterator[Stand]:
    home = folder / "home"
    system, _seconds = embedded.start(home)
    try:
        by = embedded.callers(home)
        body = embedded._body(0).replace(b"0" * 10, b"@" * 10)
        calls = mix(system.port, by.adapter, by.person, by.browser, body)
        long = Request("GET", "/api/v1/events/?limit=500", by.adapter)
        yield Stand("SQLite", system, system.port, calls, long, calls[0], 2)
    finally:
        system.stop()


@contextlib.contextmanager
def on_postgres(folder: Path, *, with_nginx: bool) -> Iterator[Stand]:
    with cluster() as server, redis() as redis_url:
        ours = Ours(folder / "home", redis_url)
        url = ours.prepare(server, "bench_overload", CLOSED)
        server.settle()
        environment = {name: value for name, value in ours.at(url).items() if name not in {"HITL_HOME", "PORT"}}
        if with_nginx:
            environment["HITL_TRUSTED_PROXIES"] = "127.0.0.1"
        system = System(folder / "home", **environment)
        try:
            system.wait_for(READY)
            adapter, person = ({"Authorization": f"Bearer {one}"} for one in (ours.tokens.adapter, ours.tokens.person))
            calls = mix(system.port, adapter, person, {"Cookie": f"sessionid={ours.tokens.session}"}, create_body(0))
            wait_for_timers(url)
            last = ours.requests(url)["feed"][0]
            with nginx(folder, system.port) if with_nginx else contextlib.nullcontext(system.port) as port:
                name = "PostgreSQL behind nginx" if with_nginx else "PostgreSQL"
                yield Stand(name, system, port, calls, last, calls[0], 20 if with_nginx else 2)
        finally:
            system.stop()


def wait_for_timers(url: str) -> None:
    """Until the worker has caught up with what was due in the filled database."""
    while column(url, "SELECT 1 FROM tasks_app_humantask WHERE next_timer_at <= now() LIMIT 1"):
        time.sleep(1)


@contextlib.contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[int]:
    """nginx with deploy/'s file, but for TLS, whose handshakes would cost the generator as much as the server."""
    binary = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/bin")
    if binary is None:
        raise SystemExit("nginx is not installed.")
    port, text = free_port(), (FOLDER / "deploy/nginx/human-task-queue.conf").read_text()
    for here, there in (
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} backlog=4096;"),
        ("    ssl_certificate /etc/ssl/tasks.agency.example.pem;\n", ""),
        ("    ssl_certificate_key /etc/ssl/tasks.agency.example.key;\n", ""),
    ):
        assert here in text
        text = text.replace(here, there)
    (folder / "site.conf").write_text(text)
    main = f"""daemon off; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/nginx.log warn;
events {{ worker_connections 8192; }}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; include {folder}/site.conf; }}
"""
    (folder / "nginx.conf").write_text(main)
    folder.chmod(0o755)
    process = subprocess.Popen([binary, "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")])
    try:
        time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait(30)


# -- the four parts ----------------------------------------------------------------------------------------------------


def overload(stand: Stand, times: float, seconds: float) -> float:
    """The capacity, calls a second."""
    flood.crowd(stand.port, stand.mix, THREADS, 3)  # warm
    found = flood.crowd(stand.port, stand.mix, THREADS, 8)
    capacity = len(found.accepted) / found.seconds
    p99 = 1000 * flood.quantile([call.took for call in found.accepted], 0.99)
    stand.expect(
        len(found.accepted) > 0.9 * len(found.calls),
        f"capacity {capacity:.0f} answers a second with {THREADS} callers, p99 {p99:.0f} ms; {found.statuses}",
    )
    alive: list[int] = []
    stopped = threading.Event()

    def probe() -> None:
        while not stopped.wait(1):
            alive.append(exchange(stand.system.port, Request("GET", "/livez"))[0])

    prober = threading.Thread(target=probe)
    prober.start()
    told = flood.flood(stand.port, stand.mix, times * capacity, seconds)
    stopped.set()
    prober.join()
    times_ms = [1000 * call.took for call in told.accepted]
    off = [1000 * call.took for call in told.put_off]
    p50, p99 = (flood.quantile(times_ms, part) for part in (0.5, 0.99))
    off50, off99 = (flood.quantile(off, part) for part in (0.5, 0.99))
    stand.say(
        f"overload: {told.offered_per_s:.0f} calls a second for {seconds:.0f} s ({times:.0f} times), begun "
        f"{told.late_ms():.0f} ms late at p99; {told.statuses}"
    )
    stand.expect(
        p99 < 1000 * LIMIT_SECONDS,
        f"accepted {len(times_ms)}, {len(times_ms) / seconds:.0f} a second, p50 {p50:.0f} ms, p99 {p99:.0f} ms",
    )
    stand.expect(
        not told.failed,
        f"told to come again {len(off)}, p50 {off50:.0f} ms, p99 {off99:.0f} ms; neither: {len(told.failed)}",
    )
    stand.expect(set(alive) == {200}, f"/livez meanwhile: {len(alive)} times, {sorted(set(alive))}")
    back = 0
    while back < BACK_WITHIN_SECONDS:
        back += 1
        calm = flood.flood(stand.port, stand.mix, min(CALM, capacity / 3), 1)
        if len(calm.accepted) == len(calm.calls):
            break
    stand.expect(back < BACK_WITHIN_SECONDS, f"everybody accepted again in second {back} after it")
    return capacity


def one_address(stand: Stand, capacity: float, times: float) -> None:
    told = flood.flood(stand.port, stand.mix, times * capacity, 5, addresses=1)
    p99 = 1000 * flood.quantile([call.took for call in told.accepted], 0.99)
    stand.expect(
        not told.failed and p99 < 1000 * LIMIT_SECONDS,
        f"one address, {told.offered_per_s:.0f} a second: {told.statuses}; accepted p99 {p99:.0f} ms",
    )


def slow_clients(stand: Stand, capacity: float, seconds: float = 12) -> None:
    """So many that send a header, a body, or read a long answer, by a byte a second."""
    head, _, body = stand.create.render().partition(b"\r\n\r\n")
    long = stand.long.render()
    for name, at_once, drop in (
        ("sends its headers", long[:20], long[20:]),
        ("sends its body", head + b"\r\n\r\n", body),
        ("reads a long answer", long, b""),
    ):
        with contextlib.ExitStack() as stack:
            clients = []
            for _ in range(stand.slow):
                client = stack.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                client.connect(("127.0.0.1", stand.port))
                client.sendall(at_once)
                clients.append(client)
            stopped = threading.Event()

            def drip(clients: list[socket.socket] = clients, drop: bytes = drop) -> None:
                for number in range(1000):
                    for client in clients:
                        with contextlib.suppress(OSError):
                            if drop:
                                client.send(drop[number : number + 1])
                            else:
                                client.recv(1, socket.MSG_DONTWAIT)
                    if stopped.wait(1):  # noqa: B023  (ended before the next)
                        return

            dripping = threading.Thread(target=drip)
            dripping.start()
            time.sleep(0.5)
            told = flood.flood(stand.port, stand.mix, min(CALM, capacity / 3), seconds)
            stopped.set()
            dripping.join()
        p99 = 1000 * flood.quantile([call.took for call in told.accepted], 0.99)
        stand.expect(
            len(told.accepted) == len(told.calls) and p99 < 1000 * LIMIT_SECONDS,
            f"beside {stand.slow} of whom each {name} by a byte a second: {told.statuses}, p99 {p99:.0f} ms",
        )


def stop(stand: Stand, per_s: float, seconds: float = 8) -> None:
    """SIGTERM two seconds into a load of `per_s`."""
    timer = threading.Timer(2, stand.system.process.send_signal, [signal.SIGTERM])
    timer.start()
    told = flood.flood(stand.port, stand.mix, per_s, seconds)
    ended = stand.system.wait_for_end()
    stand.expect(
        ended == 0 and not told.failed,
        f"SIGTERM at {per_s:.0f} calls a second: {told.statuses}; broken {len(told.failed)}, exit status {ended}",
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.overload")
    parser.add_argument("stands", nargs="*", default=["sqlite", "postgres", "nginx"])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--times", type=float, default=10)
    given = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    faults: list[str] = []
    for name in given.stands:
        with tempfile.TemporaryDirectory(prefix="bench-") as path:
            folder = Path(path)
            with on_sqlite(folder) if name == "sqlite" else on_postgres(folder, with_nginx=name == "nginx") as stand:
                capacity = overload(stand, given.times, given.seconds)
                if name == "nginx":
                    one_address(stand, capacity, given.times)
                slow_clients(stand, capacity)
                stop(stand, 0.6 * capacity)
                errors = [line for line in stand.system.lines if "Traceback" in line or "locked" in line]
                stand.expect(not errors, f"errors in the log: {len(errors)} {errors[:1]}")
                if errors:
                    print("\n".join(stand.system.lines[-60:]))
                faults += stand.faults
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
