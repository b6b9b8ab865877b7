"""Hold: the clocks stop where the policy says so, nothing takes the task away, nothing escalates at once."""

from datetime import UTC, datetime, timedelta

import pytest

from core import clock
from tasks_app import timers
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput, NotAllowed, StaleVersion, WrongState
from tasks_app.models import HumanTask, SLAPolicy, TaskEvent
from tasks_app.services import (
    Decision,
    StepSpec,
    assign_task,
    claim_task,
    decide_task,
    escalate_task,
    hold_task,
    release_task,
    resume_task,
    save_policy,
    start_task,
)
from tasks_app.sla.explain import explain
from tests.cast import NewTaskFactory

T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def held(
    task: HumanTask, ana: Actor, *, at: float = 1, until: float = 10, reason: str = "waits for the buyer"
) -> HumanTask:
    """Claimed by ana on the hour before, and put on hold."""
    with clock.at(T + hours(at) - timedelta(minutes=1)):
        claim_task(task.pk, ana)
    with clock.at(T + hours(at)):
        return hold_task(task.pk, ana, reason=reason, follow_up_at=T + hours(until))


def promise(**fields: object) -> SLAPolicy:
    return save_policy(SLAPolicy(name="Four hours", to_resolve_minutes=240, **fields))


def opened(make_task: NewTaskFactory, **fields: object) -> HumanTask:
    with clock.at(T):
        return make_task(**fields)


def sweep_at(count: float) -> int:
    with clock.at(T + hours(count)):
        return timers.sweep()


def types_of(task: HumanTask) -> list[str]:
    return list(TaskEvent.objects.filter(task=task).order_by("seq").values_list("type", flat=True))


def test_it_stops_the_clock_and_goes_on_where_it_stood(make_task: NewTaskFactory, ana: Actor) -> None:
    promise()
    task = held(opened(make_task), ana)
    assert (task.version, task.held_reason, task.follow_up_at) == (3, "waits for the buyer", T + hours(10))
    assert task.due_by == T + hours(13)  # told as if the hold lasted until its follow-up
    assert sweep_at(9) == 0
    with clock.at(T + hours(6)):
        task = resume_task(task.pk, ana)
    assert (task.due_by, task.held_since, task.version) == (T + hours(9), None, 4)
    assert sweep_at(8.9) == 0
    assert sweep_at(9) == 1
    assert types_of(task)[-3:] == ["task.held", "task.resumed", "task.escalated"]


def test_it_takes_the_task_up_by_itself_at_the_follow_up_and_escalates_nothing_then(
    make_task: NewTaskFactory, ana: Actor
) -> None:
    promise(pauses_on_hold=False)
    task = held(opened(make_task), ana)
    assert task.due_by == T + hours(4)
    assert sweep_at(5) == 0  # overdue meanwhile, but it stays with its holder
    assert sweep_at(10) == 1
    assert types_of(task)[-1] == "task.resumed"
    assert sweep_at(10) == 0
    assert sweep_at(10.2) == 0
    assert sweep_at(10.3) == 1
    assert types_of(task)[-1] == "task.escalated"


