"""The sweep: steps, chains, expiry; each once, none after the end, no storm after an outage."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from auditlog.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import clock
from tasks_app import chain, timers
from tasks_app.actors import Actor, system_actor
from tasks_app.exceptions import InvalidInput
from tasks_app.models import EventOutbox, FiredStep, HumanTask, SLAPolicy, TaskEvent, TaskType
from tasks_app.services import (
    Decision,
    StepSpec,
    claim_task,
    decide_task,
    extend_task,
    hold_task,
    recompute_open_tasks,
    resume_task,
    save_policy,
    start_task,
)
from tasks_app.services.rhythm import Change
from tasks_app.sla import policies
from tests.cast import NewTaskFactory, channel

T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HASHED: Final = (
    *("event_id", "task_id", "seq", "type", "actor_id", "on_behalf_of_id"),
    *("reason", "at", "from_status", "to_status"),
)
CHAIN = [
    StepSpec("warn", at_percent=50),
    StepSpec("notify", offset_minutes=-10, channel="ops"),
    StepSpec("raise_priority", at_percent=90),
    StepSpec("route", at_percent=100, team="ad-operations"),
    StepSpec("escalate", at_percent=150),
    StepSpec("escalate", at_percent=200),
]


@pytest.fixture(autouse=True)
def _channel(db: None) -> None:
    channel("ops")


def promise(steps: list[StepSpec], **fields: object) -> SLAPolicy:
    return save_policy(SLAPolicy(name="An hour", to_resolve_minutes=60, **fields), steps)


def opened(make_task: NewTaskFactory, **fields: object) -> HumanTask:
    with clock.at(T):
        return make_task(**fields)


def sweep_at(minutes: float) -> int:
    with clock.at(T + timedelta(minutes=minutes)):
        return timers.sweep()


def told(task: HumanTask) -> list[str]:
    return list(TaskEvent.objects.filter(task=task, seq__gt=1).order_by("seq").values_list("type", flat=True))


def test_it_walks_a_chain_step_by_step(make_task: NewTaskFactory) -> None:
    promise(CHAIN)
    task = opened(make_task)
    for minute in range(200):
        sweep_at(minute)
    assert told(task) == [
        "task.sla_warned",
        "task.channel_notified",
        "task.priority_changed",
        "task.routed",
        "task.escalated",
        "task.escalated",
    ]
    moments = [(event.at - T) // timedelta(minutes=1) for event in TaskEvent.objects.filter(task=task, seq__gt=1)]
    assert sorted(moments) == [30, 50, 54, 60, 90, 120]
    task.refresh_from_db()
    assert (task.escalation_level, task.team_id, task.priority, task.due_by, task.next_timer_at) == (
        2,
        "leads",
        3,
        T + timedelta(minutes=60),
        None,
    )


def test_it_tells_a_channels_slug_by_the_event(make_task: NewTaskFactory) -> None:
    promise([StepSpec("notify", at_percent=50, channel="ops")])
    task = opened(make_task)
    sweep_at(30)
    event = TaskEvent.objects.get(task=task, type="task.channel_notified")
    assert FiredStep.objects.get(event_id=event.event_id).step.channel == "ops"


def test_it_takes_steps_of_one_moment_together(make_task: NewTaskFactory) -> None:
    promise([StepSpec("notify", at_percent=100, channel="ops"), StepSpec("escalate", at_percent=100)])
    task = opened(make_task)
    sweep_at(60)
    assert told(task) == ["task.channel_notified", "task.escalated"]


def test_it_is_no_storm_after_a_day_without_timers(make_task: NewTaskFactory) -> None:
    promise(CHAIN)
    tasks = [opened(make_task) for _ in range(5)]
    assert sweep_at(24 * 60) == 5
    assert sweep_at(24 * 60 + 1) == 0
    for task in tasks:
        assert told(task) == ["task.escalated"]
        assert Counter(FiredStep.objects.filter(task=task).values_list("outcome", flat=True)) == {
            "done": 1,
            "passed_over": 5,
        }


def test_it_takes_nothing_after_the_end(make_task: NewTaskFactory, ana: Actor) -> None:
    promise(CHAIN)
    task = opened(make_task)
    with clock.at(T + timedelta(minutes=10)):
        decide_task(task.pk, ana, Decision("approved"))
    before = told(task)
    assert sweep_at(24 * 60) == 0
    assert told(task) == before


def test_it_does_not_take_a_step_again_that_was_edited_later(make_task: NewTaskFactory) -> None:
    made = promise([StepSpec("escalate", at_percent=100)])
    task = opened(make_task)
    sweep_at(60)
    key = made.steps.get(is_current=True).key
    save_policy(made, [StepSpec("escalate", at_percent=120, key=key)])
    with clock.at(T + timedelta(minutes=61)):
        recompute_open_tasks(system_actor())
    assert sweep_at(300) == 0
    assert told(task) == ["task.escalated"]


def test_it_stops_at_the_assignment_with_the_steps_of_that_clock(make_task: NewTaskFactory, ana: Actor) -> None:
    promise([StepSpec("escalate", clock="assign", at_percent=100)], to_assign_minutes=15)
    waiting, taken = opened(make_task), opened(make_task)
    with clock.at(T + timedelta(minutes=5)):
        claim_task(taken.pk, ana)
    sweep_at(15)
    assert (told(waiting), told(taken)) == (["task.escalated"], ["task.claimed"])


def test_it_leaves_work_in_progress_where_it_is_when_a_step_would_route_it(
    make_task: NewTaskFactory, ana: Actor
) -> None:
    promise([StepSpec("route", at_percent=50, team="ad-operations")])
    task = opened(make_task)
    with clock.at(T):
        claim_task(task.pk, ana)
        start_task(task.pk, ana)
    before = told(task)
    assert sweep_at(30) == 0
    assert sweep_at(31) == 0
    assert told(task) == before
    assert FiredStep.objects.get(task=task).outcome == "not_needed"


def test_it_escalates_once_by_default_and_with_a_policy_without_steps(make_task: NewTaskFactory) -> None:
    task = opened(make_task, priority=4)
    promise([], priority=2)
    other = opened(make_task, priority=2)
    for hour in range(60):
        sweep_at(hour * 60)
    assert (told(task), told(other)) == (["task.escalated"], ["task.escalated"])


@pytest.fixture
def expiring(db: None) -> None:
    TaskType.objects.filter(pk="manual_approval").update(expires_after_hours=8, default_priority=1)


def test_it_warns_before_it_expires_and_says_expired_never_rejected(make_task: NewTaskFactory, expiring: None) -> None:
    task = opened(make_task, task_type="manual_approval")
    assert sweep_at(5 * 60) == 0
    assert sweep_at(6 * 60) == 1
    assert sweep_at(7 * 60) == 0
    assert sweep_at(8 * 60) == 1
    assert told(task) == ["task.sla_warned", "task.expired"]
    task.refresh_from_db()
    assert (task.status, task.resolution, task.resolved_by) == ("failed", "expired", None)


def test_it_warns_first_where_timers_were_down_when_the_end_came(make_task: NewTaskFactory, expiring: None) -> None:
    task = opened(make_task, task_type="manual_approval")
    assert sweep_at(24 * 60) == 1
    assert told(task) == ["task.sla_warned"]
    assert sweep_at(24 * 60 + 59) == 0
    assert sweep_at(25 * 60) == 1  # half of the two hours' notice later
    assert told(task) == ["task.sla_warned", "task.expired"]


def test_it_expires_later_when_somebody_puts_it_off(make_task: NewTaskFactory, root: Actor, expiring: None) -> None:
    task = opened(make_task, task_type="manual_approval")
    sweep_at(6 * 60)
    with clock.at(T + timedelta(hours=7)):
        extended = extend_task(task.pk, root, until=T + timedelta(hours=30), reason="the buyer is away")
    assert extended.version == 2
    assert sweep_at(9 * 60) == 0
    assert sweep_at(23 * 60) == 1
    assert sweep_at(30 * 60) == 1
    assert told(task) == ["task.sla_warned", "task.extended", "task.sla_warned", "task.expired"]


def test_it_is_put_off_and_never_brought_forward(make_task: NewTaskFactory, root: Actor, expiring: None) -> None:
    task = opened(make_task, task_type="manual_approval")
    with clock.at(T):
        for until in (1, 8):
            with pytest.raises(InvalidInput, match="it expires at 2026-03-02 17:00 UTC; give a later moment"):
                extend_task(task.pk, root, until=T + timedelta(hours=until))
        extend_task(task.pk, root, until=T + timedelta(hours=9))
        with pytest.raises(InvalidInput, match="18:00"):
            extend_task(task.pk, root, until=T + timedelta(hours=9))


def test_it_expires_when_it_was_put_off_to_whatever_holds_there_were_and_is_warned_of_after_one(
    make_task: NewTaskFactory, root: Actor, expiring: None
) -> None:
    save_policy(SLAPolicy(name="Nine days", to_resolve_minutes=9 * 24 * 60))  # its clocks stop on hold

    def hold(begins: float, ends: float) -> None:
        with clock.at(T + timedelta(hours=begins)):
            hold_task(task.pk, root, reason="the buyer is away", follow_up_at=T + timedelta(hours=ends))
        with clock.at(T + timedelta(hours=ends)):
            resume_task(task.pk, root)

    task = opened(make_task, task_type="manual_approval")
    with clock.at(T):
        claim_task(task.pk, root)
    hold(1, 5)
    with clock.at(T + timedelta(hours=6)):
        extend_task(task.pk, root, until=T + timedelta(hours=16))  # 12 without: the clocks stood still for four
    assert sweep_at(12 * 60) == 1
    hold(13, 20)
    assert sweep_at(20 * 60 + 15) == 1
    assert sweep_at(22 * 60) == 0
    assert sweep_at(22 * 60 + 15) == 1  # half of the four hours' notice later
    assert told(task)[-5:] == ["task.sla_warned", "task.held", "task.resumed", "task.sla_warned", "task.expired"]


def test_it_pushes_a_bad_row_forward_and_goes_on(make_task: NewTaskFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = opened(make_task, priority=4), opened(make_task, priority=4)
    act = timers._act

    def fails(change: Change) -> bool:
        acted = act(change)
        if change.task.pk == bad.pk:
            raise RuntimeError("a bad row")
        return acted

    monkeypatch.setattr(timers, "_act", fails)
    assert sweep_at(241) == 1
    bad.refresh_from_db()
    assert (told(good), told(bad)) == (["task.escalated"], [])
    assert bad.next_timer_at == T + timedelta(minutes=241) + timers.PUSHED_FORWARD
    verify_chains([good, bad])


def test_it_gives_no_timer_to_a_bad_row_that_ended_meanwhile(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be swept for ever, and a step could still happen to it."""
    bad = opened(make_task, priority=4)

    def fails(change: Change) -> bool:
        raise RuntimeError("a bad row")

    monkeypatch.setattr(timers, "_act", fails)
    monkeypatch.setattr(timers.log, "exception", lambda *told: decide_task(bad.pk, ana, Decision("approved")))
    sweep_at(241)
    bad.refresh_from_db()
    assert (bad.status, bad.next_timer_at) == ("completed", None)


