"""Clocks under a hostile hand: whatever people, timers and administrators do in whatever order, promises add up.

Random lives of a few tasks around a change of the clocks: held, resumed, extended, given away, their policy and
calendar edited, the timers down for a day. After each step what is stored is what would be computed anew, and a sweep
leaves nothing that is due: no timer spins.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core import clock
from tasks_app import timers
from tasks_app.actors import Actor, system_actor
from tasks_app.exceptions import TaskError
from tasks_app.models import BusinessCalendar, FiredStep, HumanTask, SLAPolicy, TaskEvent, TaskType, Team, User
from tasks_app.models.task import QUIET_AFTER_HOLD
from tasks_app.services import (
    Decision,
    NewTask,
    StepSpec,
    assign_task,
    change_priority,
    claim_task,
    decide_task,
    extend_task,
    hold_task,
    open_task,
    recompute_open_tasks,
    release_task,
    resume_task,
    save_calendar,
    save_policy,
)
from tasks_app.services.rhythm import schedule
from tasks_app.sla.explain import explain
from tests.profile import scaled

LIVES: Final = scaled("LIVES", 15, 400)
SWEEPS: Final = 4
# A day before the clocks of Berlin go forward.
BEGIN: Final = datetime(2026, 3, 28, 8, 0, tzinfo=UTC)
OFFICE: Final = {
    "sat": [["09:00", "12:30"], ["13:30", "18:00"]],
    "sun": [["22:00", "06:00"]],
    "mon": [["09:00", "17:00"]],
}
CHAIN: Final = [
    StepSpec("warn", at_percent=50),
    StepSpec("raise_priority", offset_minutes=-10),
    StepSpec("escalate", at_percent=100),
    StepSpec("escalate", clock="assign", at_percent=150),
]
DEEDS: Final = (
    *("wait", "wait", "wait", "down", "claim", "hold", "hold", "resume", "extend", "release", "assign"),
    *("priority", "policy", "calendar", "decide"),
)
deeds = st.tuples(st.sampled_from(DEEDS), st.integers(0, 2), st.integers(1, 600))
promises = st.fixed_dictionaries(
    {
        "to_assign_minutes": st.sampled_from([None, 30]),
        "assigned_to_resolve_minutes": st.sampled_from([None, 60]),
        "to_resolve_minutes": st.sampled_from([60, 240, 1440]),
        "pauses_on_hold": st.booleans(),
    }
)


class World:
    """Three tasks, one of them with a deadline of its own, and everybody who may touch them."""

    def __init__(
        self, people: dict[str, User], promise: dict[str, Any], *, steps: bool, expires: bool, returns: bool
    ) -> None:
        self.now = BEGIN
        self.ana, self.sam, root = (Actor(user=people[name]) for name in ("ana", "sam", "root"))
        Team.objects.update(return_after_minutes=90 if returns else None)
        TaskType.objects.filter(pk="creative_approval").update(expires_after_hours=30 if expires else None)
        self.calendar = BusinessCalendar(
            slug="office", name="Office", time_zone="Europe/Berlin", weekly_hours=OFFICE, country="DE"
        )
        save_calendar(self.calendar)
        self.policy = save_policy(
            SLAPolicy(name="Promise", calendar=self.calendar, **promise),
            [step for step in CHAIN if step.clock != "assign" or promise.get("to_assign_minutes")] if steps else None,
        )
        with clock.at(self.now):
            news = [NewTask("creative_approval", "acme_corp", due_in_hours=hours) for hours in (None, None, 5)]
            self.tasks = [open_task(new, root)[0].pk for new in news]
        self.explicit = HumanTask.objects.get(pk=self.tasks[2]).due_by

    def do(self, deed: str, number: int, minutes: int) -> None:
        task_id, length = self.tasks[number], timedelta(minutes=minutes)
        self.now += timedelta(days=1) if deed == "down" else timedelta(minutes=minutes / 10)
        until = self.now + length
        ways: dict[str, Callable[[], object]] = {
            "claim": lambda: claim_task(task_id, self.ana),
            "hold": lambda: hold_task(task_id, self.sam, reason="waits for the buyer", follow_up_at=until),
            "resume": lambda: resume_task(task_id, self.sam),
            "extend": lambda: extend_task(task_id, self.sam, until=self.now + 6 * length),
            "release": lambda: release_task(task_id, self.sam),
            "assign": lambda: assign_task(task_id, self.sam, assigned_to="ana"),
            "priority": lambda: change_priority(task_id, self.sam, priority=1 + minutes % 4),
            "policy": lambda: self.change_policy(minutes),
            "calendar": lambda: self.change_calendar(minutes),
            "decide": lambda: minutes % 3 or decide_task(task_id, self.ana, Decision("approved")),
        }
        with clock.at(self.now):
            with suppress(TaskError):  # refused, which is fine: nothing changed
                ways.get(deed, int)()
            # One thing at a time: steps, then a warning of the expiry, then a task left alone that goes back.
            for _sweep in range(SWEEPS):
                timers.sweep_all()

    def change_policy(self, minutes: int) -> None:
        self.policy.to_resolve_minutes, self.policy.is_active = minutes, minutes % 5 != 0
        save_policy(self.policy)
        recompute_open_tasks(system_actor())
        assert recompute_open_tasks(system_actor()) == 0

    def change_calendar(self, minutes: int) -> None:
        self.calendar.time_zone = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")[minutes % 3]
        save_calendar(self.calendar)
        recompute_open_tasks(system_actor())
        assert recompute_open_tasks(system_actor()) == 0

    def check(self) -> None:
        assert not HumanTask.objects.filter(next_timer_at__lte=self.now).exists(), "a timer spins"
        for task in HumanTask.objects.select_related("task_type", "team"):
            stored = (task.due_by, task.assign_by, task.start_by, task.next_timer_at)
            schedule(task, now=self.now)
            assert stored == (task.due_by, task.assign_by, task.start_by, task.next_timer_at)
            told = explain(task, self.now)
            assert told.sentences
            assert told.due_by == task.due_by
        assert HumanTask.objects.get(pk=self.tasks[2]).due_by == self.explicit
        self.check_trail()

    def check_trail(self) -> None:
        for task_id in self.tasks:
            resumed: datetime | None = None
            ended = False
            for event in TaskEvent.objects.filter(task=task_id).order_by("seq").select_related("actor"):
                assert not ended, "something happened after the end"
                ended = event.to_status in ("completed", "failed")
                by_timer = event.actor_id == system_actor().user.pk and event.type in ("task.escalated", "task.expired")
                if resumed is not None and by_timer:
                    assert event.at >= resumed + QUIET_AFTER_HOLD
                if event.type == "task.resumed":
                    resumed = event.at
        keys = list(FiredStep.objects.values_list("task", "step__key"))
        assert len(keys) == len(set(keys)), "a step was taken twice"


@pytest.mark.django_db
@given(promises, st.booleans(), st.booleans(), st.booleans(), st.lists(deeds, min_size=5, max_size=14))
@settings(max_examples=LIVES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
def test_it_adds_up_whatever_happens(
    people: dict[str, User],
    promise: dict[str, Any],
    steps: bool,
    expires: bool,
    returns: bool,
    life: list[tuple[str, int, int]],
) -> None:
    with transaction.atomic():
        world = World(people, promise, steps=steps, expires=expires, returns=returns)
        for deed, number, minutes in life:
            world.do(deed, number, minutes)
            world.check()
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_its_check_finds_a_timer_that_spins(people: dict[str, User], monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that leaves what is due is found."""
    world = World(people, {"to_resolve_minutes": 60}, steps=True, expires=False, returns=False)
    monkeypatch.setattr(timers, "sweep_all", lambda: 0)
    world.do("down", 0, 1)
    with pytest.raises(AssertionError, match="spins"):
        world.check()
