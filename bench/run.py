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
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from bench import fill, frozen, load, report, stock, works
from bench.ours import Ours, Sweeper, redis
from bench.postgres import Cluster, NoPostgresError, cluster
from bench.serve import Server, ServerFailedError

QUICK_SIZES = (10_000, 100_000)
FULL_SIZES = (10_000, 100_000, 1_000_000)
QUICK_WORKS = ("create", "claim", "queue")


@dataclass(frozen=True)
class Plan:
    """`seconds` for each contender in each round; what this project does alone is measured for half of them.

    `alone`: also what one contender does by itself: many clients against few, two processes against one.
    """

    sizes: tuple[int, ...]
    rounds: int
    seconds: float
    works: tuple[str, ...] = works.WORKS
    alone: bool = True

    def seconds_of(self, work: str) -> float:
        return self.seconds if work in works.COMPARED else self.seconds / 2


def say(began: float, text: str) -> None:
    print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr, flush=True)


def prepare_limit(server: Cluster, name: str, closed: int) -> str:
    url = server.create(name)
    with psycopg.connect(url) as connection:
        connection.execute((fill.SQL / "schema.sql").read_text())
    fill.fill(url, fill.SQL / "fill_limit.sql", 1, fill.OPEN_TASKS, closed=False)
    grow_limit(url, 0, closed)
    return url


def grow_limit(url: str, closed_before: int, closed: int) -> None:
    first = fill.OPEN_TASKS + closed_before + 1
    with fill.indexed_afterwards(url):
        fill.fill(url, fill.SQL / "fill_limit.sql", first, closed - closed_before, closed=True)
    fill.tidy(url)


