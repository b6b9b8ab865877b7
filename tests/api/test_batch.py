"""`create_human_tasks`: many tasks in one call, all or none, each with its own answer and its own errors."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import recent
from tasks_app import services
from tasks_app.actors import Actor
from tasks_app.exceptions import Conflict
from tasks_app.models import EventOutbox, HumanTask, IdempotencyRecord, Principal, SealedDetail, TaskEvent
from tasks_app.services import NewTask
from tests.api.conftest import TASKS, ClientFactory
from tests.api.test_tasks import problem

pytestmark = pytest.mark.django_db

BATCH = f"{TASKS}batch/"
ITEM = {"task_type": "creative_approval", "principal_id": "acme_corp"}


def items(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"items": [{**ITEM, **change} for change in changes]}


def test_it_opens_all_of_them_in_their_order(api: ClientFactory) -> None:
    bodies = [
        {"media_buy_id": f"mb_{n}", "error_detail": f"ask a{n}@acme.example", "priority": "high"} for n in range(5)
    ]
    response = api("bot").post(BATCH, items(*bodies))
    assert response.status_code == 201
    results = response.json()["results"]
    assert [(task["media_buy_id"], task["created"]) for task in results] == [(f"mb_{n}", True) for n in range(5)]
    assert {task["error_detail"] for task in results} == {"ask [email 1]"}
    assert SealedDetail.objects.count() == TaskEvent.objects.count() == EventOutbox.objects.count() == 5
    alone = api("bot").post(TASKS, {**ITEM, **bodies[0]}).json()
    assert set(results[0]) - {"created"} == set(alone), "an item answers like a task that was opened alone"


def test_it_names_everything_that_is_wrong_and_opens_nothing(api: ClientFactory) -> None:
    wrong = [{}, {"priority": "highest"}, {"status": "completed"}, {"principal_id": ""}]
    errors = problem(api("bot").post(BATCH, items(*wrong)), 400, "invalid")["errors"]
    assert [error["field"] for error in errors] == ["items.1.priority", "items.2.status", "items.3.principal_id"]
    late: list[dict[str, Any]] = [
        {"task_type": "nothing"},
        {},
        {"due_in_hours": 1, "due_by": "2030-01-01T00:00:00Z"},
        {"follows": "task_x"},
    ]
    document = problem(api("bot").post(BATCH, items(*late)), 400, "invalid")
    assert [error["field"] for error in document["errors"]] == [
        "items.0.task_type",
        "items.2.due_by",
        "items.3.follows",
    ]
    assert "items.0.task_type" in document["detail"]
    assert not HumanTask.objects.exists()


@pytest.mark.parametrize("body", [{}, {"items": []}, {"items": [ITEM] * 101}, {"items": ITEM}, {"items": [[]]}])
def test_it_refuses_what_is_no_batch(body: Any, api: ClientFactory) -> None:
    errors = problem(api("bot").post(BATCH, body), 400, "invalid")["errors"]
    assert all(error["field"].startswith("items") for error in errors)
    assert not HumanTask.objects.exists()


def test_it_asks_for_every_principal(api: ClientFactory) -> None:
    assert (
        "items.1"
        in problem(api("bot").post(BATCH, items({}, {"principal_id": "globex"})), 403, "permission_denied")["detail"]
    )
    assert not HumanTask.objects.exists()
    new = [{"principal_id": "newcomer"}, {"principal_id": "newcomer"}]
    everywhere = api("bot", all_principals=True)
    problem(everywhere.post(BATCH, items(*new, {"due_in_hours": -1})), 400, "invalid")
    assert not Principal.objects.filter(pk="newcomer").exists(), "a refused batch registers nobody"
    assert everywhere.post(BATCH, items(*new)).status_code == 201


def test_it_folds_what_reports_the_same(api: ClientFactory) -> None:
    bot = api("bot")
    before = bot.post(TASKS, {**ITEM, "dedup_key": "old"}).json()["task_id"]
    keys = ["new", "old", "new", "new"]
    results = bot.post(BATCH, items(*({"dedup_key": key} for key in keys))).json()["results"]
    assert [task["created"] for task in results] == [True, False, False, False]
    first = results[0]["task_id"]
    assert [task["task_id"] for task in results] == [first, before, first, first]
    assert dict(HumanTask.objects.values_list("pk", "occurrences")) == {first: 3, before: 2}
    told = list(TaskEvent.objects.filter(task=first).order_by("seq").values_list("type", flat=True))
    assert told == ["task.created", "task.recurred"]
    assert bot.post(BATCH, items({"dedup_key": "old"}, {"dedup_key": "new"})).status_code == 200


def test_it_is_idempotent(api: ClientFactory) -> None:
    bot, key = api("bot"), {"Idempotency-Key": "one-batch"}
    first, again = (bot.post(BATCH, items({}, {}), headers=key) for _ in range(2))
    assert (again.status_code, again.content, again["Idempotent-Replayed"]) == (201, first.content, "true")
    assert HumanTask.objects.count() == 2
    problem(bot.post(BATCH, items({}), headers=key), 422, "idempotency_key_reused")
    assert IdempotencyRecord.objects.count() == 1


def test_it_asks_as_much_for_many_as_for_few(bot: Actor, settings: Any) -> None:
    settings.HITL_LOOKUP_SECONDS = 60.0  # as in real life, the catalogue is remembered
    asked = []
    for count in (2, 40):
        news = [
            NewTask("creative_approval", "acme_corp", dedup_key=f"{count} {n}", error_detail=f"a{n}@acme.example")
            for n in range(count)
        ]
        services.open_tasks(news[:1], bot)
        services.open_tasks(news[:1], bot)  # folded: what that asks is remembered, too
        with CaptureQueriesContext(connection) as queries:
            services.open_tasks(news, bot)
        asked.append(len(queries))
    pieces = 0 if connection.vendor == "postgresql" else 4  # SQLite takes so many values in one statement
    assert asked[1] <= asked[0] + pieces <= 20
    recent.forget_everything()


def test_it_opens_all_or_none_where_the_database_refuses_one(
    api: ClientFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of them fails when all are written."""

    def fails(*_arguments: Any, **_options: Any) -> int:
        raise Conflict

    monkeypatch.setattr("tasks_app.services.create.seal_originals", fails)
    problem(api("bot").post(BATCH, items({}, {})), 409, "conflict")
    assert not HumanTask.objects.exists()
