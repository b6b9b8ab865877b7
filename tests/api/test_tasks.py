"""The API as an adapter and as people use it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks_app import events
from tasks_app.api.serializers import TaskOut
from tasks_app.models import AdapterToken, HumanTask, Principal, TaskEvent, User
from tests.api.conftest import TASKS, ClientFactory

Opened = Callable[..., dict[str, Any]]


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"].startswith("application/problem+json")
    document = dict(response.json())
    assert document["code"] == code
    return document


def test_it_opens_a_task_and_answers_with_every_documented_field(opened: Opened) -> None:
    task = opened(
        "permission_exception",
        priority="high",
        operation="create_line_item",
        error_detail="PermissionError.PERMISSION_DENIED",
    )
    assert set(task) == set(TaskOut().fields)
    assert task["status"] == "pending"
    assert task["team"] == "ad-operations"
    assert task["requested_by"] == "bot"
    assert (task["version"], task["awaiting"]) == (1, "decision")


@pytest.mark.parametrize(("priority", "hours"), [("urgent", 4), ("high", 24), ("medium", 48), ("low", None)])
def test_it_sets_the_due_time_by_priority(opened: Opened, priority: str, hours: int | None) -> None:
    with time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC), tick=False):
        due = opened(priority=priority)["due_by"]
    if hours is None:
        assert due is None
    else:
        assert datetime.fromisoformat(due) == datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(hours=hours)


def test_it_takes_due_in_hours_or_due_by_but_not_both(api: ClientFactory, opened: Opened) -> None:
    with time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC), tick=False):
        assert opened(due_in_hours=1.5)["due_by"].startswith("2026-03-01T13:30:00")
        assert opened(due_by="2026-03-02T12:00:00+02:00")["due_by"].startswith("2026-03-02T10:00:00")
        both = {
            "task_type": "creative_approval",
            "principal_id": "acme_corp",
            "due_in_hours": 1,
            "due_by": "2026-03-02T12:00:00Z",
        }
        assert problem(api("bot").post(TASKS, both), 400, "invalid")["errors"][0]["field"] == "due_by"


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, "task_type", "required"),
        ({"task_type": "nonsense"}, "task_type", "known are"),
        ({"priority": "highest"}, "priority", "low, medium, high, urgent"),
        ({"due_in_hours": -1}, "due_in_hours", "above 0"),
        ({"due_by": "yesterday"}, "due_by", "format"),
        ({"due_by": "2020-01-01T00:00:00Z"}, "due_by", "future"),
        ({"context_data": [1]}, "context_data", "dictionary"),
        ({"status": "completed"}, "status", "Unknown field"),
        ({"version": 7}, "version", "Unknown field"),
        ({"follows": "task_unknown"}, "follows", "no task"),
        ({"media_buy_id": "x" * 200}, "media_buy_id", "128"),
    ],
)
def test_it_names_the_field_and_what_would_be_right(
    api: ClientFactory, body: dict[str, Any], field: str, words: str
) -> None:
    full = {"task_type": "creative_approval", "principal_id": "acme_corp", **body} if body else {}
    errors = problem(api("bot").post(TASKS, full), 400, "invalid")["errors"]
    assert any(error["field"] == field and words in error["message"] for error in errors), errors
    assert not HumanTask.objects.exists()


def test_it_asks_who_is_calling(api: ClientFactory, opened: Opened) -> None:
    task = opened()
    for client in (api(), api()):
        problem(client.get(TASKS), 401, "not_authenticated")
    stranger = api()
    for text in ("hitl_aaaa_bbbb", "hitl__", "nonsense", "hitl_" + "x" * 300, "hitl_ü_ü"):
        stranger.credentials(HTTP_AUTHORIZATION=f"Bearer {text}".encode("latin-1", "replace").decode("latin-1"))
        problem(stranger.get(f"{TASKS}{task['task_id']}/"), 401, "authentication_failed")


@pytest.mark.parametrize("change", [{"revoked_at": datetime.now(UTC)}, {"expires_at": datetime.now(UTC)}])
def test_it_refuses_revoked_and_expired_tokens(api: ClientFactory, change: dict[str, Any]) -> None:
    bot = api("bot")
    assert bot.get(TASKS).status_code == 200
    AdapterToken.objects.update(**change)
    problem(bot.get(TASKS), 401, "authentication_failed")


def test_it_refuses_the_token_of_an_inactive_user(api: ClientFactory) -> None:
    bot = api("bot")
    User.objects.filter(username="bot").update(is_active=False)
    problem(bot.get(TASKS), 401, "authentication_failed")


def test_it_answers_a_foreign_task_exactly_like_an_unknown_one(api: ClientFactory, opened: Opened) -> None:
    known, unknown = opened()["task_id"], "task_" + "0" * 32
    for who in ("eve", "zoe"):
        client = api(who)
        for verb, body in {
            "": None,
            "claim/": {},
            "complete/": {"resolution": "approved"},
            "withdraw/": {},
            "comment/": {"text": "x"},
            "events/": None,
        }.items():
            answers = [
                client.get(f"{TASKS}{pk}/{verb}") if body is None else client.post(f"{TASKS}{pk}/{verb}", body)
                for pk in (known, unknown)
            ]
            assert answers[0].status_code == 404
            assert answers[0].content == answers[1].content
        assert client.get(TASKS).json()["results"] == []
        assert client.get(f"{TASKS}pending/").json()["total_count"] == 0


def test_it_tells_permission_from_conflict(api: ClientFactory, opened: Opened) -> None:
    task = f"{TASKS}{opened()['task_id']}/"
    problem(api("bot").post(f"{task}complete/", {"resolution": "approved"}), 403, "permission_denied")
    problem(api("ana").post(f"{task}assign/", {"assigned_to": "ana"}), 403, "permission_denied")
    problem(api("ana").post(f"{task}start/"), 409, "wrong_state")
    assert api("ana").post(f"{task}claim/").status_code == 200
    taken = problem(api("sam").post(f"{task}claim/"), 409, "taken_by_another")
    assert (taken["assigned_to"], taken["current_version"]) == ("ana", 2)
    assert (
        api("ana")
        .post(f"{task}complete/", {"resolution": "rejected", "resolution_detail": "logo cut off"})
        .json()["status"]
        == "failed"
    )
    problem(api("ana").post(f"{task}complete/", {"resolution": "approved"}), 409, "wrong_state")


def test_it_honours_if_match(api: ClientFactory, opened: Opened) -> None:
    task, ana = f"{TASKS}{opened()['task_id']}/", api("ana")
    assert ana.get(task)["ETag"] == '"1"'
    assert ana.post(f"{task}claim/", headers={"If-Match": '"1"'})["ETag"] == '"2"'
    stale = problem(ana.post(f"{task}release/", headers={"If-Match": '"1"'}), 412, "stale_version")
    assert stale["current_version"] == 2
    problem(ana.post(f"{task}release/", headers={"If-Match": "one"}), 400, "invalid")
    for form in ("", '"02"', '"2", "3"', '"²"'):
        problem(ana.post(f"{task}release/", headers={"If-Match": form}), 400, "invalid")
    for verb, body in (("comment", {"text": "x"}), ("reveal", {"placeholder": "[email 1]", "reason": "x"})):
        problem(api("sam").post(f"{task}{verb}/", body, headers={"If-Match": '"1"'}), 412, "stale_version")


def test_it_lets_a_lead_assign_by_name_or_email(api: ClientFactory, opened: Opened) -> None:
    task = f"{TASKS}{opened()['task_id']}/"
    sam = api("sam")
    assert sam.post(f"{task}assign/", {"assigned_to": "ana@agency.example"}).json()["assigned_to"] == "ana"
    assert "zoe" in problem(sam.post(f"{task}assign/", {"assigned_to": "zoe"}), 400, "invalid")["errors"][0]["message"]


def test_it_records_a_decision_in_a_persons_name(api: ClientFactory, opened: Opened) -> None:
    task = opened()["task_id"]
    body = {"resolution": "approved", "resolved_by": "ana", "modifications": {"headline": "Summer sale"}}
    done = api("bot", work=True).post(f"{TASKS}{task}/complete/", body).json()
    assert (done["status"], done["resolved_by"], done["resolution_data"]) == (
        "completed",
        "ana",
        {"headline": "Summer sale"},
    )
    last = TaskEvent.objects.filter(task_id=task).latest("seq")
    assert (last.actor.username, last.on_behalf_of and last.on_behalf_of.username) == ("bot", "ana")


def test_it_claims_the_most_urgent_task_next(api: ClientFactory, opened: Opened) -> None:
    opened(priority="low")
    urgent = opened(priority="urgent")["task_id"]
    ana = api("ana")
    assert ana.post(f"{TASKS}claim-next/").json()["task_id"] == urgent
    assert ana.post(f"{TASKS}claim-next/", {"principal_id": "globex"}).status_code == 204
    assert ana.post(f"{TASKS}claim-next/").status_code == 200
    assert ana.post(f"{TASKS}claim-next/").status_code == 204
    assert api("bot").post(f"{TASKS}claim-next/").status_code == 204


def test_it_lists_pending_tasks_by_priority_then_due(api: ClientFactory, opened: Opened) -> None:
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=30), tick=False):
        late = opened(priority="high")["task_id"]
    low, high, urgent = (opened(priority=priority)["task_id"] for priority in ("low", "high", "urgent"))
    bot = api("bot")
    answer = bot.get(f"{TASKS}pending/").json()
    assert [row["task_id"] for row in answer["results"]] == [urgent, late, high, low]
    assert (answer["total_count"], answer["overdue_count"]) == (4, 1)
    pages, url = [], f"{TASKS}pending/?limit=1"
    while url:
        page = bot.get(url).json()
        pages += [row["task_id"] for row in page["results"]]
        url = page["next"]
    assert pages == [urgent, late, high, low]
    queries = [
        "priority=high",
        "overdue=true",
        "include_overdue=false",
        "overdue=false",
        "principal_id=acme_corp&task_type=creative_approval",
        "assigned_to=ana",
    ]
    listed = [[row["task_id"] for row in bot.get(f"{TASKS}pending/?{query}").json()["results"]] for query in queries]
    assert listed == [
        [urgent, late, high],
        [late],
        [urgent, high, low],
        [urgent, high, low],
        [urgent, late, high, low],
        [],
    ]
    assert problem(bot.get(f"{TASKS}pending/?priorty=high"), 400, "invalid")["errors"][0]["field"] == "priorty"


def test_it_feeds_events_in_order_to_those_who_may_see_them(api: ClientFactory, opened: Opened) -> None:
    first, second = opened()["task_id"], opened()["task_id"]
    api("ana").post(f"{TASKS}{first}/claim/")
    bot = api("bot")
    assert bot.get("/api/v1/events/").json()["results"] == []  # no positions yet
    events.assign_positions()
    rows = bot.get("/api/v1/events/").json()["results"]
    assert [(row["task_id"], row["type"], row["position"]) for row in rows] == [
        (first, "task.created", 1),
        (second, "task.created", 2),
        (first, "task.claimed", 3),
    ]
    page = bot.get("/api/v1/events/?after=1&limit=1").json()
    assert [row["position"] for row in page["results"]] == [2]
    assert bot.get(page["next"]).json()["next"] is None
    assert len(api("ana").get("/api/v1/events/").json()["results"]) == 3
    assert api("eve").get("/api/v1/events/").json()["results"] == []
    timeline = bot.get(f"{TASKS}{first}/events/").json()["results"]
    assert [row["seq"] for row in timeline] == [1, 2]


def test_it_reveals_once_with_a_reason(api: ClientFactory, opened: Opened) -> None:
    task = opened(error_detail="write to ops@acme.example")
    assert task["error_detail"] == "write to [email 1]"
    url = f"{TASKS}{task['task_id']}/reveal/"
    problem(api("ana").post(url, {"placeholder": "[email 1]", "reason": "ask them"}), 403, "permission_denied")
    sam = api("sam")
    assert (
        sam.post(url, {"placeholder": "[email 1]", "reason": "ask them"}, headers={"Idempotency-Key": "k"}).json()[
            "value"
        ]
        == "ops@acme.example"
    )
    problem(
        sam.post(url, {"placeholder": "[email 1]", "reason": "ask them"}, headers={"Idempotency-Key": "k"}),
        409,
        "secret_already_shown",
    )
    problem(sam.post(url, {"placeholder": "[email 9]", "reason": "ask them"}), 400, "invalid")
    assert TaskEvent.objects.filter(type="task.detail_revealed").count() == 1


def test_it_registers_principals_for_tokens_that_speak_for_all(api: ClientFactory) -> None:
    body = {"task_type": "creative_approval", "principal_id": "newcomer"}
    problem(api("bot").post(TASKS, body), 403, "permission_denied")
    assert api("bot", all_principals=True).post(TASKS, body).status_code == 201
    assert Principal.objects.filter(pk="newcomer").exists()
    assert "principal" in problem(api("ana").post(TASKS, {**body, "principal_id": "other"}), 400, "invalid")["detail"]


def test_it_replays_the_first_answer_to_the_same_key(api: ClientFactory) -> None:
    bot, eve, headers = api("bot"), api("eve"), {"Idempotency-Key": "order-66"}
    body = {"task_type": "creative_approval", "principal_id": "acme_corp"}
    first = bot.post(TASKS, body, headers=headers)
    again = bot.post(TASKS, body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again["Idempotent-Replayed"] == "true"
    problem(bot.post(TASKS, {**body, "operation": "x"}, headers=headers), 422, "idempotency_key_reused")
    assert eve.post(TASKS, {**body, "principal_id": "globex"}, headers=headers).status_code == 201
    assert HumanTask.objects.count() == 2
    problem(bot.post(TASKS, {}, headers={"Idempotency-Key": "bad"}), 400, "invalid")
    assert bot.post(TASKS, body, headers={"Idempotency-Key": "bad"}).status_code == 201
    problem(bot.post(TASKS, body, headers={"Idempotency-Key": "a b"}), 400, "invalid")


@pytest.mark.parametrize(("path", "most"), [(TASKS, 8), (f"{TASKS}pending/", 8), ("/api/v1/events/", 10)])
def test_its_lists_cost_the_same_number_of_queries_at_any_size(
    path: str, most: int, api: ClientFactory, opened: Opened
) -> None:
    """Two of the feed's, its first line and the names of people, are remembered for a second in real life."""
    counts = []
    clients = {who: api(who) for who in ("bot", "ana")}
    for size in (2, 12):
        for _ in range(size):
            opened()
            opened("permission_exception")
        events.assign_positions()
        for client in clients.values():
            client.get(path)
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200
            counts.append(len(queries))
    assert counts[:2] == counts[2:]
    assert max(counts) <= most


