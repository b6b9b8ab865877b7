"""Two timers at once, their clocks 30 s apart: each (task, step) once, in state, trail and audit.

On PostgreSQL the row lock does it; on SQLite every transaction that writes waits for the one before it.
"""

import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import connection, connections, transaction
from django.db.models import QuerySet

from core import clock
from tasks_app import timers
from tasks_app.models import FiredStep, HumanTask, SLAPolicy, TaskEvent
from tasks_app.services import StepSpec, save_policy, steps
from tests.cast import NewTaskFactory
from tests.profile import scaled

T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TASKS = scaled("SLAS", 60, 1000)
SKEW = timedelta(seconds=30)
STEPS = [
    StepSpec("warn", at_percent=50),
    StepSpec("raise_priority", at_percent=75),
    StepSpec("escalate", at_percent=100),
    StepSpec("escalate", at_percent=200),
]

pytestmark = pytest.mark.django_db(transaction=True)


def two_sweeps(moment: datetime) -> list[BaseException]:
    """Sweep in two threads at once, one of which is half a minute ahead, until neither finds anything."""
    start = threading.Barrier(2)
    failures: list[BaseException] = []

    def sweep(skew: timedelta) -> None:
        try:
            start.wait()
            with clock.at(moment + skew):
                while timers.sweep():
                    pass
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sweep, args=(skew,)) for skew in (timedelta(), SKEW)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def play(make_task: NewTaskFactory) -> None:
    save_policy(SLAPolicy(name="An hour", to_resolve_minutes=60), STEPS)
    with clock.at(T):
        for _ in range(TASKS):
            make_task(priority=2)
    # Just before each step by one clock, just after it by the other; then well after.
    for minute in (30, 45, 60, 120):
        for seconds in (-15, 15, 60):
            assert two_sweeps(T + timedelta(minutes=minute, seconds=seconds)) == []


def test_it_takes_each_step_once_with_two_sweeps_and_skewed_clocks(make_task: NewTaskFactory) -> None:
    play(make_task)
    expected = {
        "task.created": TASKS,
        "task.sla_warned": TASKS,
        "task.priority_changed": TASKS,
        "task.escalated": 2 * TASKS,
    }
    assert Counter(TaskEvent.objects.values_list("type", flat=True)) == expected
    audited = (
        data["type"]
        for data in LogEntry.objects.filter(object_pk__startswith="task_").values_list("additional_data", flat=True)
    )
    assert Counter(audited) == expected
    assert Counter(FiredStep.objects.values_list("outcome", flat=True)) == {"done": 4 * TASKS}
    rows = HumanTask.objects.values_list("escalation_level", "priority", "version", "next_timer_at").distinct()
    assert list(rows) == [(2, 3, 4, None)]


@pytest.mark.parametrize("with_lock", [True, False])
def test_it_needs_the_lock_to_act_once(
    make_task: NewTaskFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, with_lock: bool
) -> None:
    """The check above can fail: without the row lock both sweeps act on the task, and only the unique key
    (task, step) stops the second of them."""
    met, acted, take = threading.Barrier(2, timeout=1), [], steps.take_due_steps

    def both_look_first(*args: Any) -> bool:
        acted.append(threading.get_ident())
        with suppress(threading.BrokenBarrierError):
            met.wait()  # without the lock, both have read the task before one of them writes
        return take(*args)

    if not with_lock:
        monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **kwargs: self)
    monkeypatch.setattr(timers, "take_due_steps", both_look_first)
    save_policy(SLAPolicy(name="An hour", to_resolve_minutes=60), [StepSpec("escalate", at_percent=100)])
    with clock.at(T):
        make_task(priority=2)
    two_sweeps(T + timedelta(minutes=60))
    races = not with_lock and connection.vendor == "postgresql"
    assert len(acted) == (2 if races else 1)
    assert ("timers failed; each is tried by itself" in caplog.text) is races
    assert TaskEvent.objects.filter(type="task.escalated").count() == FiredStep.objects.count() == 1


@pytest.mark.postgresql_alone
def test_it_passes_over_what_another_sweep_holds(make_task: NewTaskFactory) -> None:
    """A sweep that died with its locks would release them; one that lives is not waited for."""
    with clock.at(T):
        task = make_task(priority=4)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            HumanTask.objects.select_for_update().get(pk=task.pk)
            held.set()
            done.wait(10)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    with clock.at(T + timedelta(hours=5)):
        assert timers.sweep() == 0
        done.set()
        thread.join()
        assert timers.sweep() == 1
