"""Decisions that can be taken back: staged on the server, carried out when their time is over, cancelled by changes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from auditlog.models import LogEntry
from django.test import override_settings

from core import clock
from tasks_app import jobs, services, timers
from tasks_app.actors import Actor, system_actor
from tasks_app.exceptions import InvalidInput, NotAllowed, StaleVersion, TakenByAnother, TaskNotFound, WrongState
from tasks_app.models import HumanTask, SealedDetail, StagedDecision, TaskEvent, TaskType
from tasks_app.services import Decision, staging
from tests.cast import NewTaskFactory, add_to_team, person

T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
APPROVED = Decision("approved")


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


def sweep_at(seconds: float) -> int:
    with clock.at(at(seconds)):
        return timers.sweep()


def fresh(task: HumanTask) -> HumanTask:
    return HumanTask.objects.get(pk=task.pk)


def told(task: HumanTask) -> list[str]:
    return list(TaskEvent.objects.filter(task=task, seq__gt=1).order_by("seq").values_list("type", flat=True))


@pytest.fixture
def staged(make_task: NewTaskFactory, ana: Actor) -> HumanTask:
    """A task that ana approved at T; ten seconds to take it back."""
    with clock.at(T):
        task = make_task()
        services.stage_decision(task.pk, ana, APPROVED)
    return fresh(task)


def test_it_leaves_the_task_with_its_holder_until_the_time_is_over(staged: HumanTask, ana: Actor) -> None:
    assert (staged.status, staged.assigned_to, staged.resolution) == ("in_progress", ana.user, "")
    assert staged.staged_until == staged.next_timer_at == at(10)
    assert sweep_at(9.9) == 0
    assert fresh(staged).is_open


def test_it_is_carried_out_by_the_sweep_with_no_browser_left(staged: HumanTask, ana: Actor) -> None:
    with clock.at(at(10)):
        jobs.sweep_timers()
        jobs.sweep_timers()
    done = fresh(staged)
    assert (done.status, done.resolution, done.resolved_by, done.completed_at) == (
        "completed",
        "approved",
        ana.user,
        at(10),
    )
    assert done.staged_until is None
    assert told(staged) == ["task.claimed", "task.started", "task.decision_staged", "task.completed"]
    end = TaskEvent.objects.get(task=staged, type="task.completed")
    entry = LogEntry.objects.get(additional_data__event_id=end.pk)
    assert (end.actor, entry.actor, entry.remote_addr, entry.cid) == (ana.user, ana.user, ana.address, "test")
    assert StagedDecision.objects.get().outcome == "carried_out"


def test_it_is_carried_out_by_the_reviewers_own_poll(staged: HumanTask, ana: Actor, sam: Actor) -> None:
    with clock.at(at(10)):
        assert staging.carry_out_due(sam) == 0, "only one's own"
        assert staging.carry_out_due(ana) == 1
        assert staging.carry_out_due(ana) == 0
    assert sweep_at(11) == 0
    assert fresh(staged).resolution == "approved"


def test_it_can_be_taken_back_with_what_was_written(make_task: NewTaskFactory, ana: Actor) -> None:
    task = make_task("creative_approval")
    services.stage_decision(task.pk, ana, Decision("rejected", "The logo is cut off.", {"logo": "whole"}))
    back, decision = services.take_back_decision(task.pk, ana)
    assert (back.status, back.staged_until) == ("in_progress", None)
    assert (decision.detail, decision.modifications) == ("The logo is cut off.", {"logo": "whole"})
    with clock.at(clock.now() + timedelta(minutes=1)):
        assert timers.sweep() == 0
    assert fresh(task).is_open
    assert told(task)[-2:] == ["task.decision_staged", "task.decision_taken_back"]
    services.stage_decision(task.pk, ana, APPROVED)
    with clock.at(clock.now() + timedelta(minutes=1)):
        assert timers.sweep() == 1
    assert fresh(task).resolution == "approved"


def test_it_is_not_taken_back_by_others_nor_after_its_end(staged: HumanTask, ana: Actor, sam: Actor) -> None:
    with clock.at(at(5)), pytest.raises(WrongState):
        services.take_back_decision(staged.pk, sam)
    sweep_at(10)
    with pytest.raises(WrongState):
        services.take_back_decision(staged.pk, ana)
    assert fresh(staged).resolution == "approved", "a finished task is never opened again"


def test_it_moves_the_version_only_as_claim_and_start_do(staged: HumanTask, ana: Actor) -> None:
    assert staged.version == 3
    with clock.at(at(1)):
        services.take_back_decision(staged.pk, ana)
    assert fresh(staged).version == 3


CHANGES: dict[str, Callable[[HumanTask, Actor, Actor, Actor], object]] = {
    "release": lambda task, ana, sam, bot: services.release_task(task.pk, sam),
    "assign": lambda task, ana, sam, bot: services.assign_task(task.pk, sam, assigned_to="sam"),
    "escalate": lambda task, ana, sam, bot: services.escalate_task(task.pk, sam),
    "withdraw": lambda task, ana, sam, bot: services.withdraw_task(task.pk, bot),
    "priority": lambda task, ana, sam, bot: services.change_priority(task.pk, sam, priority=4),
    "hold": lambda task, ana, sam, bot: services.hold_task(
        task.pk, sam, reason="waits", follow_up_at=clock.now() + timedelta(days=1)
    ),
    "hand_over": lambda task, ana, sam, bot: services.hand_over_task(task.pk, ana, to="sam", note="you know them"),
    "decide": lambda task, ana, sam, bot: services.decide_task(task.pk, ana, Decision("rejected", "No.")),
    "resolve": lambda task, ana, sam, bot: services.resolve_task(task.pk, ana, Decision("rejected", "No.")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_cancelled_by_any_other_change_of_the_task(
    staged: HumanTask, ana: Actor, sam: Actor, bot: Actor, change: str
) -> None:
    with clock.at(at(5)):
        CHANGES[change](staged, ana, sam, bot)
        before = fresh(staged)
    assert before.staged_until is None
    decision = StagedDecision.objects.get()
    assert (decision.outcome, decision.ended_at) == ("cancelled", at(5))
    assert told(staged).count("task.decision_cancelled") == 1
    sweep_at(30)
    after = fresh(staged)
    assert (after.resolution, after.version) == (before.resolution, before.version)
    is_own = change in ("hand_over", "decide", "resolve")
    assert [row.pk for row in staging.untold(ana)] == ([] if is_own else [decision.pk])
    assert is_own or decision.why.startswith(("sam: ", "bot: "))
    staging.note_told(ana, [decision.pk])
    assert staging.untold(ana) == []


@pytest.mark.parametrize("fact", ["comment", "recur", "reveal"])
def test_it_is_not_cancelled_by_what_leaves_the_task_as_it_is(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, fact: str
) -> None:
    with clock.at(T):
        task = make_task(dedup_key="k", error_detail="ask jane@acme.example")
        services.stage_decision(task.pk, ana, APPROVED)
    with clock.at(at(5)):
        if fact == "comment":
            services.comment_on_task(task.pk, sam, "seen")
        elif fact == "reveal":
            services.reveal_detail(task.pk, sam, placeholder="[email 1]", reason="to ask")
        else:
            make_task(dedup_key="k")
    assert sweep_at(10) == 1
    assert fresh(task).resolution == "approved"


def test_it_asks_for_rights_again_at_the_end(staged: HumanTask, ana: Actor) -> None:
    ana.user.memberships.all().delete()
    assert sweep_at(10) == 1
    task = fresh(staged)
    assert (task.status, task.resolution, task.staged_until) == ("in_progress", "", None)
    event = TaskEvent.objects.get(task=task, type="task.decision_cancelled")
    assert (event.actor, event.reason) == (system_actor().user, "ana may no longer decide this task")
    assert [row.why for row in staging.untold(ana)] == [event.reason]
    assert sweep_at(11) == 0


def test_it_asks_the_type_again_at_the_end(staged: HumanTask, ana: Actor) -> None:
    TaskType.objects.filter(pk="creative_approval").update(allowed_resolutions=["rejected"])
    sweep_at(10)
    assert fresh(staged).is_open
    assert "approved" in staging.untold(ana)[0].why


def test_it_ends_nothing_of_a_person_who_was_deactivated(staged: HumanTask, ana: Actor) -> None:
    type(ana.user).objects.filter(pk=ana.user.pk).update(is_active=False)
    sweep_at(10)
    assert fresh(staged).is_open


def test_it_masks_texts_at_the_door(make_task: NewTaskFactory, ana: Actor) -> None:
    task = make_task()
    decision = Decision("rejected", "mail jane@acme.example", {"contact": "jane@acme.example"})
    services.stage_decision(task.pk, ana, decision)
    stored = StagedDecision.objects.get()
    assert "jane" not in f"{stored.detail}{stored.modifications}"
    assert SealedDetail.objects.filter(task=task).exists()
    with clock.at(clock.now() + timedelta(minutes=1)):
        timers.sweep()
    assert fresh(task).resolution_detail == stored.detail
    assert not any("jane" in event.reason for event in TaskEvent.objects.filter(task=task))


@pytest.mark.parametrize(
    ("decision", "field"),
    [
        (Decision("rejected", " "), "resolution_detail"),
        (Decision("completed"), "resolution"),
        (Decision("cannot_complete", "x", {"a": 1}), "modifications"),
    ],
)
def test_it_says_at_once_what_a_decision_lacks(
    make_task: NewTaskFactory, ana: Actor, decision: Decision, field: str
) -> None:
    task = make_task()
    with pytest.raises(InvalidInput) as refusal:
        services.stage_decision(task.pk, ana, decision)
    assert refusal.value.field == field
    assert told(task) == []


def test_it_refuses_whom_a_decision_would_be_refused(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, zoe: Actor, worker_bot: Actor
) -> None:
    task = make_task()
    with pytest.raises(TaskNotFound):
        services.stage_decision(task.pk, zoe, APPROVED)
    with pytest.raises(NotAllowed):
        services.stage_decision(task.pk, worker_bot, APPROVED)
    services.claim_task(task.pk, sam)
    with pytest.raises(StaleVersion):
        services.stage_decision(task.pk, ana, APPROVED, expected_version=1)
    with pytest.raises(TakenByAnother):
        services.stage_decision(task.pk, ana, APPROVED)
    assert not StagedDecision.objects.exists()


def test_it_takes_the_same_key_twice_as_once(staged: HumanTask, ana: Actor, sam: Actor) -> None:
    with clock.at(at(1)):
        with pytest.raises(TakenByAnother):
            services.stage_decision(staged.pk, sam, APPROVED)
        _task, waiting = services.stage_decision(staged.pk, ana, APPROVED)
        with pytest.raises(WrongState):
            services.stage_decision(staged.pk, ana, Decision("rejected", "No."))
    assert waiting is not None
    assert waiting.pk == StagedDecision.objects.get().pk


@override_settings(HITL_UNDO_SECONDS=0)
def test_it_decides_at_once_where_the_time_is_nothing(make_task: NewTaskFactory, ana: Actor) -> None:
    task, waiting = services.stage_decision(make_task().pk, ana, APPROVED)
    assert (task.status, waiting) == ("completed", None)
    assert not StagedDecision.objects.exists()


def test_it_records_the_first_of_two_decisions_and_the_second_ends_it(
    make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    TaskType.objects.filter(pk="creative_approval").update(needs_second_reviewer=True)
    with clock.at(T):
        task = make_task()
        services.stage_decision(task.pk, ana, APPROVED)
    sweep_at(10)
    waiting = fresh(task)
    assert (waiting.status, waiting.stage, waiting.first_decided_by) == ("pending", 2, ana.user)
    with clock.at(at(20)), pytest.raises(NotAllowed):
        services.stage_decision(task.pk, ana, APPROVED)
    with clock.at(at(20)):
        services.stage_decision(task.pk, sam, APPROVED)
    sweep_at(30)
    assert (fresh(task).status, fresh(task).resolved_by) == ("completed", sam.user)


def test_it_is_the_same_decision_only_with_the_same_words(make_task: NewTaskFactory, ana: Actor) -> None:
    with clock.at(T):
        task = make_task()
        first = Decision("rejected", "ask a@b.example", {"landing_page": "https://a.example"})
        services.stage_decision(task.pk, ana, first)
        _task, again = services.stage_decision(task.pk, ana, first)
        assert again is not None
        assert again.detail == "ask [email 1]"
        for other in (Decision("rejected", "ask c@d.example", first.modifications), Decision("rejected", first.detail)):
            with pytest.raises(WrongState):
                services.stage_decision(task.pk, ana, other)
    assert StagedDecision.objects.count() == 1


def test_it_is_carried_out_also_where_its_masked_modifications_no_longer_fit_the_form(
    make_task: NewTaskFactory, ana: Actor
) -> None:
    form = {"properties": {"phone": {"type": "integer"}, "contact": {"pattern": "@"}}}
    TaskType.objects.filter(pk="creative_approval").update(resolution_schema=form)
    with clock.at(T):
        task = make_task()
        asked = Decision("approved", "", {"phone": 4155552671, "contact": "a@b.example"})
        services.stage_decision(task.pk, ana, asked)
    sweep_at(10)
    assert (fresh(task).status, fresh(task).resolution_data["contact"]) == ("completed", "[email 1]")


def test_it_is_carried_out_before_a_deadline_escalates(make_task: NewTaskFactory, ana: Actor) -> None:
    with clock.at(T):
        task = make_task(priority=4)
    with clock.at(T + timedelta(hours=4) - timedelta(seconds=5)):
        services.stage_decision(task.pk, ana, APPROVED)
    with clock.at(T + timedelta(hours=5)):
        assert timers.sweep() == 1
    assert fresh(task).resolution == "approved"


@pytest.mark.parametrize("decided", [-5, 5], ids=["before the deadline", "after it, and before the sweep"])
def test_no_deadline_comes_between_a_decision_and_its_end(
    make_task: NewTaskFactory, ana: Actor, decided: float
) -> None:
    with clock.at(T):
        task = make_task(priority=4)
    begin = T + timedelta(hours=4, seconds=decided)
    with clock.at(begin):
        services.stage_decision(task.pk, ana, APPROVED)
    assert fresh(task).next_timer_at == begin + timedelta(seconds=10)
    HumanTask.objects.filter(pk=task.pk).update(next_timer_at=begin)  # as an older process scheduled it
    for seconds in (6, 9, 10):
        with clock.at(begin + timedelta(seconds=seconds)):
            timers.sweep()
    assert told(task)[-2:] == ["task.decision_staged", "task.completed"]


def test_it_tidies_up_what_waits_no_more(staged: HumanTask) -> None:
    sweep_at(10)
    with clock.at(at(0) + timedelta(days=6)):
        jobs.tidy_up()
        assert StagedDecision.objects.exists()
    with clock.at(at(0) + timedelta(days=8)):
        jobs.tidy_up()
    assert not StagedDecision.objects.exists()


def test_it_lets_a_lead_act_on_the_version_seen_before_the_decision(staged: HumanTask, sam: Actor) -> None:
    services.assign_task(staged.pk, sam, assigned_to="sam", expected_version=3)
    assert StagedDecision.objects.get().outcome == "cancelled"


def test_it_does_not_outlive_a_member_who_leaves(staged: HumanTask, ana: Actor, root: Actor) -> None:
    add_to_team(person("bea"), "creative-review")
    services.return_tasks_of(ana.user, root, reason="left")
    assert fresh(staged).status == "pending"
    assert StagedDecision.objects.get().outcome == "cancelled"