def databases(
    began: float,
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
        else:
            urls[size] = server.create(f"bench_{name}_{size}", f"bench_{name}_{before}")
            grow(urls[size], before, size)
        say(began, f"{name}: {size:,} closed tasks")
    return urls


def measure_all(contenders: dict[int, dict[str, works.Measure]], plan: Plan, began: float) -> list[report.Figures]:
    figures = {(work, size): report.Figures(work, size) for work in plan.works for size in plan.sizes}
    for turn in range(plan.rounds):
        for (work, size), each in figures.items():
            names = list(contenders[size])
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                found = contenders[size][name](work, plan.seconds_of(work))
                if found is not None:
                    each.add(name, found.per_s, found.p99_ms)
            if work == "create_batch" and each.rounds.get("ours"):
                each.add("naive", figures["create", size].rounds["naive"][-1])
        say(began, f"round {turn + 1} of {plan.rounds}")
    return [each for each in figures.values() if each.rounds.get("ours")]


def fill_all(
    server: Cluster, ours: Ours, plan: Plan, pool: ThreadPoolExecutor, began: float
) -> dict[str, dict[int, str]]:
    """The databases of each contender by size."""
    server.hurry()
    jobs = {
        "limit": pool.submit(databases, began, server, "limit", plan.sizes, prepare_limit, grow_limit),
        "naive": pool.submit(databases, began, server, "naive", plan.sizes, stock.prepare, stock.grow),
        "ours": pool.submit(databases, began, server, "ours", plan.sizes, ours.prepare, ours.fill),
    }
    urls = {name: job.result() for name, job in jobs.items()}
    server.settle()
    return urls


def serve_all(
    stack: contextlib.ExitStack, server: Cluster, ours: Ours, urls: dict[str, dict[int, str]], plan: Plan, folder: Path
) -> tuple[dict[int, dict[str, works.Measure]], Server]:
    """Every contender at every size, and this project's server at the largest."""
    contenders: dict[int, dict[str, works.Measure]] = {}
    for size in plan.sizes:
        stocked, own = urls["naive"][size], urls["ours"][size]
        naive = stack.enter_context(stock.serve(stocked, folder / f"naive-{size}.log"))
        mine = stack.enter_context(ours.serve(own, folder / f"ours-{size}.log"))
        sweeper = stack.enter_context(Sweeper(ours.at(own)))
        asked = works.served(mine.port, ours.requests(own))
        contenders[size] = {
            "limit": works.in_sql(server, urls["limit"][size]),
            "naive": works.over_http(naive.port, stock.requests(stocked), plan.rounds),
            "ours": works.with_sweeps(works.over_http(mine.port, asked, plan.rounds), sweeper),
        }
    return contenders, mine


def measure_slope(ours: Ours, url: str, folder: Path) -> works.Slope:
    """The smallest database, asked through one web process and through two, swept by one process and by two."""
    with contextlib.ExitStack() as stack:
        one, two = (stack.enter_context(ours.serve(url, folder / f"slope-{n}.log", n)) for n in (1, 2))
        sweepers = stack.enter_context(Sweeper(ours.at(url))), stack.enter_context(Sweeper(ours.at(url)))
        return works.slope((one.port, two.port), ours.requests(url), sweepers)


def run(plan: Plan, began: float, *, into_docs: bool) -> str:
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
        urls = fill_all(server, ours, plan, pool, began)
        for found in urls.values():
            for url in found.values():
                stack.callback(server.drop, url.rsplit("/", 1)[1])
        say(began, f"filled; audit_verify beside {plan.sizes[0]:,} closed: {ours.verify(urls['ours'][plan.sizes[0]])}")
        contenders, largest = serve_all(stack, server, ours, urls, plan, folder)
        ceiling = load.ceiling(works.CLIENTS, 1.0)
        say(began, "served; measuring")
        figures = measure_all(contenders, plan, began)
        crowded = urls["ours"][plan.sizes[-1]]
        by_itself: dict[str, object] = {}
        if plan.alone:
            crowd = works.contention(largest.port, ours.requests(crowded)["claim"][0], crowded, plan.seconds)
            by_itself["contention"] = {"size": plan.sizes[-1], **crowd}
            say(began, f"contention: {crowd}")
            by_itself["slope"] = measure_slope(ours, urls["ours"][plan.sizes[0]], folder)
            say(began, f"one process against two: {by_itself['slope']}")
        left = {
            "limit": fill.open_tasks(urls["limit"][plan.sizes[-1]], "task"),
            "naive": fill.open_tasks(urls["naive"][plan.sizes[-1]], stock.TABLE),
            "ours": fill.open_tasks(crowded, "tasks_app_humantask"),
        }
    by = "pgbench" if server.pgbench else "psycopg (no pgbench was found)"
    facts: dict[str, object] = {
        "database": server.description,
        "limit_measured_with": by,
        "redis": bool(redis_url),
        "rounds": plan.rounds,
        "seconds_per_round": plan.seconds,
        "clients": works.CLIENTS,
        "open_tasks": fill.OPEN_TASKS,
        "open_tasks_at_the_end": left,
        "load_generator_ceiling_per_s": round(ceiling),
        "seconds_in_all": round(time.monotonic() - began),
        **by_itself,
        "rounds_text": (
            f"{plan.rounds} interleaved rounds of {plan.seconds:g} s, {fill.OPEN_TASKS:,} open tasks beside each size"
        ),
        "clients_text": (
            f"Medians; in brackets the lowest and highest round. {works.CLIENTS} clients; the limit by {by}; both "
            f"projects on gunicorn with two sync workers. The clients alone reach {ceiling:,.0f} requests/s. "
            f"Growth is the time at this size over the time at {plan.sizes[0]:,}."
        ),
    }
    try:
        report.check_floors(figures)
    except report.WeakOpponentError:
        say(
            began, f"not written:\n{report.markdown(figures, {'date': 'now', 'machine_text': 'this machine', **facts})}"
        )
        raise
    return report.write(figures, facts, into_docs=into_docs)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description="Compare this project with its limit and a stock one."
    )
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--quick", action="store_true", help="10,000 and 100,000 closed tasks, under three minutes")
    kind.add_argument("--full", action="store_true", help="also 1,000,000 closed tasks, under fifteen minutes")
    parser.add_argument("--sizes", metavar="N,N", help="other numbers of closed tasks, the smallest first")
    given = parser.parse_args()
    quick, full = Plan(QUICK_SIZES, 3, 1.0, QUICK_WORKS, alone=False), Plan(FULL_SIZES, 3, 1.2)
    plan = quick if given.quick else full
    if given.sizes:
        plan = replace(plan, sizes=tuple(int(size) for size in given.sizes.split(",")))
    began = time.monotonic()
    # As Ctrl-C does: unwind, so that no server of the run is left behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    refusals = (
        frozen.ChangedOpponentError,
        report.WeakOpponentError,
        NoPostgresError,
        ServerFailedError,
        works.WrongAnswerError,
    )
    try:
        print(run(plan, began, into_docs=given.full))
    except refusals as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
