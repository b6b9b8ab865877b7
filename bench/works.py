"""The works of the bench, and how each contender is asked to do one of them for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import psycopg

from bench import limit, load
from bench.ours import Sweeper
from bench.postgres import Cluster

CLIENTS = 8
CROWD, FEW = 64, 4
BATCH = 100

COMPARED = ("create", "create_batch", "claim", "complete", "queue", "task", "feed")
"""Measured for all three contenders. The stock project has no batches: its single creates count, task by task."""
GROWTH = ("home", "queue_page", "groups", "task_page", "search_id", "search_words", "metrics", "sweep")
"""Measured for this project alone: what matters is that they cost the same beside a million closed tasks."""
WORKS = COMPARED + GROWTH

ONCE = {"complete"}
"""Each request of these can succeed once only."""
FEW_CLIENTS = {"metrics": 2}
"""Nobody asks for these from eight places at once, and one of them takes long."""
MAYBE = {"create_batch", "groups", "search_words"}
"""Left out where the project does not serve them."""


@dataclass(frozen=True)
class Sample:
    """One round of one work by one contender."""

    per_s: float
    p50_ms: float | None = None
    p99_ms: float | None = None


Slope = dict[str, float]
Measure = Callable[[str, float], Sample | None]


class WrongAnswerError(Exception):
    """A server under test gave answers that are not the work that was asked for."""


def in_sql(server: Cluster, url: str) -> Measure:
    def measure(work: str, seconds: float) -> Sample | None:
        return Sample(limit.measure(server, url, work, seconds)) if work in COMPARED else None

    return measure


def over_http(port: int, requests: dict[str, list[load.Request]], rounds: int) -> Measure:
    """Requests that can succeed once only are dealt out to the rounds beforehand."""
    left: dict[str, Iterator[list[load.Request]]] = {}
    for work in ONCE & requests.keys():
        own = requests[work]
        left[work] = iter([own[start::rounds] for start in range(rounds)])

    def measure(work: str, seconds: float) -> Sample | None:
        if work not in requests:
            return None
        asked = next(left[work]) if work in left else requests[work]
        clients = FEW_CLIENTS.get(work, CLIENTS)
        return sample_of(work, load.measure(port, asked, clients, seconds, once=work in ONCE))

    return measure


def sample_of(work: str, outcome: load.Outcome) -> Sample:
    if outcome.unexpected or not outcome.answers:
        raise WrongAnswerError(f"{work}: {outcome.answers} answers, unexpected {outcome.unexpected}: {outcome.sample}")
    units = BATCH if work == "create_batch" else 1
    return Sample(outcome.per_s * units, outcome.p50_ms, outcome.p99_ms)


def with_sweeps(measure: Measure, sweeper: Sweeper) -> Measure:
    """The timers are no request: a process of their own does them."""

    def both(work: str, seconds: float) -> Sample | None:
        if work != "sweep":
            return measure(work, seconds)
        acted, took = sweeper.sweep()
        return Sample(acted / took) if acted else None

    return both


def served(port: int, requests: dict[str, list[load.Request]]) -> dict[str, list[load.Request]]:
    """The requests without those works that the project does not know yet."""
    known = dict(requests)
    for work in MAYBE & requests.keys():
        status, _body = load.exchange(port, requests[work][0])
        if status in (404, 405):
            del known[work]
    return known


def contention(port: int, request: load.Request, url: str, seconds: float) -> dict[str, object]:
    """Many clients take the next task against few: throughput, latencies, and tasks that two of them got.

    Doubles are counted in the trail: tasks claimed twice, although nobody gave any back.
    """
    with psycopg.connect(url) as connection:
        began = connection.execute("SELECT clock_timestamp()").fetchone()
        found: dict[str, object] = {}
        answered, rates = 0, {}
        for clients in (FEW, CROWD):
            outcome = load.measure(port, [request], clients, seconds)
            sample_of("contention", outcome)
            answered += outcome.right
            rates[clients] = outcome.per_s
            figures = {"per_s": outcome.per_s, "p50_ms": outcome.p50_ms, "p99_ms": outcome.p99_ms}
            found[f"clients_{clients}"] = {name: round(value, 1) for name, value in figures.items()}
        row = connection.execute(
            "SELECT count(*), count(DISTINCT task_id) FROM tasks_app_taskevent "
            "WHERE type = 'task.claimed' AND at >= %s",
            began,
        ).fetchone()
    assert row is not None
    return {
        **found,
        "ratio": round(rates[CROWD] / rates[FEW], 2),
        "answers": answered,
        "claims": row[0],
        "doubles": row[0] - row[1],
    }


def slope(ports: tuple[int, int], requests: dict[str, list[load.Request]], sweepers: tuple[Sweeper, Sweeper]) -> Slope:
    """How much more two web processes answer than one, and two sweeping processes sweep; by turns, medians."""
    found: Slope = {}
    for work in ("queue", "create", "claim"):
        pairs = [[load.measure(port, requests[work], CLIENTS, 1.0).per_s for port in ports] for _ in range(3)]
        found[work] = round(median(two / one for one, two in pairs if one), 2)
    alone, took = sweepers[0].sweep()
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda sweeper: sweeper.sweep(), sweepers))
    if alone and all(acted for acted, _seconds in both):
        together = sum(acted for acted, _seconds in both) / max(seconds for _acted, seconds in both)
        found["sweep"] = round(together / (alone / took), 2)
    return found
