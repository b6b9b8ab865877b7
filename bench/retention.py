"""`python -m bench.retention [--closed 200000] [--days 84]`: ended tasks leave beside a reviewer who works on.

PostgreSQL with so many closed tasks of 91 days and a policy of `--days` for each type. A reviewer asks for the queue,
claims and decides over HTTP, up to ten requests a second; first alone, then while `manage.py retention` runs until
nothing leaves. The first run is killed (SIGKILL) in the middle; the trail is verified there and at the end. Ends with 1
where a task or a line of the export is missing or there twice, or the trail is not sound.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from bench.load import Client, Request
from bench.ours import FOLDER, TABLE, Ours, redis
from bench.postgres import Cluster, cluster
from bench.stock import DECISION

NAME = "hitl-retention"  # of the connections of those who let go
PACE_SECONDS = 0.1
POLICIES = """
from tasks_app.models import RetentionPolicy, TaskType
for kind in TaskType.objects.all():
    RetentionPolicy.objects.update_or_create(task_type=kind, defaults=dict(days=%d, is_active=True, export_first=True))
"""


SEALED = f"""
INSERT INTO tasks_app_sealeddetail (task_id, placeholders, sealed, created_at)
SELECT task_id, '{{}}', decode(repeat('5a', 300), 'hex'), created_at FROM {TABLE} WHERE completed_at IS NOT NULL
"""


@dataclass
class Reviewer:
    """Asks at a pace, as a person and a page that refreshes itself do. Times in milliseconds."""

    port: int
    headers: dict[str, str]
    took: list[float] = field(default_factory=list)
    wrong: Counter[int] = field(default_factory=Counter)

    def work(self, stopped: threading.Event) -> None:
        client, mine = Client(self.port), ""
        while not stopped.is_set():
            for request in (
                Request("GET", "/api/v1/tasks/pending/?limit=50", self.headers),
                Request("POST", "/api/v1/tasks/claim-next/", self.headers, b"{}"),
                Request("POST", "/api/v1/tasks/%s/complete/", self.headers, DECISION),
            ):
                began = time.monotonic()
                status, body = client.send(request.render().replace(b"%s", mine.encode(), 1))
                self.took.append(1000 * (time.monotonic() - began))
                if status != 200:
                    self.wrong[status] += 1
                elif request.path.endswith("claim-next/"):
                    mine = json.loads(body)["task_id"]
                stopped.wait(max(0.0, PACE_SECONDS - (time.monotonic() - began)))

    def told(self) -> str:
        ordered = sorted(self.took)
        p50, p99 = (ordered[int(len(ordered) * part)] for part in (0.5, 0.99))
        times = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {ordered[-1]:.0f} ms"
        return f"{len(ordered)} requests, {times}; wrong {dict(self.wrong)}"


@contextlib.contextmanager
def reviewing(port: int, token: str) -> Iterator[Reviewer]:
    reviewer, stopped = Reviewer(port, {"Authorization": f"Bearer {token}"}), threading.Event()
    thread = threading.Thread(target=reviewer.work, args=(stopped,))
    thread.start()
    try:
        yield reviewer
    finally:
        stopped.set()
        thread.join()


@contextlib.contextmanager
def watching(url: str) -> Iterator[list[float]]:
    """The ages of open transactions of those who let go, as seen every 20 ms, in milliseconds."""
    ages, stopped = [0.0], threading.Event()
    query = f"SELECT max(clock_timestamp() - xact_start) FROM pg_stat_activity WHERE application_name = '{NAME}'"

    def watch() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not stopped.wait(0.02):
                row = connection.execute(query).fetchone()
                if row and row[0]:
                    ages.append(1000 * row[0].total_seconds())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield ages
    finally:
        stopped.set()
        thread.join()


def number(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[call-overload]  # not a literal
    return int(row[0]) if row else 0


def begin(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "retention"],
        cwd=FOLDER, env={**os.environ, **environment, "PGAPPNAME": NAME}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def removed(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT task_id FROM tasks_app_taskevent WHERE type = 'task.removed'").fetchall()
    assert len(rows) == len({row[0] for row in rows}), "a task left twice"
    return {row[0] for row in rows}


def exported(home: Path) -> list[str]:
    """Every line must be whole; the ids in the order of the files."""
    files = sorted((home / "retention").iterdir())
    return [json.loads(line)["task"]["task_id"] for file in files for line in file.open(encoding="utf-8")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.retention")
    parser.add_argument("--closed", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=84, help="what ended longer ago leaves")
    parser.add_argument("--alone", type=float, default=20, help="seconds of the reviewer alone")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # takes its servers with it
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, cluster() as server, redis() as redis_url:
        return measure(server, Path(folder), redis_url, given)


def measure(server: Cluster, folder: Path, redis_url: str, given: argparse.Namespace) -> int:
    home = folder / "home"
    ours = Ours(home, redis_url)
    server.hurry()
    url = ours.prepare(server, "bench_retention", given.closed)
    server.settle()
    subprocess.run(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", POLICIES % given.days],
        cwd=FOLDER, env={**os.environ, **ours.at(url)}, check=True,
    )  # fmt: skip
    closed = f"SELECT count(*) FROM {TABLE} WHERE completed_at < now() - interval '{given.days} days'"
    before = number(url, closed)
    with psycopg.connect(url) as connection:
        connection.execute(SEALED)
    sealed = number(url, "SELECT count(*) FROM tasks_app_sealeddetail")
    print(f"{given.closed:,} closed tasks, {before:,} of them over {given.days} days; sealed {sealed:,}", flush=True)
    with ours.serve(url, folder / "server.log") as web:
        with reviewing(web.port, ours.tokens.person) as alone:
            time.sleep(given.alone)
        print(f"the reviewer alone: {alone.told()}", flush=True)
        with reviewing(web.port, ours.tokens.person) as beside, watching(url) as ages:
            first = begin(ours.at(url))
            while number(url, closed) > before * 0.9 and first.poll() is None:
                time.sleep(0.5)
            first.kill()
            first.communicate()
            print(f"killed with {number(url, closed):,} left; {len(removed(url)):,} gone", flush=True)
        print(f"in the middle: {ours.verify(url)}; beside it: {beside.told()}; longest {max(ages):.0f} ms", flush=True)
        left, seconds = number(url, closed), 0.0
        with reviewing(web.port, ours.tokens.person) as beside, watching(url) as ages:
            while True:
                began = time.monotonic()
                said = begin(ours.at(url)).communicate()[0]
                seconds += time.monotonic() - began
                print(f"  {said.strip()} in {time.monotonic() - began:.1f} s", flush=True)
                if said.startswith("0 "):
                    break
        print(
            f"{left / seconds:.0f} tasks a second, starts of processes included; longest {max(ages):.0f} ms", flush=True
        )
        print(f"the reviewer beside it: {beside.told()}", flush=True)
    gone, lines = removed(url), exported(home)
    rows = number(
        url, f"SELECT count(*) FROM {TABLE} JOIN tasks_app_taskevent USING (task_id) WHERE type = 'task.removed'"
    )
    lost = f"SELECT count(*) FROM tasks_app_sealeddetail WHERE task_id NOT IN (SELECT task_id FROM {TABLE})"
    orphans, kept = number(url, lost), number(url, "SELECT count(*) FROM tasks_app_sealeddetail")
    print(f"at the end: {ours.verify(url)}", flush=True)
    print(
        f"{len(gone):,} left, {len(lines):,} lines for {len(set(lines)):,} tasks; {sealed - kept:,} sealed details gone"
    )
    sound = set(lines) == gone and len(lines) == len(gone) and not rows and not orphans and sealed - kept == len(gone)
    print("holds" if sound else "DOES NOT HOLD")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
