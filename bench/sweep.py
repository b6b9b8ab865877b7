"""How many due timers are done in a second: `python -m bench.sweep [--processes 2] [--closed 10000 100000]`.

Throw-away databases on PostgreSQL are filled by bench/ours_fill.py: 15,000 open tasks beside closed ones. The clock of
the sweeping processes is set four days ahead, so that every task with a deadline is overdue; each is escalated, with
its event, outbox row and audit entry. Then EXPLAIN ANALYZE says what a poll costs when nothing is due. `--profile`
prints where a process spends its time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.ours import FOLDER, Ours
from bench.postgres import cluster

POLL = "EXPLAIN (ANALYZE, FORMAT JSON) SELECT 1 FROM tasks_app_humantask WHERE next_timer_at <= now() LIMIT 1"
PROCESS = """
import django; django.setup()
import cProfile, pstats, sys, time
from datetime import UTC, datetime, timedelta
from core import clock
from tasks_app import models, timers
models.HumanTask.objects.exists()
print("ready", flush=True)
profile = cProfile.Profile() if input() == "profile" else None
used = time.process_time()
with clock.at(datetime.now(UTC) + timedelta(days=4)):
    done = profile.runcall(timers.sweep_all) if profile else timers.sweep_all()
print(done, time.process_time() - used, flush=True)
if profile:
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)
"""


@dataclass(frozen=True)
class Swept:
    """Tasks done, seconds on the clock, and seconds of CPU that the sweeps and the database server used."""

    done: int
    seconds: float
    cpu: float
    server_cpu: float


def sweep(ours: Ours, url: str, processes: int, *, profile: bool) -> Swept:
    """From the moment at which all processes stand ready."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS],
            cwd=FOLDER,
            env={**os.environ, **ours.at(url)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    began, server = time.monotonic(), server_cpu(url)
    for process in running:
        assert process.stdin is not None
        process.stdin.write("profile\n" if profile else "go\n")
        process.stdin.flush()
    told = [process.communicate()[0].split() for process in running]
    return Swept(
        done=sum(int(done) for done, _cpu in told),
        seconds=time.monotonic() - began,
        cpu=sum(float(cpu) for _done, cpu in told),
        server_cpu=server_cpu(url) - server,
    )


def server_cpu(url: str) -> float:
    """Seconds of CPU of the server's sessions that have ended: so that a busy machine does not spoil the figure."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT setting FROM pg_settings WHERE name = 'data_directory'").fetchone()
    assert row is not None
    pid = Path(row[0], "postmaster.pid").read_text().split()[0]
    fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")  # of children that were waited for


def poll(url: str) -> float:
    """Milliseconds in the database of a look that finds nothing; the median of nine."""
    with psycopg.connect(url) as connection:
        found = []
        for _ in range(9):
            row = connection.execute(POLL).fetchone()
            assert row is not None
            (plan,) = row[0] if isinstance(row[0], list) else json.loads(row[0])
            found.append(plan["Planning Time"] + plan["Execution Time"])
    return sorted(found)[len(found) // 2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sweep")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--closed", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with cluster() as server, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        print(server.description)
        ours, before, name = Ours(Path(folder) / "home", ""), 0, ""
        for closed in given.closed:
            if before:
                url = server.create(f"bench_filled_{closed}", name)
                ours.fill(url, before, closed)
            else:
                url = ours.prepare(server, f"bench_filled_{closed}", closed)
            before, name = closed, f"bench_filled_{closed}"
            copy = server.create("bench_swept", name)
            server.settle()
            swept = sweep(ours, copy, given.processes, profile=given.profile)
            with psycopg.connect(copy, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE tasks_app_humantask")
            each = (swept.cpu + swept.server_cpu) / swept.done
            print(
                f"{closed:,} closed tasks: {swept.done:,} due tasks in {swept.seconds:.1f} s with {given.processes} "
                f"processes: {swept.done / swept.seconds:,.0f}/s on the clock; CPU {1000 * each:.2f} ms a task "
                f"({1000 * swept.cpu / swept.done:.2f} sweep, {1000 * swept.server_cpu / swept.done:.2f} database), so "
                f"{1 / each:,.0f}/s for each core; a poll with nothing due: {poll(copy):.2f} ms; "
                f"trail: {ours.verify(copy)}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
