"""Webhook endpoints over HTTP: whose they are, what is refused, the secret that is shown once."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient
from standardwebhooks import Webhook

from notifications import relay
from notifications.models import Delivery, Endpoint
from tasks_app.models import HumanTask, Scope, User
from tests.jobs.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db
ENDPOINTS = "/api/v1/webhook-endpoints/"
DELIVERIES = "/api/v1/deliveries/"
ClientFactory = Callable[..., APIClient]


@pytest.fixture(autouse=True)
def _loopback_allowed(settings: Settings) -> None:
    settings.HITL_ALLOW_PRIVATE_HOSTS = ["127.0.0.1"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def test_it_registers_and_shows_the_secret_once(api: ClientFactory, receiver: Receiver) -> None:
    bot = api("bot")
    made = bot.post(ENDPOINTS, {"url": receiver.url, "description": "outcomes"})
    assert made.status_code == 201, made.content
    body = made.json()
    assert body["secret"].startswith("whsec_")
    assert body["event_types"] == ["task.completed", "task.failed", "task.withdrawn", "task.expired"]
    assert (body["owner"], body["format"], body["min_priority"], body["enabled"]) == ("bot", "standard", "low", True)
    seen = bot.get(f"{ENDPOINTS}{body['endpoint_id']}/").json()
    assert seen == {name: value for name, value in body.items() if name != "secret"}
    assert body["secret"] not in str(Endpoint.objects.values())


def test_it_tells_the_adapter_how_its_task_ended(
    api: ClientFactory, opened: Callable[..., dict[str, Any]], receiver: Receiver
) -> None:
    secret = api("bot").post(ENDPOINTS, {"url": receiver.url}).json()["secret"]
    task = opened()
    decided = api("ana").post(f"/api/v1/tasks/{task['task_id']}/complete/", {"resolution": "approved"})
    assert decided.status_code == 200, decided.content
    relay.drain()
    [message] = receiver.messages
    Webhook(secret).verify(message.body, dict(message.headers))
    assert message.json["data"]["resolution"] == "approved"


def test_it_shows_an_adapter_its_own_alone_and_administrators_all(api: ClientFactory, receiver: Receiver) -> None:
    bot, eve, root = api("bot"), api("eve"), api("root")
    mine = bot.post(ENDPOINTS, {"url": receiver.url}).json()["endpoint_id"]
    operators = root.post(ENDPOINTS, {"url": receiver.url}).json()
    assert operators["owner"] is None
    assert [row["endpoint_id"] for row in bot.get(ENDPOINTS).json()["results"]] == [mine]
    assert eve.get(ENDPOINTS).json() == {"results": [], "next": None, "previous": None}
    assert len(root.get(ENDPOINTS).json()["results"]) == 2
    unknown = eve.get(f"{ENDPOINTS}ep_{'0' * 32}/")
    for call, path in (("get", ""), ("delete", ""), ("post", "test/"), ("post", "rotate-secret/"), ("post", "enable/")):
        refused = getattr(eve, call)(f"{ENDPOINTS}{mine}/{path}")
        assert (refused.status_code, refused.content) == (404, unknown.content)


@pytest.mark.parametrize("who", ["ana", "sam"])
def test_it_is_not_for_reviewers(api: ClientFactory, who: str) -> None:
    assert api(who).get(ENDPOINTS).status_code == 403
    assert api(who).get(DELIVERIES).status_code == 403
    assert api().get(ENDPOINTS).status_code == 401


def test_it_needs_its_scope(people: dict[str, User]) -> None:
    from tasks_app import tokens

    _token, text = tokens.issue("bot", people["bot"], all_principals=True, scopes=[Scope.READ])
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    assert client.post(ENDPOINTS, {"url": "https://hooks.example.com/"}).status_code == 403


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "blank"),
        ("hooks.example.com", "https://"),
        ("http://93.184.216.34/", "https://"),
        ("https://10.0.0.7/", "private address"),
        ("https://169.254.169.254/", "metadata"),
        ("https://[::1]/", "loopback"),
        ("https://user:pass@hooks.example.com/", "user name"),
        ("https://hooks.nowhere.invalid/", "looked up"),
        ("https://hooks.example.com:22/", "Port 22"),
    ],
)
def test_it_refuses_urls_and_says_what_would_be_right(api: ClientFactory, url: str, says: str) -> None:
    refused = api("bot").post(ENDPOINTS, {"url": url})
    assert refused.status_code == 400
    [error] = refused.json()["errors"]
    assert error["field"] == "url"
    assert says in error["message"]
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"event_types": ["task.deleted"]}, "event_types"),
        ({"event_types": "task.created"}, "event_types"),
        ({"task_types": ["nothing"]}, "task_types"),
        ({"principals": ["globex"]}, "principals"),
        ({"min_priority": "very"}, "min_priority"),
        ({"format": "xml"}, "format"),
        ({"owner": "eve"}, "owner"),
        ({"secret": "whsec_x"}, "secret"),
    ],
)
def test_it_refuses_filters_that_it_does_not_know(
    api: ClientFactory, receiver: Receiver, fields: dict[str, Any], names: str
) -> None:
    refused = api("bot").post(ENDPOINTS, {"url": receiver.url, **fields})
    assert refused.status_code == 400
    assert [error["field"].split(".")[0] for error in refused.json()["errors"]] == [names]


def test_it_does_not_show_the_secret_to_a_replay(api: ClientFactory, receiver: Receiver) -> None:
    bot = api("bot")
    first = bot.post(ENDPOINTS, {"url": receiver.url}, headers={"Idempotency-Key": "k1"})
    again = bot.post(ENDPOINTS, {"url": receiver.url}, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code, again.json()["code"]) == (201, 409, "secret_already_shown")
    assert Endpoint.objects.count() == 1


def test_it_rotates_the_secret(api: ClientFactory, receiver: Receiver, opened: Callable[..., dict[str, Any]]) -> None:
    bot = api("bot")
    made = bot.post(ENDPOINTS, {"url": receiver.url, "event_types": ["task.created"]}).json()
    rotated = bot.post(f"{ENDPOINTS}{made['endpoint_id']}/rotate-secret/").json()
    assert rotated["secret"] != made["secret"]
    opened()
    relay.drain()
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(receiver.messages[0].body, dict(receiver.messages[0].headers))


def test_it_tests_an_endpoint_now(api: ClientFactory, receiver: Receiver) -> None:
    bot = api("bot")
    made = bot.post(ENDPOINTS, {"url": receiver.url}).json()
    answer = bot.post(f"{ENDPOINTS}{made['endpoint_id']}/test/").json()
    assert answer == {"delivered": True, "status": 200, "answer": "ok", "error": ""}
    [message] = receiver.messages
    Webhook(made["secret"]).verify(message.body, dict(message.headers))
    assert message.json["type"] == "endpoint.test"
    assert not Delivery.objects.exists()


def test_it_tells_why_a_test_failed(api: ClientFactory) -> None:
    bot = api("bot")
    with receiving() as gone:
        made = bot.post(ENDPOINTS, {"url": gone.url}).json()
    answer = bot.post(f"{ENDPOINTS}{made['endpoint_id']}/test/").json()
    assert (answer["delivered"], answer["status"]) == (False, None)
    assert "No connection" in answer["error"]


def test_it_removes_an_endpoint_and_cancels_what_waits(
    api: ClientFactory, receiver: Receiver, opened: Callable[..., dict[str, Any]]
) -> None:
    bot = api("bot")
    made = bot.post(ENDPOINTS, {"url": receiver.url, "event_types": ["task.created"]}).json()
    opened()
    relay.fan_out()
    assert bot.delete(f"{ENDPOINTS}{made['endpoint_id']}/").status_code == 204
    assert bot.get(f"{ENDPOINTS}{made['endpoint_id']}/").status_code == 404
    opened()
    relay.drain()
    assert not receiver.messages
    assert list(Delivery.objects.values_list("status", flat=True)) == ["cancelled"]
    assert Endpoint.objects.get().secrets == []


def test_it_lists_deliveries_with_their_tries_and_sends_again(
    api: ClientFactory, receiver: Receiver, opened: Callable[..., dict[str, Any]]
) -> None:
    bot, eve = api("bot"), api("eve")
    made = bot.post(ENDPOINTS, {"url": receiver.url, "event_types": ["task.created"]}).json()
    tasks = [opened()["task_id"] for _ in range(3)]
    relay.drain()
    page = bot.get(DELIVERIES, {"endpoint": made["endpoint_id"], "limit": 2}).json()
    assert len(page["results"]) == 2
    assert len(bot.get(page["next"]).json()["results"]) == 1
    [row] = bot.get(DELIVERIES, {"task_id": tasks[0], "status": "sent"}).json()["results"]
    assert (row["attempts"], row["event_type"], row["endpoint_id"]) == (1, "task.created", made["endpoint_id"])
    detail = bot.get(f"{DELIVERIES}{row['delivery_id']}/").json()
    assert [(one["status"], one["answer"]) for one in detail["tries"]] == [(200, "ok")]
    assert bot.post(f"{DELIVERIES}{row['delivery_id']}/redeliver/").json() == {"deliveries": 1}
    relay.drain()
    assert receiver.messages[-1].id == row["event_id"]
    assert len(receiver.messages) == 4
    assert eve.get(DELIVERIES).json()["results"] == []
    assert eve.get(f"{DELIVERIES}{row['delivery_id']}/").status_code == 404
    assert eve.post(f"{DELIVERIES}{row['delivery_id']}/redeliver/").status_code == 404
    assert bot.get(DELIVERIES, {"statsu": "sent"}).status_code == 400


def test_it_changes_what_is_named_and_leaves_the_rest(api: ClientFactory, receiver: Receiver) -> None:
    bot, eve = api("bot"), api("eve")
    made = bot.post(ENDPOINTS, {"url": receiver.url, "description": "old"}).json()
    address = f"{ENDPOINTS}{made['endpoint_id']}/"
    Endpoint.objects.update(failing_since="2026-01-01T00:00:00Z", failures_in_a_row=3)
    changed = bot.patch(address, {"min_priority": "high", "event_types": [], "enabled": False}).json()
    assert changed["disabled_reason"] == "by_hand"
    assert {**changed, **{name: made[name] for name in ("disabled_reason", "disabled_at", "failing_since")}} == {
        **{name: value for name, value in made.items() if name != "secret"},
        "min_priority": "high",
        "event_types": [],
        "enabled": False,
    }
    assert bot.patch(address, {"enabled": True, "url": f"{receiver.url}2"}).json()["failing_since"] is None
    secrets = Endpoint.objects.get().secrets
    for body, field in (
        ({"url": "https://10.0.0.7/"}, "url"),
        ({"format": "flat"}, "format"),
        ({"owner": "eve"}, "owner"),
        ({"secrets": []}, "secrets"),
        ({"principals": ["globex"]}, "principals"),
        ({"enabled": "perhaps"}, "enabled"),
    ):
        refused = bot.patch(address, body)
        assert refused.status_code == 400, body
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert eve.patch(address, {"description": "mine"}).status_code == 404
    kept = Endpoint.objects.get()
    assert (kept.url, kept.description, kept.secrets) == (f"{receiver.url}2", "old", secrets)


def test_it_refuses_query_parameters_that_it_does_not_know(api: ClientFactory, receiver: Receiver) -> None:
    bot = api("bot")
    bot.post(ENDPOINTS, {"url": receiver.url})
    assert bot.get(ENDPOINTS, {"enabled": "false"}).json()["results"] == []
    assert len(bot.get(ENDPOINTS, {"enabled": "true", "limit": "5"}).json()["results"]) == 1
    assert bot.get(ENDPOINTS, {"owner": "eve"}).status_code == 400
    assert bot.get(ENDPOINTS, {"limit": "0"}).status_code == 400


def test_it_recovers_what_an_endpoint_missed(
    api: ClientFactory, receiver: Receiver, opened: Callable[..., dict[str, Any]]
) -> None:
    bot = api("bot")
    made = bot.post(ENDPOINTS, {"url": receiver.url, "event_types": ["task.created"]}).json()
    address = f"{ENDPOINTS}{made['endpoint_id']}/"
    Endpoint.objects.update(enabled=False, disabled_reason="failing")
    task = opened()
    relay.drain()
    since = HumanTask.objects.get(pk=task["task_id"]).created_at.isoformat()
    refused = bot.post(f"{address}recover/", {"since": since})
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
    assert bot.post(f"{address}enable/").json()["enabled"] is True
    assert bot.post(f"{address}recover/", {"since": since}).json() == {"deliveries": 1}
    relay.drain()
    assert [message.json["data"]["task_id"] for message in receiver.messages] == [task["task_id"]]


def test_it_keeps_the_endpoint_of_the_settings(api: ClientFactory, receiver: Receiver, settings: Settings) -> None:
    settings.HITL_WEBHOOK_URL = receiver.url
    relay.drain()
    [row] = api("root").get(ENDPOINTS).json()["results"]
    assert (row["format"], row["min_priority"], row["event_types"]) == ("flat", "high", ["task.created"])
    assert api("root").delete(f"{ENDPOINTS}{row['endpoint_id']}/").status_code == 409
