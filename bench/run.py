"""`python -m bench.run --quick`: the limit, the stock project and this project, interleaved in one run.

Steps: the opponent's files are checked; a database per contender and size is made and filled; both projects are served
at every size at once; then, round after round, each work is measured for each contender within seconds of the others,
in an order that turns with the round. Medians of the rounds and of the rounds' ratios are reported.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import fill, frozen, limit, load, report, stock
from bench.ours import Ours, redis
from bench.postgres import Cluster, NoPostgresError, cluster
from bench.serve import ServerFailedError

CLIENTS = 8
WORKS = ("create", "claim", "queue")
QUICK_SIZES = (10_000, 100_000)
FULL_SIZES = (10_000, 100_000, 1_000_000)

Measure = Callable[[str, float], tuple[float, float | None]]


class WrongAnswerError(Exception):
    """A server under test gave answers that are not the work that was asked for."""


@dataclass(frozen=True)
class Plan:
    sizes: tuple[int, ...]
    rounds: int
    seconds: float


def say(began: float, text: str) -> None:
    print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr, flush=True)


def over_http(port: int, requests: dict[str, list[load.Request]]) -> Measure:
    def measure(work: str, seconds: float) -> tuple[float, float | None]:
        outcome = load.measure(port, requests[work], CLIENTS, seconds)
        if outcome.unexpected or not outcome.answers:
            raise WrongAnswerError(
                f"{work}: {outcome.answers} answers, unexpected {outcome.unexpected}: {outcome.sample}"
            )
        return outcome.per_s, outcome.p99_ms

    return measure


def in_sql(server: Cluster, url: str) -> Measure:
    return lambda work, seconds: (limit.measure(server, url, work, seconds), None)


def prepare_limit(server: Cluster, name: str, closed: int) -> str:
    url = server.create(name)
    with psycopg.connect(url) as connection:
        connection.execute((fill.SQL / "schema.sql").read_text())
    fill.fill(url, fill.SQL / "fill_limit.sql", 1, fill.OPEN_TASKS, closed=False)
    grow_limit(url, 0, closed)
    return url


def grow_limit(url: str, closed_before: int, closed: int) -> None:
    first = fill.OPEN_TASKS + closed_before + 1
    fill.fill(url, fill.SQL / "fill_limit.sql", first, closed - closed_before, closed=True)
    fill.tidy(url)


def databases(
    server: Cluster,
    name: str,
    sizes: tuple[int, ...],
    prepare: Callable[[Cluster, str, int], str],
    grow: Callable[[str, int, int], None],
) -> dict[int, str]:
    """One database per size; each larger one is a copy of the one before with the difference added."""
    urls: dict[int, str] = {}
    for before, size in zip((0, *sizes), sizes, strict=False):
        if not before:
            urls[size] = prepare(server, f"bench_{name}_{size}", size)
            continue
        urls[size] = server.create(f"bench_{name}_{size}", f"bench_{name}_{before}")
        grow(urls[size], before, size)
    return urls


def measure_all(contenders: dict[int, dict[str, Measure]], plan: Plan, began: float) -> list[report.Figures]:
    figures = {(work, size): report.Figures(work, size) for work in WORKS for size in plan.sizes}
    for turn in range(plan.rounds):
        for (work, size), each in figures.items():
            names = list(contenders[size])
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                each.add(name, *contenders[size][name](work, plan.seconds))
        say(began, f"round {turn + 1} of {plan.rounds}")
    return list(figures.values())


def run(plan: Plan, began: float) -> str:
    frozen.check()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(cluster())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        redis_url = stack.enter_context(redis())
        say(began, server.description)
        ours = Ours(folder / "home", redis_url)
        pool = ThreadPoolExecutor(3)
        # Not waited for: an interrupted run stops the server next, which ends what is still filling.
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        jobs = {
            "limit": pool.submit(databases, server, "limit", plan.sizes, prepare_limit, grow_limit),
            "naive": pool.submit(databases, server, "naive", plan.sizes, stock.prepare, stock.grow),
            "ours": pool.submit(databases, server, "ours", plan.sizes, ours.prepare, ours.fill),
        }
        urls = {name: job.result() for name, job in jobs.items()}
        for found in urls.values():
            for url in found.values():
                stack.callback(server.drop, url.rsplit("/", 1)[1])
        say(began, f"filled; the trail of {plan.sizes[0]:,} closed tasks: {ours.verify(urls['ours'][plan.sizes[0]])}")
        contenders: dict[int, dict[str, Measure]] = {}
        for size in plan.sizes:
            naive = stack.enter_context(stock.serve(urls["naive"][size], folder / f"naive-{size}.log"))
            mine = stack.enter_context(ours.serve(urls["ours"][size], folder / f"ours-{size}.log"))
            contenders[size] = {
                "limit": in_sql(server, urls["limit"][size]),
                "naive": over_http(naive.port, stock.requests()),
                "ours": over_http(mine.port, ours.requests()),
            }
        server.settle()
        ceiling = load.ceiling(CLIENTS, 1.0)
        say(began, "served; measuring")
        figures = measure_all(contenders, plan, began)
        left = {
            "limit": fill.open_tasks(urls["limit"][plan.sizes[-1]], "task"),
            "naive": fill.open_tasks(urls["naive"][plan.sizes[-1]], stock.TABLE),
            "ours": fill.open_tasks(urls["ours"][plan.sizes[-1]], "tasks_app_humantask"),
        }
    report.check_floors(figures)
    by = "pgbench" if server.pgbench else "psycopg (no pgbench was found)"
    facts: dict[str, object] = {
        "database": server.description,
        "limit_measured_with": by,
        "redis": bool(redis_url),
        "rounds": plan.rounds,
        "seconds_per_round": plan.seconds,
        "clients": CLIENTS,
        "open_tasks": fill.OPEN_TASKS,
        "open_tasks_at_the_end": left,
        "load_generator_ceiling_per_s": round(ceiling),
        "rounds_text": (
            f"{plan.rounds} interleaved rounds of {plan.seconds:g} s, {fill.OPEN_TASKS:,} open tasks beside each"
        ),
        "clients_text": (
            f"Medians; in brackets the lowest and highest round. {CLIENTS} clients; the limit by {by}; both "
            f"projects on gunicorn with two sync workers. The clients alone reach {ceiling:,.0f} requests/s. "
            f"Growth is the time at this size over the time at {plan.sizes[0]:,}."
        ),
    }
    return report.write(figures, facts)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description="Compare this project with its limit and a stock one."
    )
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--quick", action="store_true", help="10,000 and 100,000 closed tasks, under three minutes")
    kind.add_argument("--full", action="store_true", help="also 1,000,000 closed tasks, under fifteen minutes")
    given = parser.parse_args()
    plan = Plan(QUICK_SIZES, 3, 1.0) if given.quick else Plan(FULL_SIZES, 7, 2.0)
    began = time.monotonic()
    # As Ctrl-C does: unwind, so that no server of the run is left behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    refusals = (
        frozen.ChangedOpponentError,
        report.WeakOpponentError,
        NoPostgresError,
        ServerFailedError,
        WrongAnswerError,
    )
    try:
        print(run(plan, began))
    except refusals as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