@pytest.mark.parametrize("due_by", ["2026-03-02T12:00:00", "2026-03-02 12:00"])
def test_it_asks_for_the_offset_of_a_moment(due_by: str, api: ClientFactory, principals: dict[str, Principal]) -> None:
    """Read as UTC, somebody's five o'clock would be another one."""
    body = {"task_type": "creative_approval", "principal_id": "acme_corp", "due_by": due_by}
    document = problem(api("bot").post(TASKS, body), 400, "invalid")
    assert [error["field"] for error in document["errors"]] == ["due_by"]
    assert "+01:00" in document["errors"][0]["message"]
    assert not HumanTask.objects.exists()


@pytest.mark.parametrize("debug", [False, True])
def test_it_keeps_what_was_sent_to_an_address_without_its_slash(
    debug: bool, settings: Any, api: ClientFactory, principals: dict[str, Principal]
) -> None:
    settings.DEBUG = debug
    body = {"task_type": "creative_approval", "principal_id": "acme_corp"}
    answer = api("bot").post(TASKS.rstrip("/") + "?x=1", body)
    assert problem(answer, 308, "missing_slash")["detail"].startswith("Addresses end with a slash")
    assert answer["Location"] == TASKS + "?x=1"
    assert api("bot").post(answer["Location"].replace("?x=1", ""), body).status_code == 201
    assert api("bot").get(TASKS.rstrip("/"))["Location"] == TASKS
    assert api("bot").post("/api/v1/nowhere", body).status_code == 404


@pytest.mark.django_db
def test_it_masks_the_name_of_an_adapter_and_registers_no_personal_data(api: ClientFactory) -> None:
    bot = api("bot", all_principals=True)
    body = {"task_type": "creative_approval", "principal_id": "acme_corp", "adapter_name": "gam of a@b.example"}
    assert bot.post(TASKS, body).json()["adapter_name"] == "gam of [email 1]"
    many = {**body, "adapter_name": " ".join(f"{letter}@b.co" for letter in "abcdefghi")}
    assert problem(bot.post(TASKS, many), 400, "invalid")["errors"][0]["field"] == "adapter_name"
    for pk in ("jane@b.example", "+44 7700 900123", "4111 1111 1111 1111"):
        refused = problem(bot.post(TASKS, {**body, "principal_id": pk}), 400, "invalid")
        assert refused["errors"][0]["field"] == "principal_id"
    for pk in ("234-567-8901", "1234567890", "act_120210987654321098"):
        assert bot.post(TASKS, {**body, "principal_id": pk}).status_code == 201
