"""Claims and decisions hold no lock while they work: who came between reading and writing is seen by a row's stamp."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import prepared
from tasks_app import writing
from tasks_app.actors import Actor
from tasks_app.exceptions import TakenByAnother
from tasks_app.models import HumanTask, TaskEvent
from tasks_app.permissions import can_see
from tasks_app.services import Decision, claim_task, decide_task, rhythm
from tasks_app.states import OUTCOMES
from tests.cast import NewTaskFactory
from tests.concurrency.contest import Meeting, all_at_once, crashes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def no_stamp(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rhythm._Stamp, "template", "NULL::text")
    monkeypatch.setattr(writing, "stamp_of", lambda task: "")
    prepared.forget()
    yield
    prepared.forget()


def decided_while(what: Callable[[], object], task_id: str, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> HumanTask:
    """The task as it is stored after a decision between whose reading and writing `what` is done, once."""
    left = [what]

    def seeing(who: Actor, task: HumanTask) -> bool:
        if left:
            left.pop()()
        return can_see(who, task)

    monkeypatch.setattr(rhythm, "can_see", seeing)
    decide_task(task_id, actor, Decision("approved"))
    return HumanTask.objects.get(pk=task_id)


def reported_twice(make_task: NewTaskFactory) -> str:
    task_id: str = {make_task(dedup_key="same").pk for _ in range(2)}.pop()
    return task_id


def test_it_loses_nothing_that_came_between(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third report of the same fault leaves neither version nor event behind, and is counted all the same."""
    task_id = reported_twice(make_task)
    stored = decided_while(lambda: make_task(dedup_key="same"), task_id, ana, monkeypatch)
    assert (stored.status, stored.occurrences) == ("completed", 3)
    assert TaskEvent.objects.filter(task_id=task_id, type__in=OUTCOMES).count() == 1


def test_it_would_lose_that_report_without_the_stamp(
    no_stamp: None, make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    task_id = reported_twice(make_task)
    assert decided_while(lambda: make_task(dedup_key="same"), task_id, ana, monkeypatch).occurrences == 2


def claimed_by_both(task_id: str, one: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What two get who have both read the task before either writes."""
    monkeypatch.setattr(rhythm, "can_see", Meeting().after(can_see))
    return all_at_once([lambda: claim_task(task_id, one), lambda: claim_task(task_id, other)])


def test_it_tells_who_came_second_who_was_first(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = claimed_by_both(make_task().pk, ana, sam, monkeypatch)
    winner = next(outcome for outcome in outcomes if isinstance(outcome, HumanTask))
    loser = next(outcome for outcome in outcomes if isinstance(outcome, TakenByAnother))
    assert winner.assigned_to is not None
    assert loser.extra["assigned_to"] == winner.assigned_to.get_username()


@pytest.mark.postgresql_alone
def test_it_would_crash_if_it_wrote_whatever_the_row_has_become(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: without the statement's conditions only the trail's own uniqueness is left."""
    whole, conditions = writing._statement(opens=False), "AND t.version ="
    assert conditions in whole
    bare = whole[: whole.index(conditions)] + whole[whole.index("RETURNING 1", whole.index(conditions)) :]
    task_id = make_task().pk
    monkeypatch.setattr(writing, "_statement", lambda *, opens: bare)
    assert crashes(claimed_by_both(task_id, ana, sam, monkeypatch))


def test_it_refuses_a_claim_of_what_is_held_by_one_look(
    catalogue_remembered: None, make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    """And takes one by a look and a write: no lock, and on PostgreSQL no transaction."""
    task_id, spare = make_task().pk, make_task().pk
    claim_task(task_id, ana)
    for _ in range(2):  # the second time, type and team are known
        with CaptureQueriesContext(connection) as queries, pytest.raises(TakenByAnother):
            claim_task(task_id, sam)
    assert len(queries) == 1
    assert "FOR UPDATE" not in queries[0]["sql"]
    with CaptureQueriesContext(connection) as queries:
        claim_task(spare, ana)
    asked = [query["sql"].split()[0] for query in queries]
    assert asked == (["SELECT", "WITH"] if connection.vendor == "postgresql" else ["SELECT", "BEGIN", *asked[2:]])
