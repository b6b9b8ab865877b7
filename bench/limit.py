"""The database's own limit: the same work as SQL alone, without HTTP, Python or a framework.

pgbench runs the scripts in bench/sql with prepared statements. Where it is missing, `client_loop` sends the same
scripts through psycopg from as many processes, which costs more of the shared cores and so reads lower: the report
says which it was.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import subprocess
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg

from bench.postgres import Cluster

SCRIPTS = Path(__file__).parent / "sql"
CLIENTS = 8
UNITS = {"create_batch": 100}
"""How many units of work one transaction does, where that is not one."""


START = "UPDATE task SET status = 'in_progress' WHERE status = 'assigned'"
"""What was claimed before is begun, so that there is always something to complete: a second takes thousands."""


class LimitFailedError(Exception):
    """The scripts of bench/sql failed on this server."""


def run_pgbench(pgbench: str, url: str, work: str, seconds: float) -> float:
    done = subprocess.run(
        [pgbench, "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(max(1, round(seconds))),
         "-f", str(SCRIPTS / f"{work}.sql"), url],
        capture_output=True, text=True, check=False, env={**os.environ, "PGOPTIONS": "-c client_min_messages=error"},
    )  # fmt: skip
    found = re.search(r"^tps = ([\d.]+) \(without initial connection", done.stdout, re.MULTILINE)
    if done.returncode or not found or "aborted" in done.stderr:
        raise LimitFailedError(f"{work}: {(done.stderr or done.stdout).strip()[-600:]}")
    return float(found.group(1))


def statements(work: str) -> list[tuple[str, str | None]]:
    """A pgbench script as psycopg statements, each with the column that its result stores, if any.

    Understands exactly what bench/sql uses: comments, `\\gset`, `:name`, and `\\set`, whose values the caller draws.
    """
    lines = (SCRIPTS / f"{work}.sql").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith(("--", "\\set ")))
    text = text.replace("%", "%%").replace("\\gset", "\\gset;")
    parts = [part.strip() for part in re.split(r";[ \t]*(?:\n|$)", text) if part.strip()]
    return [
        (re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", part.replace("\\gset", "")), "gset" if "\\gset" in part else None)
        for part in parts
    ]


def drawn(work: str) -> dict[str, Callable[[], object]]:
    """How to draw the values of the script's `\\set name random(low, high)` lines. Ids are text."""
    lines = re.findall(r"^\\set ([a-z_]+) random\((\d+), (\d+)\)", (SCRIPTS / f"{work}.sql").read_text(), re.MULTILINE)
    draws: dict[str, Callable[[], object]] = {}
    for name, low, high in lines:
        whole = partial(random.randint, int(low), int(high))
        draws[name] = partial(lambda draw: str(draw()), whole) if name == "media_buy" else whole
    return draws


def client_loop(url: str, work: str, end: float, out: Connection) -> None:
    script, draws = statements(work), drawn(work)
    done = 0
    with psycopg.connect(url, autocommit=True, prepare_threshold=1) as connection:
        while time.monotonic() < end:
            values: dict[str, object] = {name: draw() for name, draw in draws.items()}
            for statement, stores in script:
                cursor = connection.execute(statement, values)
                if stores:
                    row = cursor.fetchone()
                    assert row is not None
                    assert cursor.description is not None
                    values.update(zip((column.name for column in cursor.description), row, strict=True))
                elif cursor.description:
                    cursor.fetchall()
            done += 1
    out.send(done)


def run_psycopg(url: str, work: str, seconds: float) -> float:
    context = multiprocessing.get_context("fork")
    began = time.monotonic()
    pipes = []
    for _ in range(CLIENTS):
        receiver, sender = context.Pipe(duplex=False)
        context.Process(target=client_loop, args=(url, work, began + seconds, sender), daemon=True).start()
        sender.close()
        pipes.append(receiver)
    return float(sum(pipe.recv() for pipe in pipes)) / seconds


def measure(cluster: Cluster, url: str, work: str, seconds: float) -> float:
    """Units of `work` per second with eight clients, in the database at `url`."""
    if work == "complete":
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(START)
    per_s = run_pgbench(cluster.pgbench, url, work, seconds) if cluster.pgbench else run_psycopg(url, work, seconds)
    return per_s * UNITS.get(work, 1)
