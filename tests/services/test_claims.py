"""Handing over, skipping, and the return of what its holder leaves alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from core import clock
from tasks_app import services, timers
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput, NotAllowed, WrongState
from tasks_app.models import HumanTask, TaskEvent, TaskPresence, Team
from tasks_app.services import Decision
from tests.cast import NewTaskFactory

T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def minutes(number: float) -> datetime:
    return T + timedelta(minutes=number)


def sweep_at(minute: float) -> int:
    with clock.at(minutes(minute)):
        return timers.sweep()


def fresh(task: HumanTask) -> HumanTask:
    return HumanTask.objects.get(pk=task.pk)


def told(task: HumanTask) -> list[str]:
    return list(TaskEvent.objects.filter(task=task, seq__gt=1).order_by("seq").values_list("type", flat=True))


# -- handing over ------------------------------------------------------------------------------------------------------


def test_it_hands_a_task_over_with_a_note(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    task = make_task()
    services.claim_task(task.pk, ana)
    services.start_task(task.pk, ana)
    given = services.hand_over_task(task.pk, ana, to="sam@agency.example", note="You know them; ask jane@acme.example")
    assert (given.status, given.assigned_to, given.started_at) == ("assigned", sam.user, None)
    event = TaskEvent.objects.get(task=task, type="task.handed_over")
    assert (event.actor, event.reason) == (ana.user, "You know them; ask [email 1]")
    with pytest.raises(NotAllowed):
        services.hand_over_task(task.pk, ana, to="ana", note="back to me")


def test_it_hands_over_nothing_that_one_does_not_hold(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    task = make_task()
    with pytest.raises(WrongState):
        services.hand_over_task(task.pk, ana, to="sam", note="yours")
    services.claim_task(task.pk, ana)
    with pytest.raises(NotAllowed):
        services.hand_over_task(task.pk, sam, to="sam", note="mine: leads assign")


@pytest.mark.parametrize(("to", "note", "field"), [("zoe", "x", "to"), ("ana", "x", "to"), ("sam", " ", "note")])
def test_it_says_why_a_hand_over_is_refused(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, zoe: Actor, to: str, note: str, field: str
) -> None:
    task = make_task()
    services.claim_task(task.pk, ana)
    with pytest.raises(InvalidInput) as refusal:
        services.hand_over_task(task.pk, ana, to=to, note=note)
    assert refusal.value.field == field


def test_it_does_not_hand_the_second_review_to_the_first_reviewer(
    make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    task = make_task()
    task.task_type.needs_second_reviewer = True
    task.task_type.save()
    services.decide_task(task.pk, ana, Decision("approved"))
    services.claim_task(task.pk, sam)
    with pytest.raises(InvalidInput):
        services.hand_over_task(task.pk, sam, to="ana", note="you know it")


# -- skipping ----------------------------------------------------------------------------------------------------------


def test_it_gives_a_claimed_task_back_when_it_is_skipped(make_task: NewTaskFactory, ana: Actor) -> None:
    task = make_task()
    services.claim_task(task.pk, ana)
    services.skip_task(task.pk, ana, reason="not my language")
    assert fresh(task).status == "pending"
    assert told(task) == ["task.claimed", "task.skipped", "task.released"]


def test_it_leaves_a_skipped_task_as_it_is_otherwise(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    waiting, begun = make_task(), make_task()
    services.claim_task(begun.pk, ana)
    services.start_task(begun.pk, ana)
    for task in (waiting, begun):
        before = fresh(task)
        services.skip_task(task.pk, ana, reason="not my language")
        assert (fresh(task).status, fresh(task).version) == (before.status, before.version)
        assert told(task)[-1] == "task.skipped"


# -- what its holder leaves alone --------------------------------------------------------------------------------------


@pytest.fixture
def claimed(make_task: NewTaskFactory, ana: Actor) -> HumanTask:
    """A task that ana took at T, in a team whose untouched tasks return after 40 minutes."""
    Team.objects.filter(pk="creative-review").update(return_after_minutes=40)
    with clock.at(T):
        task = make_task(priority=1)
        services.claim_task(task.pk, ana)
    return fresh(task)


def test_it_warns_the_holder_and_then_gives_the_task_back(claimed: HumanTask) -> None:
    assert claimed.next_timer_at == minutes(30)
    assert sweep_at(29) == 0
    assert sweep_at(30) == 1
    assert (fresh(claimed).status, fresh(claimed).version) == ("assigned", 2)
    assert (sweep_at(31), sweep_at(39)) == (0, 0)
    assert sweep_at(40) == 1
    task = fresh(claimed)
    assert (task.status, task.assigned_to, task.next_timer_at) == ("pending", None, None)
    assert told(task) == ["task.claimed", "task.return_warned", "task.released"]
    warned, released = TaskEvent.objects.filter(task=task, seq__gt=2).order_by("seq")
    assert warned.reason == "untouched; it goes back to the queue at 2026-03-02 09:40 UTC"
    assert released.reason == "untouched for 40 minutes"
    assert warned.actor.username == released.actor.username == "system"


ACTS: dict[str, Callable[[HumanTask, Actor], object]] = {
    "start": lambda task, ana: services.start_task(task.pk, ana),
    "comment": lambda task, ana: services.comment_on_task(task.pk, ana, "looking"),
    "take back": lambda task, ana: (
        services.stage_decision(task.pk, ana, Decision("approved")),
        services.take_back_decision(task.pk, ana),
    ),
    "page": lambda task, ana: TaskPresence.objects.create(task=task, user=ana.user, seen_at=clock.now()),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("minute", [20, 35])
def test_it_starts_anew_with_whatever_the_holder_does(claimed: HumanTask, ana: Actor, act: str, minute: int) -> None:
    """Before the warning, and after it: then there is another warning before the return."""
    sweep_at(30) if minute > 30 else None
    with clock.at(minutes(minute)):
        ACTS[act](claimed, ana)
    for later in (40, minute + 29):
        sweep_at(later)
        assert fresh(claimed).assigned_to == ana.user
    warnings = told(claimed).count("task.return_warned")
    sweep_at(minute + 30)
    assert told(claimed).count("task.return_warned") == warnings + 1
    sweep_at(minute + 40)
    assert fresh(claimed).status == "pending"


def test_it_is_not_kept_by_what_others_do(claimed: HumanTask, ana: Actor, sam: Actor) -> None:
    with clock.at(minutes(20)):
        services.comment_on_task(claimed.pk, sam, "how far are you?")
        services.change_priority(claimed.pk, sam, priority=2)
        TaskPresence.objects.create(task=claimed, user=sam.user, seen_at=minutes(20))
    sweep_at(30)
    sweep_at(40)
    assert fresh(claimed).status == "pending"


def test_a_hold_pauses_it(claimed: HumanTask, ana: Actor) -> None:
    with clock.at(minutes(20)):
        services.hold_task(claimed.pk, ana, reason="asked the buyer", follow_up_at=minutes(200))
    for minute in (40, 60, 199):
        assert sweep_at(minute) == 0
    assert sweep_at(200) == 1, "the hold ends"
    sweep_at(239)
    assert fresh(claimed).assigned_to == ana.user
    sweep_at(240)
    assert fresh(claimed).status == "pending"


def test_it_waits_for_ever_where_the_team_has_no_limit(make_task: NewTaskFactory, ana: Actor) -> None:
    with clock.at(T):
        task = make_task(priority=1)
        services.claim_task(task.pk, ana)
    assert fresh(task).next_timer_at is None


def test_it_follows_a_change_of_the_teams_limit(make_task: NewTaskFactory, ana: Actor) -> None:
    team = Team.objects.get(pk="creative-review")
    with clock.at(T):
        task = make_task(priority=1)
        services.claim_task(task.pk, ana)
        team.return_after_minutes = 20
        team.save()
        assert services.follow_limit(team) == 1
    assert fresh(task).next_timer_at == minutes(15)
    team.return_after_minutes = None
    team.save()
    assert services.follow_limit(team) == 1
    assert fresh(task).next_timer_at is None


def test_it_keeps_the_deadlines_timer_where_that_comes_first(make_task: NewTaskFactory, ana: Actor) -> None:
    Team.objects.filter(pk="creative-review").update(return_after_minutes=1440)
    with clock.at(T):
        task = make_task(priority=4)
        services.claim_task(task.pk, ana)
    assert fresh(task).next_timer_at == T + timedelta(hours=4)
    with clock.at(T + timedelta(hours=4)):
        assert timers.sweep() == 1
    assert fresh(task).status == "escalated"
