"""Races with real threads, on the database of the run: nothing is taken twice or overwritten, and a task ends once.

Each has its negative control: the same race without the lock, which must show the fault. `HITL_TEST_RACES=1000`
makes a hundred races a thousand.
"""

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from core import clock
from tasks_app import timers
from tasks_app.actors import Actor, system_actor
from tasks_app.exceptions import (
    Conflict,
    StaleVersion,
    TakenBack,
    TaskError,
    TaskNotFound,
    WrongState,
)
from tasks_app.models import EventOutbox, HumanTask, TaskEvent, User
from tasks_app.permissions import can_see
from tasks_app.services import (
    Decision,
    assign_task,
    claim_next_task,
    claim_task,
    decide_task,
    escalate_task,
    release_task,
    resolve_task,
    rhythm,
    route_task,
    start_task,
    withdraw_task,
)
from tasks_app.states import OUTCOMES
from tests.cast import NewTaskFactory, add_to_team, person
from tests.concurrency.contest import RACES, Meeting, all_at_once, crashes, without_locks

pytestmark = pytest.mark.django_db(transaction=True)

# SQLite has one writer at a time and no queue for them: among 64 threads one may wait longer than its busy timeout.
CLIENTS = 64 if connection.vendor == "postgresql" else 16
TASKS = 200
INTERLEAVINGS = RACES // 2


def reviewers(number: int) -> list[Actor]:
    people = [person(f"reviewer{i}") for i in range(number)]
    for user in people:
        add_to_team(user, "creative-review")
    return [Actor(user=user) for user in people]


def claims_of(task_ids: set[str]) -> Counter[str]:
    """How often each task was taken, by the trail."""
    return Counter(
        TaskEvent.objects.filter(task_id__in=task_ids, type="task.claimed").values_list("task_id", flat=True)
    )


# -- claims -----------------------------------------------------------------------------------------------------------


def test_it_gives_each_task_to_one_of_many_who_take_the_next(make_task: NewTaskFactory) -> None:
    ids = {make_task().pk for _ in range(TASKS)}

    def take_all(actor: Actor) -> list[str]:
        taken = []
        while (task := claim_next_task(actor)) is not None:
            taken.append(task.pk)
        return taken

    outcomes = all_at_once([lambda actor=actor: take_all(actor) for actor in reviewers(CLIENTS)])  # type: ignore[misc]
    assert not crashes(outcomes)
    taken = [pk for outcome in outcomes for pk in outcome]
    assert sorted(taken) == sorted(ids)
    assert claims_of(ids) == Counter(ids)


def test_it_gives_each_task_to_one_of_those_who_want_that_one(make_task: NewTaskFactory) -> None:
    ids = sorted(make_task().pk for _ in range(TASKS))
    actors = reviewers(CLIENTS)

    def take(actor: Actor, wanted: list[str]) -> list[TaskError | str]:
        answers: list[TaskError | str] = []
        for pk in wanted:
            try:
                answers.append(claim_task(pk, actor).pk)
            except TaskError as error:
                answers.append(error)
        return answers

    # Every task is wanted by four, who start with the same one.
    shares = CLIENTS // 4
    wanted = [ids[place % shares :: shares] for place in range(CLIENTS)]
    outcomes = all_at_once([lambda a=a, w=w: take(a, w) for a, w in zip(actors, wanted, strict=True)])  # type: ignore[misc]
    assert not crashes(outcomes)
    answers = [answer for outcome in outcomes for answer in outcome]
    assert sorted(answer for answer in answers if isinstance(answer, str)) == ids
    refused = [answer for answer in answers if not isinstance(answer, str)]
    assert len(refused) == 3 * TASKS
    assert all(isinstance(answer, WrongState) and answer.extra["current_version"] == 2 for answer in refused)


