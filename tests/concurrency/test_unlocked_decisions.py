"""A decision takes no lock on PostgreSQL: whoever comes between its reading and its writing is seen by the row's stamp.

SQLite is locked before it is read, so nobody comes between there.
"""

from collections.abc import Callable, Iterator

import pytest

from core import prepared
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, TaskEvent
from tasks_app.permissions import can_see
from tasks_app.services import Decision, decide_task, rhythm
from tasks_app.states import OUTCOMES
from tests.cast import NewTaskFactory

pytestmark = [pytest.mark.postgresql_alone, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def no_stamp(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rhythm._Stamp, "template", "NULL::text")
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