def test_it_does_the_others_when_the_database_refuses_one_of_a_batch(
    make_task: NewTaskFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A step that the database knows as taken, and the sweep does not, as if another had come between."""
    made = promise([StepSpec("escalate", at_percent=100)])
    tasks = [opened(make_task) for _ in range(4)]
    step = made.steps.get()
    FiredStep.objects.create(task=tasks[1], step=step, fired_at=T, outcome=FiredStep.Outcome.DONE)
    monkeypatch.setattr(policies, "steps_taken", lambda task_ids: {})
    assert sweep_at(60) == 3
    assert "a batch of 4 timers failed" in caplog.text
    assert [told(task) for task in tasks] == [["task.escalated"], [], ["task.escalated"], ["task.escalated"]]
    tasks[1].refresh_from_db()
    assert tasks[1].next_timer_at == T + timedelta(minutes=60) + timers.PUSHED_FORWARD
    verify_chains(tasks)


def test_it_asks_as_much_for_many_as_for_few(make_task: NewTaskFactory) -> None:
    """A batch is a fixed number of statements on PostgreSQL; SQLite writes its tasks one by one."""
    promise([StepSpec("notify", at_percent=100, channel="ops"), StepSpec("escalate", at_percent=100)])
    asked = []
    for number in (3, 30):
        tasks = [opened(make_task) for _ in range(number)]
        with clock.at(T + timedelta(minutes=60)), CaptureQueriesContext(connection) as queries:
            assert timers.sweep() == number
        asked.append(len(queries))
        verify_chains(tasks)
    assert asked[0] == asked[1] <= 25


def verify_chains(tasks: list[HumanTask]) -> None:
    """Every event is linked, numbered, positioned for the outside, and has its audit entry."""
    for task in tasks:
        task.refresh_from_db()
        last, seq = "", 0
        for event in TaskEvent.objects.filter(task=task).order_by("seq"):
            columns = {name: getattr(event, name) for name in HASHED}
            assert event.hash == chain.link(last, **columns, snapshot=bytes(event.snapshot))
            assert (event.prev_hash, event.seq) == (last, seq + 1)
            last, seq = event.hash, event.seq
            assert EventOutbox.objects.filter(event=event).count() == 1
            assert LogEntry.objects.filter(additional_data__event_id=event.pk).count() == 1
        assert (task.last_event_hash, task.last_event_seq) == (last, seq)