def test_it_would_hand_out_doubles_by_read_then_save(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    """Negative control: what django-fsm alone gives."""
    task_id, meeting = make_task().pk, Meeting()

    def read_then_save(actor: Actor) -> User:
        task = meeting.after(HumanTask.objects.get)(pk=task_id)
        task.claim(by=actor.user, now=clock.now())
        task.save()
        return actor.user

    outcomes = all_at_once([lambda: read_then_save(ana), lambda: read_then_save(sam)])
    assert outcomes == [ana.user, sam.user]


def test_it_would_break_without_its_lock(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: without the lock who ends a task a second time does not learn that it is ended. He crashes on
    the trail's own uniqueness; on PostgreSQL the statement finds that the task is no longer as it was read."""
    task_id = make_task().pk
    take_and_start(task_id, ana)
    with without_locks(monkeypatch):
        monkeypatch.setattr(rhythm, "can_see", Meeting().after(can_see))
        outcomes = all_at_once([lambda: resolve_task(task_id, ana, Decision("approved"))] * 2)
    assert crashes(outcomes) or any(isinstance(outcome, Conflict) for outcome in outcomes)
    assert not any(isinstance(outcome, WrongState) for outcome in outcomes)


def test_it_answers_the_loser_when_it_meets_the_winner_in_the_middle(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same meeting as in the control, with the lock in place."""
    task_id = make_task().pk
    take_and_start(task_id, ana)
    monkeypatch.setattr(rhythm, "can_see", Meeting().after(can_see))
    outcomes = all_at_once([lambda: resolve_task(task_id, ana, Decision("approved"))] * 2)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["HumanTask", "WrongState"]


# -- the timer against people -----------------------------------------------------------------------------------------


def test_it_escalates_or_completes_and_never_both_after_the_end(make_task: NewTaskFactory, ana: Actor) -> None:
    ids = [_overdue_in_progress(make_task, ana) for _ in range(RACES)]
    rounds, later = threading.Barrier(2), clock.now() + timedelta(days=3)
    system = system_actor()

    def people() -> list[Any]:
        answers: list[Any] = []
        for pk in ids:
            rounds.wait(60)
            try:
                answers.append(resolve_task(pk, ana, Decision("approved")).status)
            except TaskError as error:
                answers.append(error)
        return answers

    def timer() -> list[bool]:
        acted = []
        with clock.at(later):
            for pk in ids:
                rounds.wait(60)
                acted.append(timers._attempt(pk, system))
        return acted

    answers, acted = all_at_once([people, timer])
    assert not crashes([answers, acted])
    for pk, answer, escalated in zip(ids, answers, acted, strict=True):
        types = list(TaskEvent.objects.filter(task_id=pk).order_by("seq").values_list("type", flat=True))
        if escalated:
            assert isinstance(answer, WrongState | TakenBack), answer
            assert types[-1] == "task.escalated"
            claim_task(pk, ana)  # it was taken back: she looks at it anew before she decides
            decide_task(pk, ana, Decision("approved"))
        else:
            assert answer == "completed", answer
            assert "task.escalated" not in types
        assert TaskEvent.objects.filter(task_id=pk, type__in=OUTCOMES).count() == 1
        assert EventOutbox.objects.filter(event__task_id=pk).count() == TaskEvent.objects.filter(task_id=pk).count()


def test_it_escalates_once_by_as_many_sweeps_as_there_are(make_task: NewTaskFactory) -> None:
    ids = {make_task(priority=4).pk for _ in range(25)}
    later = clock.now() + timedelta(days=1)

    def sweep() -> int:
        with clock.at(later):
            return timers.sweep()

    outcomes = all_at_once([sweep] * 4)
    assert not crashes(outcomes)
    with clock.at(later):
        assert sum(outcomes) + timers.sweep() == len(ids)
    assert TaskEvent.objects.filter(task_id__in=ids, type="task.escalated").count() == len(ids)


def test_it_would_escalate_what_is_done_without_its_lock(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the timer and the person both read the open task, and both write."""
    task_id, meeting = _overdue_in_progress(make_task, ana), Meeting()
    later, system = clock.now() + timedelta(days=3), system_actor()
    monkeypatch.setattr(timers, "PUSHED_FORWARD", timedelta(0))
    failures: list[str] = []
    monkeypatch.setattr(timers.log, "exception", lambda message, *args: failures.append(message % args))
    with without_locks(monkeypatch):
        monkeypatch.setattr(rhythm, "can_see", meeting.after(can_see))
        monkeypatch.setattr(timers, "Change", meeting.after(rhythm.Change))

        def timer() -> bool:
            with clock.at(later):
                return timers._attempt(task_id, system)

        outcomes = all_at_once([lambda: resolve_task(task_id, ana, Decision("approved")), timer])
    assert crashes(outcomes) or failures or any(isinstance(outcome, Conflict) for outcome in outcomes)


def _overdue_in_progress(make_task: NewTaskFactory, actor: Actor) -> str:
    task_id: str = make_task(priority=4).pk
    take_and_start(task_id, actor)
    return task_id


# -- what a loser is told ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["route", "escalate"])
def test_it_answers_a_conflict_where_the_task_changed_teams_meanwhile(
    verb: str, make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    """Who waits for the lock while the task goes to another team is told so, and not that there is no such task.

    (PostgreSQL reads only the locked row anew after the wait: rows joined to it stay as they were, and a team that no
    longer fits makes the task vanish from the answer.)
    """
    task_id, changed = make_task().pk, threading.Event()
    assign_task(task_id, sam, assigned_to="sam")

    def mover() -> None:
        with transaction.atomic():
            if verb == "route":
                route_task(task_id, sam, team="leads")
            else:
                escalate_task(task_id, sam)
            changed.set()
            _wait_until_somebody_waits()

    def ender() -> Any:
        changed.wait(30)
        return resolve_task(task_id, sam, Decision("approved"))

    moved, answer = all_at_once([mover, ender])
    assert moved is None
    assert isinstance(answer, WrongState), repr(answer)
    assert answer.extra["current_version"] == 3


def test_it_names_the_holder_who_came_first(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    task_id, claimed = make_task().pk, threading.Event()

    def first() -> None:
        with transaction.atomic():
            take_and_start(task_id, ana)
            claimed.set()
            _wait_until_somebody_waits()

    def second() -> Any:
        claimed.wait(30)
        return decide_task(task_id, sam, Decision("approved"))

    done, answer = all_at_once([first, second])
    assert done is None
    assert getattr(answer, "code", None) == "taken_by_another", repr(answer)


def take_and_start(task_id: str, actor: Actor) -> None:
    claim_task(task_id, actor)
    start_task(task_id, actor)


def _wait_until_somebody_waits() -> None:
    """Hold the lock until another session waits for it (PostgreSQL tells; on SQLite they queue at BEGIN)."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for _attempt in range(2000):
            cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.005)")
    raise AssertionError("nobody came to wait")


# -- stale versions ---------------------------------------------------------------------------------------------------


def test_it_refuses_what_was_decided_on_an_older_version(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, bot: Actor
) -> None:
    """Released and taken again between reading and writing (ABA): same status, same holder, another version."""
    verbs = [
        lambda pk, v: resolve_task(pk, ana, Decision("approved"), expected_version=v),
        lambda pk, v: decide_task(pk, ana, Decision("approved"), expected_version=v),
        lambda pk, v: release_task(pk, ana, expected_version=v),
        lambda pk, v: escalate_task(pk, ana, expected_version=v),
        lambda pk, v: assign_task(pk, sam, assigned_to="sam", expected_version=v),
        lambda pk, v: withdraw_task(pk, bot, expected_version=v),
    ]
    for number in range(INTERLEAVINGS):
        task = make_task()
        take_and_start(task.pk, ana)
        seen = HumanTask.objects.get(pk=task.pk)
        release_task(task.pk, sam)
        take_and_start(task.pk, ana)
        before = HumanTask.objects.values().get(pk=task.pk)
        assert (before["status"], before["assigned_to_id"]) == (seen.status, seen.assigned_to_id)
        with pytest.raises(StaleVersion) as refusal:
            verbs[number % len(verbs)](task.pk, seen.version)
        assert refusal.value.extra["current_version"] == before["version"]
        assert HumanTask.objects.values().get(pk=task.pk) == before


def test_it_would_let_aba_through_by_comparing_the_status_alone(
    make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    """Negative control: an update on condition of status and holder (ConcurrentTransitionMixin) sees no difference."""
    task = make_task()
    take_and_start(task.pk, ana)
    seen = HumanTask.objects.get(pk=task.pk)
    release_task(task.pk, sam)
    take_and_start(task.pk, ana)
    assert HumanTask.objects.filter(pk=seen.pk, status=seen.status, assigned_to=seen.assigned_to).exists()
    assert not HumanTask.objects.filter(pk=seen.pk, version=seen.version).exists()


def test_it_lets_one_of_many_writers_of_the_same_version_through(
    make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    for _round in range(10):
        task_id = make_task().pk
        calls = [lambda a=a, t=task_id: claim_task(t, a, expected_version=1) for a in (ana, sam) * 4]
        outcomes = all_at_once(calls)
        assert sum(isinstance(outcome, HumanTask) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, StaleVersion) for outcome in outcomes) == 7
    assert not issubclass(StaleVersion, TaskNotFound)
