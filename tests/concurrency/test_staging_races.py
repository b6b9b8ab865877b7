"""A decision that waits, against everything that may happen to it at that moment: carried out once, or not at all."""

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from core import clock
from tasks_app import timers
from tasks_app.actors import Actor
from tasks_app.exceptions import Conflict
from tasks_app.models import HumanTask, StagedDecision, TaskEvent, TaskType
from tasks_app.services import (
    Decision,
    decide_task,
    release_task,
    stage_decision,
    staging,
    take_back_decision,
)
from tests.cast import NewTaskFactory
from tests.concurrency.contest import RACES, Meeting, all_at_once, crashes, without_locks

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 6 * RACES // 100
LATER = timedelta(seconds=11)


def later(call: Any) -> Any:
    """Make the call when the time to take back is over."""
    moment = clock.now() + LATER

    def run() -> Any:
        with clock.at(moment):
            return call()

    return run


def ends_of(task_id: str) -> list[str]:
    """How the task ended, and what became of decisions on it."""
    told = TaskEvent.objects.filter(task_id=task_id).order_by("seq").values_list("type", flat=True)
    return [kind for kind in told if kind in ("task.completed", "task.failed", "task.decision_recorded")]


@pytest.mark.parametrize("four_eyes", [False, True])
def test_it_is_carried_out_once_by_sweeps_and_polls_at_once(
    make_task: NewTaskFactory, ana: Actor, four_eyes: bool
) -> None:
    TaskType.objects.filter(pk="creative_approval").update(needs_second_reviewer=four_eyes)
    ids = [make_task().pk for _round in range(ROUNDS)]
    for pk in ids:
        stage_decision(pk, ana, Decision("approved"))
    calls = [later(timers.sweep), later(timers.sweep), later(lambda: staging.carry_out_due(ana))]
    outcomes = all_at_once([*calls, later(lambda: staging.carry_out_due(Actor(user=ana.user)))])
    assert not crashes(outcomes)
    later(timers.sweep)()  # what a poll held while a sweep passed over it
    end = "task.decision_recorded" if four_eyes else "task.completed"
    assert {pk: ends_of(pk) for pk in ids} == {pk: [end] for pk in ids}
    assert Counter(StagedDecision.objects.values_list("outcome", flat=True)) == {"carried_out": ROUNDS}
    assert not HumanTask.objects.exclude(staged_until=None).exists()


@pytest.mark.parametrize("rival", ["take back", "decide", "release"])
def test_it_is_carried_out_or_overtaken_and_never_both(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, rival: str
) -> None:
    rivals: dict[str, Any] = {
        "take back": lambda pk: take_back_decision(pk, ana),
        "decide": lambda pk: decide_task(pk, ana, Decision("rejected", "No.")),
        "release": lambda pk: release_task(pk, sam),
    }
    seen = Counter[str]()
    for _round in range(ROUNDS):
        pk = make_task().pk
        stage_decision(pk, ana, Decision("approved"))
        outcomes = all_at_once([later(timers.sweep), later(partial(rivals[rival], pk))])
        assert not crashes(outcomes), outcomes
        later(timers.sweep)()
        task, outcome = HumanTask.objects.get(pk=pk), StagedDecision.objects.get(task=pk).outcome
        lost = isinstance(outcomes[1], Exception)
        seen["carried out" if lost else "overtaken"] += 1
        assert (outcome == "carried_out") is lost
        assert (task.resolution == "approved") is lost
        assert ends_of(pk) == (["task.completed"] if lost else {"decide": ["task.failed"]}.get(rival, []))
        assert task.staged_until is None
    assert sum(seen.values()) == ROUNDS


def test_it_would_be_carried_out_twice_without_the_lock(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: both read the decision that waits, and both end the task; only the trail's key stops one, or
    the writing statement, which finds the task otherwise than it was read."""
    pk, meeting = make_task().pk, Meeting()
    stage_decision(pk, ana, Decision("approved"))
    with without_locks(monkeypatch):
        monkeypatch.setattr(staging, "_waiting", meeting.after(staging._waiting))
        outcomes = all_at_once([later(lambda: staging._carry_out_locked(pk))] * 2)
    assert crashes(outcomes) or any(isinstance(outcome, Conflict) for outcome in outcomes)


def test_it_meets_in_the_middle_with_the_lock_and_acts_once(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same meeting as in the control, with the lock in place."""
    pk, meeting = make_task().pk, Meeting()
    stage_decision(pk, ana, Decision("approved"))
    monkeypatch.setattr(staging, "_waiting", meeting.after(staging._waiting))
    outcomes = all_at_once([later(lambda: staging._carry_out_locked(pk))] * 2)
    assert sorted(outcomes) == [False, True]
    assert ends_of(pk) == ["task.completed"]


def test_it_locks_the_task_before_the_decision(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    """Changes by many at once on the same tasks, half of which wait with a decision: no deadlock, no double end."""
    ids = [make_task().pk for _task in range(8)]
    for pk in ids[::2]:
        stage_decision(pk, ana, Decision("approved"))

    def walk(order: list[str], act: Any) -> list[Any]:
        answers = []
        for pk in order:
            try:
                answers.append(act(pk))
            except Exception as error:
                answers.append(error)
        return answers

    acts: list[Any] = [
        lambda pk: stage_decision(pk, ana, Decision("rejected", "No.")),
        lambda pk: take_back_decision(pk, ana),
        lambda pk: release_task(pk, sam),
        lambda pk: later(lambda: staging._carry_out_locked(pk))(),
    ]
    orders = [ids, ids[::-1], ids, ids[::-1]]
    outcomes = all_at_once([partial(walk, *share) for share in zip(orders, acts, strict=True)])
    assert not crashes([answer for outcome in outcomes for answer in outcome])
    assert all(len(ends_of(pk)) <= 1 for pk in ids)
    later(timers.sweep)()
    waiting = set(StagedDecision.objects.filter(outcome="").values_list("task_id", flat=True))
    assert waiting == set(HumanTask.objects.exclude(staged_until=None).values_list("pk", flat=True)) == set()
