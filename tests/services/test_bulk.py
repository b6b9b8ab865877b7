"""Writing many rows at once is what writing them one by one is: `core.bulk` and the sweep beside their twins."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from core import clock
from core.bulk import insert_columns, update_columns, update_many
from notifications.models import Attempt, Delivery, Endpoint
from tasks_app import timers
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, SLAPolicy, TaskEvent
from tasks_app.services import Decision, StepSpec, claim_task, decide_task, hold_task, save_policy
from tests.cast import NewTaskFactory, channel

T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NAMES = [field.attname for field in HumanTask._meta.concrete_fields if not field.primary_key]


def stored(pk: str) -> dict[str, Any]:
    return dict(HumanTask.objects.filter(pk=pk).values(*NAMES).get())


def test_it_writes_every_kind_of_column_as_it_stands(make_task: NewTaskFactory, ana: Actor, zoe: Actor) -> None:
    """All columns of a task in every state, moved to other tasks: texts that look like code, JSON, null, moments."""
    hostile = "it's \"quoted\" \\ % {} 'NULL' \u2028 ü 🙂 $1 %s"
    full = make_task(
        error_detail=hostile,
        operation=hostile[:100],
        context_data={"a": [1, 2.5, None, {"b": hostile}], "big": 2**53 + 1},
        due_in_hours=3,
        media_buy_id="mb_'1",
    )
    claim_task(full.pk, ana)
    hold_task(full.pk, ana, reason=hostile, follow_up_at=clock.now() + timedelta(days=1, microseconds=1))
    ended = make_task("compliance_review")
    targets = [make_task(), make_task()]
    for source, target in zip((full, ended), targets, strict=True):
        source.refresh_from_db()
        wanted = stored(source.pk)
        for name in NAMES:
            target.__dict__[name] = source.__dict__[name]
        update_many([target], NAMES)
        assert stored(target.pk) == wanted
    update_many([], NAMES)
    update_many(targets, [])


def test_it_leaves_other_rows_and_columns_alone(make_task: NewTaskFactory) -> None:
    first, second, third = make_task(), make_task(), make_task()
    untouched, before = stored(third.pk), stored(first.pk)
    for number, task in enumerate((first, second), 1):
        task.occurrences, task.adapter_name = number * 10, "not written"
    update_many([first, second], ["occurrences"])
    assert stored(first.pk) == {**before, "occurrences": 10}
    assert stored(second.pk)["occurrences"] == 20
    assert stored(third.pk) == untouched


def test_it_inserts_and_writes_columns_as_the_orm_does(make_task: NewTaskFactory) -> None:
    task, endpoint = make_task(), Endpoint.objects.create(url="https://a.example/", created_at=T)
    hostile = "it's \"quoted\" \\ % {} 'NULL' \u2028 ü 🙂 $1 %s \\x41"
    told = Delivery(
        event_id=TaskEvent.objects.get().pk, endpoint=endpoint, event_type="task.created", task_id=task.pk, seq=1
    )
    told.next_attempt_at = told.created_at = T + timedelta(microseconds=1)
    told.body = bytes(range(256)) + hostile.encode()
    insert_columns(Delivery, [told.columns()])
    twice = told.columns() | {"delivery_id": "dlv_another"}
    insert_columns(Delivery, [twice], skip_known=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_columns(Delivery, [twice])
    row = Delivery.objects.get()
    assert {**row.columns(), "body": bytes(row.body)} == told.columns()
    tries = [
        {"delivery_id": told.pk, "started_at": T, "duration_ms": 7, "headers": {"a": hostile}, "status": None,
         "answer_headers": {}, "answer": hostile, "error": "", "detail": hostile},
        {"delivery_id": told.pk, "started_at": T, "duration_ms": 0, "headers": {}, "status": 200,
         "answer_headers": {"b": [1, None]}, "answer": "", "error": "x", "detail": ""},
    ]  # fmt: skip
    insert_columns(Attempt, tries)
    assert list(Attempt.objects.order_by("pk").values(*tries[0])) == tries
    outcome = {"delivery_id": told.pk, "lease": "", "attempts": 3, "next_attempt_at": T}
    where = ("delivery_id", "lease")
    assert update_columns(Delivery, [outcome | {"lease": "other"}], where=where, also={"seq": 9}) == 0
    assert update_columns(Delivery, [outcome], where=where, also={"lease": hostile[:32], "leased_until": T}) == 1
    row.refresh_from_db()
    written = {"attempts": 3, "next_attempt_at": T, "lease": hostile[:32], "leased_until": T}
    assert {**row.columns(), "body": told.body} == {**told.columns(), **written}
    insert_columns(Delivery, [])
    assert update_columns(Delivery, [], where=where, also={}) == 0


Told = list[list[tuple[Any, ...]]]


def test_it_sweeps_a_batch_to_the_same_end_as_one_by_one(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tasks and steps twice; the second time every batch is made to fail."""
    channel("ops")
    steps = [StepSpec("warn", at_percent=50), StepSpec("raise_priority", at_percent=75)]
    steps += [StepSpec("notify", at_percent=100, channel="ops"), StepSpec("escalate", at_percent=100)]
    save_policy(SLAPolicy(name="An hour", to_resolve_minutes=60), steps)

    def told() -> Told:
        with clock.at(T):
            tasks = [make_task(priority=1 + number % 4) for number in range(6)]
            claim_task(tasks[2].pk, ana)
            hold_task(tasks[2].pk, ana, reason="buyer", follow_up_at=T + timedelta(minutes=20))
            decide_task(tasks[3].pk, ana, Decision("approved"))
        for minute in range(0, 100, 5):
            with clock.at(T + timedelta(minutes=minute)):
                timers.sweep()
        columns = ("type", "seq", "reason", "at", "from_status", "to_status", "actor__username")
        return [list(TaskEvent.objects.filter(task=task).order_by("seq").values_list(*columns)) for task in tasks]

    def fails(actor: Actor, limit: int, task_ids: list[str]) -> tuple[int, list[str]]:
        task_ids.extend(HumanTask.objects.filter(next_timer_at__lte=clock.now()).values_list("pk", flat=True)[:limit])
        raise RuntimeError("no batch today")

    in_batches = told()
    assert [len(task) for task in in_batches] == [5, 5, 8, 4, 5, 5]
    monkeypatch.setattr(timers, "_act_on_batch", fails)
    assert told() == in_batches