def test_it_would_escalate_at_once_without_the_quiet_quarter(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check above can fail: without the pause after a hold the task is taken away in the instant it resumes."""
    monkeypatch.setattr("tasks_app.models.task.QUIET_AFTER_HOLD", timedelta(0))
    promise(pauses_on_hold=False)
    task = held(opened(make_task), ana)
    sweep_at(10)
    assert sweep_at(10) == 1
    assert types_of(task)[-1] == "task.escalated"


def test_it_warns_meanwhile_where_the_clock_runs_on(make_task: NewTaskFactory, ana: Actor) -> None:
    made = promise(pauses_on_hold=False)
    save_policy(made, [StepSpec("warn", at_percent=50), StepSpec("escalate", at_percent=100)])
    task = held(opened(make_task), ana)
    assert sweep_at(3) == 1
    assert sweep_at(9) == 0
    assert types_of(task)[-2:] == ["task.held", "task.sla_warned"]


def test_it_warns_meanwhile_of_a_deadline_that_the_adapter_gave(make_task: NewTaskFactory, ana: Actor) -> None:
    """Its clock runs on, whatever the policy says of its own."""
    save_policy(promise(), [StepSpec("warn", at_percent=50)])
    task = held(opened(make_task, due_in_hours=6), ana)
    assert sweep_at(2.9) == 0
    assert sweep_at(3) == 1
    assert types_of(task)[-1] == "task.sla_warned"


def test_it_was_due_when_its_page_says_where_it_ended_on_hold(make_task: NewTaskFactory, ana: Actor) -> None:
    """The hold had been counted up to its follow-up; it lasted for two hours."""
    promise()
    task = held(opened(make_task), ana)
    with clock.at(T + hours(3)):
        ended = decide_task(task.pk, ana, Decision("approved"))
    assert ended.due_by == T + hours(6)
    told = explain(ended, T + hours(9))
    assert (told.due_by, [shown.deadline for shown in told.clocks]) == (T + hours(6), [T + hours(6)])


def test_it_leaves_the_defaults_clock_running(make_task: NewTaskFactory, ana: Actor) -> None:
    task = held(opened(make_task, priority=4), ana)
    assert task.due_by == T + hours(4)


@pytest.mark.parametrize("leave", ["release", "escalate", "decide", "assign"])
def test_it_ends_the_hold_when_the_task_leaves_its_holder(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, leave: str
) -> None:
    promise()
    task = held(opened(make_task), ana)
    ways = {
        "release": lambda: release_task(task.pk, ana),
        "escalate": lambda: escalate_task(task.pk, ana),
        "decide": lambda: decide_task(task.pk, ana, Decision("approved")),
        "assign": lambda: assign_task(task.pk, sam, assigned_to="sam"),
    }
    with clock.at(T + hours(3)):
        left = ways[leave]()
    assert (left.held_since, left.follow_up_at, left.held_reason) == (None, None, "")
    assert left.holds == [[(T + hours(1)).isoformat(), (T + hours(3)).isoformat()]]
    if left.is_open:
        assert left.due_by == T + hours(6)


def test_it_stays_on_hold_when_its_holder_starts(make_task: NewTaskFactory, ana: Actor) -> None:
    task = held(opened(make_task), ana)
    with clock.at(T + hours(2)):
        assert start_task(task.pk, ana).held_since == T + hours(1)


def test_it_adds_up_several_holds(make_task: NewTaskFactory, ana: Actor) -> None:
    promise()
    task = held(opened(make_task), ana)
    for begins, ends in ((2, 3), (5, 8)):
        with clock.at(T + hours(begins)):
            if begins == 2:
                resume_task(task.pk, ana)
                continue
            hold_task(task.pk, ana, reason="again", follow_up_at=T + hours(20))
        with clock.at(T + hours(ends)):
            task = resume_task(task.pk, ana)
    # One hour and three hours stood still; four counted.
    assert task.due_by == T + hours(5)  # it was used up when the second hold began


def test_it_is_for_the_holder_and_leads_and_needs_a_reason(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, people: dict[str, object]
) -> None:
    task = opened(make_task)
    soon = T + hours(5)
    with clock.at(T):
        with pytest.raises(WrongState):
            hold_task(task.pk, ana, reason="x", follow_up_at=soon)
        claim_task(task.pk, sam)
        with pytest.raises(NotAllowed):
            hold_task(task.pk, ana, reason="x", follow_up_at=soon)
        with pytest.raises(InvalidInput, match="reason"):
            hold_task(task.pk, sam, reason=" ", follow_up_at=soon)
        for wrong in (T, T + timedelta(days=91)):
            with pytest.raises(InvalidInput, match="follow_up_at"):
                hold_task(task.pk, sam, reason="x", follow_up_at=wrong)
        with pytest.raises(StaleVersion):
            hold_task(task.pk, sam, reason="x", follow_up_at=soon, expected_version=1)
        with pytest.raises(WrongState, match="not on hold"):
            resume_task(task.pk, sam)
        stored = hold_task(task.pk, sam, reason="mail jane@acme.example", follow_up_at=soon)
        assert "jane@" not in stored.held_reason
        with pytest.raises(WrongState, match="on hold already"):
            hold_task(task.pk, sam, reason="x", follow_up_at=soon)
