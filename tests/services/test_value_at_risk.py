"""Value at risk: an optional number in the context that moves a task up a little, never far."""

from datetime import timedelta
from typing import Any

import pytest

from core import clock
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput
from tasks_app.models import HumanTask
from tasks_app.services import escalate_task
from tasks_app.sla.deadlines import start_by
from tests.cast import NewTaskFactory


def test_it_decides_between_tasks_due_at_about_the_same_time(make_task: NewTaskFactory, sam: Actor) -> None:
    with clock.at(clock.now() - timedelta(minutes=5)):
        plain = make_task(priority=2)
    small, large = (make_task(priority=2, context_data={"value_at_risk": value}) for value in (9, 250_000.4))
    urgent = make_task(priority=4)
    order = list(HumanTask.objects.open().in_queue_order())
    assert order == [urgent, large, small, plain]
    assert (large.value_at_risk, small.value_at_risk, plain.value_at_risk) == (250_000, 9, None)
    # It stays with every later change, read or not.
    assert escalate_task(large.pk, sam).start_by == large.start_by


def test_it_never_moves_a_task_by_more_than_an_hour(make_task: NewTaskFactory) -> None:
    now = clock.now()
    ahead = [start_by(None, now, 5) - start_by(None, now, 5, value) for value in (None, 0, 9, 99, 10**9)]
    assert ahead == [timedelta(minutes=n) for n in (0, 0, 10, 20, 60)]


@pytest.mark.parametrize("value", [-1, 10**9 + 1, "1000", True, [1], {"eur": 5}, 1e300])
def test_it_refuses_what_is_no_such_number(make_task: NewTaskFactory, value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        make_task(context_data={"value_at_risk": value})
    assert refused.value.field == "context_data.value_at_risk"
    assert make_task(context_data={"value_at_risk": None}).value_at_risk is None
