"""Which task first? `python -m bench.scheduling LOG.csv.gz [--staff 8 9 10] [--minutes 60]` compares orders.

A past log gives arrivals and priorities; a fixed staff works round the clock, each on one task at a time, always taking
the first of the waiting ones. How long a task takes is drawn once, from a fixed seed, so that every order meets the
same work. The stored order is the project's own: its columns and its arithmetic are imported, its timer escalates what
is overdue. Nothing is stored; a run takes a minute.
"""

from __future__ import annotations

import argparse
import heapq
import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")

import django

django.setup()

from tasks_app.models.task import QUEUE_ORDER  # noqa: E402  (needs the settings)
from tasks_app.replay import logs  # noqa: E402
from tasks_app.sla import deadlines  # noqa: E402
from tasks_app.states import Priority  # noqa: E402

SEED = 20_161_111
TARGETS = {Priority.URGENT: 240, Priority.HIGH: 480, Priority.MEDIUM: 1440, Priority.LOW: 4320}  # minutes


@dataclass
class Work:
    """One arrival, with what the orders ask of it."""

    task_id: int
    created_at: datetime
    due_by: datetime
    priority: int
    handling: timedelta
    value: int
    start_by: datetime
    start_by_with_value: datetime
    escalation_level: int = 0


Order = Callable[[Work], tuple[object, ...]]


def stored(column: str = "start_by") -> Order:
    """The key that the queue's index has, from QUEUE_ORDER itself."""
    names = [(name.removeprefix("-"), -1 if name.startswith("-") else 1) for name in QUEUE_ORDER]

    def key(work: Work) -> tuple[object, ...]:
        values = [getattr(work, column if name == "start_by" else name) for name, _sign in names]
        signs = [sign for _name, sign in names]
        return tuple(
            value.timestamp() * sign if isinstance(value, datetime) else value * sign
            for value, sign in zip(values, signs, strict=True)
        )

    return key


ORDERS: dict[str, tuple[Order, bool]] = {
    "stored order": (stored(), True),
    "stored order, with value at risk": (stored("start_by_with_value"), True),
    "first in, first out": (lambda work: (work.created_at, work.task_id), False),
    "priority only": (lambda work: (-work.priority, work.created_at, work.task_id), False),
    "earliest deadline": (lambda work: (work.due_by, work.task_id), False),
}


def arrivals(path: Path, handling_minutes: float, limit: int | None) -> list[Work]:
    """The log's cases as work. Handling times: log-normal around the mean."""
    cases = logs.read(path, logs.Columns.read("servicenow"), limit=limit)
    draw = random.Random(SEED)  # a simulation, to be the same each time
    spread = 0.8
    found: list[Work] = []
    for case in sorted(cases, key=lambda case: (case.opened, case.name)):
        priority = case.rows[0].priority
        minutes = draw.lognormvariate(math.log(handling_minutes) - spread**2 / 2, spread)
        value = int(draw.lognormvariate(math.log(2_000), 1.5))
        due = case.opened + timedelta(minutes=TARGETS[Priority(priority)])
        usual = round(handling_minutes)
        found.append(
            Work(
                task_id=len(found),
                created_at=case.opened,
                due_by=due,
                priority=priority,
                handling=timedelta(minutes=minutes),
                value=value,
                start_by=deadlines.start_by(due, case.opened, usual),
                start_by_with_value=deadlines.start_by(due, case.opened, usual, value),
            )
        )
    return found


@dataclass(frozen=True)
class Outcome:
    missed: int
    missed_urgent: int
    value_late: int
    wait_p90: timedelta
    wait_urgent_p90: timedelta
    longest: timedelta


def play(works: list[Work], staff: int, order: Order, *, escalates: bool) -> Outcome:
    """Work off everything: at each moment at which somebody is free, the first of those that wait."""
    for work in works:
        work.escalation_level = 0
    free = [works[0].created_at] * staff
    heapq.heapify(free)
    waiting: list[tuple[tuple[object, ...], int]] = []
    timers: list[tuple[datetime, int]] = []
    taken: set[int] = set()
    waits: list[tuple[timedelta, int]] = []
    missed = urgent = value = 0
    next_one = 0
    while len(taken) < len(works):
        now = heapq.heappop(free)
        if not waiting and next_one < len(works):
            now = max(now, works[next_one].created_at)
        while next_one < len(works) and works[next_one].created_at <= now:
            heapq.heappush(waiting, (order(works[next_one]), next_one))
            if escalates:
                heapq.heappush(timers, (works[next_one].due_by, next_one))
            next_one += 1
        while timers and timers[0][0] <= now:
            _due, late = heapq.heappop(timers)
            if late not in taken:
                works[late].escalation_level = 1
                heapq.heappush(waiting, (order(works[late]), late))
        while waiting and waiting[0][1] in taken:  # it stood there twice, since it was escalated
            heapq.heappop(waiting)
        if not waiting:
            heapq.heappush(free, now)
            continue
        _key, number = heapq.heappop(waiting)
        work = works[number]
        taken.add(number)
        end = now + work.handling
        heapq.heappush(free, end)
        waits.append((now - work.created_at, work.priority))
        if end > work.due_by:
            missed += 1
            value += work.value
            urgent += work.priority >= Priority.HIGH
    all_waits = sorted(wait for wait, _priority in waits)
    urgent_waits = sorted(wait for wait, priority in waits if priority >= Priority.HIGH) or [timedelta()]
    return Outcome(missed, urgent, value, _p90(all_waits), _p90(urgent_waits), all_waits[-1])


def _p90(waits: list[timedelta]) -> timedelta:
    return waits[min(len(waits) - 1, int(0.9 * len(waits)))]


def hours(length: timedelta) -> str:
    return f"{length.total_seconds() / 3600:.1f} h"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scheduling")
    parser.add_argument("log", type=Path, help="an incident log in ServiceNow's columns")
    parser.add_argument("--staff", type=int, nargs="+", default=[8, 9, 10])
    parser.add_argument("--minutes", type=float, default=60, help="how long a task takes in the mean")
    parser.add_argument("--until", default="2016-06-01", help="leave out what was opened from this day on")
    given = parser.parse_args()
    until = datetime.fromisoformat(f"{given.until}T00:00:00+00:00")
    works = [work for work in arrivals(given.log, given.minutes, None) if work.created_at < until]
    span = works[-1].created_at - works[0].created_at
    demand = sum((work.handling for work in works), timedelta()) / span
    print(f"{len(works):,} tasks in {span.days} days; {demand:.2f} people would be busy all the time.\n")
    columns = ["staff", "order", "missed", "missed, urgent and high", "wait, p90"]
    columns += ["wait, urgent and high, p90", "longest wait", "value late"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for staff in given.staff:
        for name, (order, escalates) in ORDERS.items():
            found = play(works, staff, order, escalates=escalates)
            cells = [
                str(staff),
                name,
                f"{found.missed:,} ({found.missed / len(works):.1%})",
                f"{found.missed_urgent:,}",
            ]
            cells += [
                hours(found.wait_p90),
                hours(found.wait_urgent_p90),
                hours(found.longest),
                f"{found.value_late:,}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
