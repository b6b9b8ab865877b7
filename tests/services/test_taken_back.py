"""Who lost a task to the queue does not decide it by accident: the one-call decision would claim it anew, unseen."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from core import clock
from tasks_app import selectors, timers
from tasks_app.actors import Actor, system_actor
from tasks_app.exceptions import TakenBack
from tasks_app.models import HumanTask, TaskEvent
from tasks_app.services import (
    Decision,
    assign_task,
    claim_task,
    decide_task,
    escalate_task,
    release_task,
    return_tasks_of,
    route_task,
    start_task,
)
from tests.cast import NewTaskFactory

APPROVED = Decision("approved")


@pytest.fixture
def held(make_task: NewTaskFactory, ana: Actor) -> HumanTask:
    """A task that ana has begun."""
    task = make_task(priority=4)
    claim_task(task.pk, ana)
    return start_task(task.pk, ana)


def lead_releases(task: HumanTask, sam: Actor) -> None:
    release_task(task.pk, sam, reason="ana is ill")


def timer_escalates(task: HumanTask, sam: Actor) -> None:
    with clock.at(clock.now() + timedelta(days=2)):
        timers.sweep()


def system_returns(task: HumanTask, sam: Actor) -> None:
    assert task.assigned_to is not None
    return_tasks_of(task.assigned_to, system_actor(), reason="deactivated")


def lead_reassigns_and_releases(task: HumanTask, sam: Actor) -> None:
    assign_task(task.pk, sam, assigned_to="sam")
    release_task(task.pk, sam)


@pytest.mark.parametrize(
    "take_back", [lead_releases, timer_escalates, system_returns, lead_reassigns_and_releases], ids=lambda f: f.__name__
)
def test_it_refuses_the_old_holder(
    take_back: Callable[[HumanTask, Actor], None], held: HumanTask, ana: Actor, sam: Actor
) -> None:
    take_back(held, sam)
    before = TaskEvent.objects.count()
    with pytest.raises(TakenBack) as refusal:
        decide_task(held.pk, ana, APPROVED)
    held.refresh_from_db()
    assert held.is_open
    assert refusal.value.extra == {"current_version": held.version, "current_status": str(held.status)}
    assert TaskEvent.objects.count() == before


def test_it_lets_him_decide_once_he_knows(held: HumanTask, ana: Actor, sam: Actor) -> None:
    """By the version that he has read, or by claiming it."""
    lead_releases(held, sam)
    held.refresh_from_db()
    assert decide_task(held.pk, ana, APPROVED, expected_version=held.version).status == "completed"


def test_it_lets_him_decide_after_a_claim(held: HumanTask, ana: Actor, sam: Actor) -> None:
    lead_releases(held, sam)
    claim_task(held.pk, ana)
    assert decide_task(held.pk, ana, APPROVED).status == "completed"


def test_it_lets_the_others_decide(held: HumanTask, sam: Actor) -> None:
    lead_releases(held, sam)
    assert decide_task(held.pk, sam, APPROVED).status == "completed"


@pytest.mark.parametrize("give_back", [release_task, escalate_task], ids=["release", "escalate"])
def test_it_lets_him_decide_what_he_gave_back_himself(give_back: Any, held: HumanTask, ana: Actor) -> None:
    give_back(held.pk, ana)
    assert decide_task(held.pk, ana, APPROVED).status == "completed"


def test_it_lets_a_lead_decide_what_he_routed_back_and_forth(make_task: NewTaskFactory, sam: Actor) -> None:
    task = make_task()
    claim_task(task.pk, sam)
    route_task(task.pk, sam, team="leads")
    assert decide_task(task.pk, sam, APPROVED).status == "completed"


def test_it_asks_nothing_of_a_task_that_was_never_held(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "was_taken_back", None)
    assert decide_task(make_task().pk, ana, APPROVED).status == "completed"


def test_it_refuses_a_decision_in_his_name_too(held: HumanTask, worker_bot: Actor, sam: Actor) -> None:
    lead_releases(held, sam)
    with pytest.raises(TakenBack):
        decide_task(held.pk, worker_bot, APPROVED, resolved_by="ana")
    held.refresh_from_db()
    done = decide_task(held.pk, worker_bot, APPROVED, resolved_by="ana", expected_version=held.version)
    assert done.status == "completed"
