"""What is put into SQL once says what Django's own query says, and is given its values anew each time."""

import pytest

from core import prepared
from tasks_app.actors import Actor
from tasks_app.models import HumanTask
from tasks_app.services import claim_next_task
from tests.cast import NewTaskFactory


def test_it_gives_the_instances_that_the_query_gives(make_task: NewTaskFactory) -> None:
    """All columns, JSON and moments among them, by Django's converters; for the value of this call."""
    for context in ({}, {"a": [1, {"b": None}]}):
        task = make_task(context_data=context)
        (found,) = prepared.instances(
            "test: one task", lambda: HumanTask.objects.filter(pk=prepared.TEXT), text=task.task_id
        )
        stored = HumanTask.objects.get(pk=task.task_id)
        assert found.__dict__ | {"_state": None} == stored.__dict__ | {"_state": None}
        assert (found._state.adding, found._state.db) == (False, "default")


@pytest.mark.django_db
def test_it_finds_nothing_where_the_filter_lets_nothing_pass() -> None:
    assert prepared.instances("test: none", HumanTask.objects.none) == []


def test_it_gives_each_person_the_next_task_of_his_own(make_task: NewTaskFactory, ana: Actor, zoe: Actor) -> None:
    """The query of claim-next is remembered by what a person may claim, not for everybody alike."""
    first, second = make_task(), make_task()
    assert claim_next_task(zoe) is None
    assert claim_next_task(ana) == first
    assert claim_next_task(zoe) is None
    assert claim_next_task(ana, principal_id="nobody") is None
    assert claim_next_task(ana) == second
