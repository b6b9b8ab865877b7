"""Endpoints of the Ad Context Protocol: what the buyer gave comes back to its adapter, and is readable nowhere else."""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings
from rest_framework.test import APIClient

from notifications import relay
from notifications.models import Attempt, Delivery, Endpoint
from tasks_app.models import HumanTask, SealedDetail
from tests.jobs.receiver import Message, Receiver, receiving

pytestmark = pytest.mark.django_db
ENDPOINTS = "/api/v1/webhook-endpoints/"
TOKEN = "buyers-token-0123456789"
CREDENTIALS = "0123456789abcdefghijklmnopqrstuvwxyz"
CONTEXT = {"trace_id": "tr-1", "contact": "buyer@agency.example", "depth": [{"n": 1.5}]}
ECHO = {"operation_id": "op_4711", "context": CONTEXT, "token": TOKEN, "task_type": "create_media_buy"}
ClientFactory = Callable[..., APIClient]


@pytest.fixture(autouse=True)
def _loopback_allowed(settings: Settings) -> None:
    settings.HITL_ALLOW_PRIVATE_HOSTS = ["127.0.0.1"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def register(client: APIClient, receiver: Receiver, **fields: Any) -> dict[str, Any]:
    made = client.post(ENDPOINTS, {"url": receiver.url, "format": "adcp", **fields})
    assert made.status_code == 201, made.content
    answer: dict[str, Any] = made.json()
    return answer


def withdrawn(bot: APIClient, **fields: Any) -> str:
    """A task that came and went: one outcome."""
    body = {"task_type": "creative_approval", "principal_id": "acme_corp", "context_data": {"adcp": ECHO}, **fields}
    task_id = str(bot.post("/api/v1/tasks/", body).json()["task_id"])
    assert bot.post(f"/api/v1/tasks/{task_id}/withdraw/", {"reason": "moot"}).status_code == 200
    return task_id


def is_signed(message: Message, secret: str) -> bool:
    signed = f"{message.headers['x-adcp-timestamp']}.".encode() + message.body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return message.headers["x-adcp-signature"] == f"sha256={digest}"


def test_it_signs_and_echoes_what_the_buyer_gave(api: ClientFactory, receiver: Receiver) -> None:
    bot = api("bot")
    made = register(bot, receiver)
    assert (made["scheme"], len(made["secret"])) == ("HMAC-SHA256", 64)
    task_id = withdrawn(bot)
    relay.drain()
    [message] = receiver.messages
    assert is_signed(message, made["secret"])
    assert message.json["status"] == "canceled"
    assert {name: message.json[name] for name in ECHO} == ECHO
    assert message.json["ext"]["hitl"]["task_id"] == task_id
    relay.redeliver([Delivery.objects.get().pk])
    relay.drain()
    assert [m.body for m in receiver.messages] == [message.body] * 2


def test_it_stores_no_secret_of_the_buyer_in_the_clear(api: ClientFactory, receiver: Receiver) -> None:
    bot = api("bot")
    made = register(
        bot,
        receiver,
        token="endpoint-token-0123456789",
        authentication={"schemes": ["Bearer"], "credentials": CREDENTIALS},
    )
    task_id = withdrawn(bot)
    relay.drain()
    [message] = receiver.messages
    assert message.headers["authorization"] == f"Bearer {CREDENTIALS}"
    assert message.json["token"] == TOKEN
    assert (made["scheme"], made["secret"]) == ("Bearer", CREDENTIALS)
    assert dict(Attempt.objects.get().headers)["authorization"] == "•••"
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += [bytes(v) if isinstance(v, memoryview) else v for row in cursor.fetchall() for v in row]
    dump = repr(rows)
    assert task_id in dump
    for secret in (TOKEN, CREDENTIALS, "endpoint-token-0123456789", "buyer@agency.example"):
        assert secret not in dump
    assert TOKEN not in bot.get(f"/api/v1/tasks/{task_id}/").content.decode()


def test_it_falls_back_to_the_endpoint_s_token_and_the_task_s_id(api: ClientFactory, receiver: Receiver) -> None:
    bot = api("bot")
    register(bot, receiver, token="endpoint-token-0123456789")
    task_id = withdrawn(bot, context_data={"note": "no echo"})
    relay.drain()
    [message] = receiver.messages
    assert (message.json["token"], message.json["operation_id"]) == ("endpoint-token-0123456789", task_id)
    assert "context" not in message.json


def test_it_gives_originals_to_nobody_but_the_adapter_that_brought_them(api: ClientFactory, receiver: Receiver) -> None:
    register(api("root"), receiver)
    withdrawn(api("bot"))
    relay.drain()
    [message] = receiver.messages
    assert message.json["operation_id"] == "op_4711"
    assert message.json["context"] == {**CONTEXT, "contact": "[email 1]"}
    assert "token" not in message.json


def test_it_echoes_no_more_after_the_values_were_erased(api: ClientFactory, receiver: Receiver) -> None:
    bot = api("bot")
    register(bot, receiver, event_types=["task.created"])
    bot.post(
        "/api/v1/tasks/",
        {"task_type": "creative_approval", "principal_id": "acme_corp", "context_data": {"adcp": ECHO}},
    )
    assert SealedDetail.objects.filter(task=HumanTask.objects.get()).delete()
    relay.drain()
    [message] = receiver.messages
    assert message.json["status"] == "submitted"
    assert message.json["context"]["contact"] == "[email 1]"
    assert "token" not in message.json


def test_it_rotates_at_once_and_takes_the_receiver_s_own_credentials(api: ClientFactory, receiver: Receiver) -> None:
    bot = api("bot")
    made = register(bot, receiver, event_types=["task.created"])
    rotate = f"{ENDPOINTS}{made['endpoint_id']}/rotate-secret/"
    assert bot.post(rotate, {"credentials": "short"}).status_code == 400
    assert bot.post(rotate, {"credentials": CREDENTIALS}).json()["secret"] == CREDENTIALS
    assert bot.post(f"{ENDPOINTS}{made['endpoint_id']}/test/").json()["delivered"]
    assert is_signed(receiver.messages[0], CREDENTIALS)
    assert not is_signed(receiver.messages[0], made["secret"])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"format": "standard", "token": TOKEN}, "format"),
        ({"format": "flat", "authentication": {"schemes": ["HMAC-SHA256"], "credentials": CREDENTIALS}}, "credentials"),
        ({"authentication": {"schemes": ["HMAC-SHA256"], "credentials": "short"}}, "credentials"),
        ({"authentication": {"schemes": ["Basic"]}}, "authentication"),
        ({"authentication": {"schemes": ["Bearer", "HMAC-SHA256"]}}, "authentication"),
        ({"authentication": {"schemes": ["Bearer"], "realm": "x"}}, "authentication"),
        ({"token": "short"}, "token"),
    ],
)
def test_it_says_what_does_not_fit(api: ClientFactory, receiver: Receiver, fields: dict[str, Any], field: str) -> None:
    refused = api("bot").post(ENDPOINTS, {"url": receiver.url, "format": "adcp", **fields})
    assert refused.status_code == 400
    assert [error["field"].split(".")[0] for error in refused.json()["errors"]] == [field]
    assert not Endpoint.objects.exists()
