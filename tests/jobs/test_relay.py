"""From event to receiver: who hears of what, in which form, and what happens to an outcome."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from core import clock
from notifications import relay, signing
from notifications.models import Attempt, Delivery, Endpoint
from notifications.relay import dispatch, draining, own_webhook
from tasks_app.actors import Actor, system_actor
from tasks_app.models import EventOutbox, TaskType
from tasks_app.services import Decision, claim_task, decide_task, expire_task, withdraw_task
from tests.cast import NewTaskFactory
from tests.jobs.receiver import Answer, Receiver, receiving
from tests.jobs.relay_fixtures import EndpointFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def mission(settings: Settings, receiver: Receiver) -> Receiver:
    """HITL_WEBHOOK_URL alone."""
    settings.HITL_WEBHOOK_URL = receiver.url
    return receiver


def test_it_sends_the_missions_webhook_for_high_and_urgent(
    mission: Receiver, make_task: NewTaskFactory, ana: Actor
) -> None:
    tasks = [make_task(priority=level, error_detail="PermissionError.PERMISSION_DENIED") for level in (1, 2, 3, 4)]
    claim_task(tasks[3].pk, ana)
    assert relay.drain() == 2
    tasks_by_id = [task.pk for task in tasks]
    # Two tasks may arrive in either order: it is kept within a task alone.
    assert sorted(
        (message.json for message in mission.messages), key=lambda body: tasks_by_id.index(body["task_id"])
    ) == [
        {
            "task_id": task.pk,
            "type": "creative_approval",
            "priority": priority,
            "detail": "PermissionError.PERMISSION_DENIED",
            "principal": "acme_corp",
        }
        for task, priority in ((tasks[2], "high"), (tasks[3], "urgent"))
    ]
    assert mission.messages[0].headers["content-type"] == "application/json"


def test_it_signs_with_the_secret_of_the_settings(
    mission: Receiver, settings: Settings, make_task: NewTaskFactory
) -> None:
    settings.HITL_WEBHOOK_SECRET = signing.new_secret()
    make_task(priority=4)
    relay.drain()
    [message] = mission.messages
    Webhook(settings.HITL_WEBHOOK_SECRET).verify(message.body, dict(message.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify(message.body, dict(message.headers))


def test_it_follows_the_settings_with_one_endpoint(mission: Receiver, settings: Settings) -> None:
    now = clock.now()
    own_webhook.ensure(now)
    own_webhook.ensure(now)
    endpoint = Endpoint.objects.get()
    assert len(endpoint.live_secrets(now)) == 1
    settings.HITL_WEBHOOK_URL = ""
    own_webhook.ensure(now)
    endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "settings")
    settings.HITL_WEBHOOK_URL = "https://hooks.example.com/next"
    own_webhook.ensure(now)
    endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.url) == (True, "https://hooks.example.com/next")


def test_it_keeps_the_missions_webhook_under_20_kb_and_without_personal_data(
    mission: Receiver, make_task: NewTaskFactory
) -> None:
    make_task(priority=4, error_detail="ops@acme.example says " + "\x07„é" * 6000, context_data={"password": "hunter2"})
    relay.drain()
    [message] = mission.messages
    assert 19_900 < len(message.body) < 20_000
    assert message.json["detail"].endswith("…")
    assert b"ops@" not in message.body
    assert b"hunter2" not in message.body


def test_it_sends_again_with_the_same_id_and_bytes(make_task: NewTaskFactory, endpoint_at: EndpointFactory) -> None:
    with receiving(Answer(500, body=b"down for a moment")) as receiver:
        endpoint = endpoint_at(receiver.url, event_types=["task.created"])
        make_task()
        start = clock.now()
        assert relay.drain() == 1
        delivery = Delivery.objects.get()
        assert (delivery.status, delivery.attempts, delivery.delivered_at) == ("pending", 1, None)
        assert delivery.next_attempt_at is not None
        assert timedelta(seconds=4) <= delivery.next_attempt_at - start <= timedelta(seconds=16)
        with clock.at(start + timedelta(seconds=20)):
            assert relay.drain() == 1
        first, second = receiver.messages
    assert (first.id, first.body) == (second.id, second.body)
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) in (19, 20, 21)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.event_id) == ("sent", 2, first.id)
    tries = list(Attempt.objects.values_list("status", "answer"))
    assert tries == [(500, "down for a moment"), (200, "ok")]
    endpoint.refresh_from_db()
    assert (endpoint.failing_since, endpoint.failures_in_a_row) == (None, 0)


def test_it_tells_an_adapter_every_outcome_of_its_own_tasks_alone(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver, ana: Actor, bot: Actor, eve: Actor
) -> None:
    endpoint = endpoint_at(receiver.url, owner=bot.user)
    completed, failed, withdrawn, expired = (make_task() for _ in range(4))
    foreign = make_task(actor=eve, principal_id="globex")
    decide_task(completed.pk, ana, Decision("approved"))
    decide_task(failed.pk, ana, Decision("rejected", "the logo is cut off"))
    withdraw_task(withdrawn.pk, bot)
    TaskType.objects.update(expires_after_hours=1)
    expire_task(expired.pk, system_actor())
    decide_task(foreign.pk, ana, Decision("approved"))
    relay.drain()
    heard = {message.json["data"]["task_id"]: message for message in receiver.messages}
    assert len(receiver.messages) == 4
    assert {pk: message.json["type"] for pk, message in heard.items()} == {
        completed.pk: "task.completed",
        failed.pk: "task.failed",
        withdrawn.pk: "task.withdrawn",
        expired.pk: "task.expired",
    }
    resolutions = {pk: message.json["data"]["resolution"] for pk, message in heard.items()}
    assert list(resolutions.values()).count("rejected") == 1
    assert resolutions[expired.pk] == "expired"
    assert b"logo" not in heard[failed.pk].body
    for message in receiver.messages:
        Webhook(endpoint.plain_secret).verify(message.body, dict(message.headers))  # type: ignore[attr-defined]


def test_its_envelope_is_thin_and_as_documented(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver, ana: Actor
) -> None:
    endpoint_at(receiver.url)
    task = make_task(
        adapter_name="google_ad_manager",
        media_buy_id="mb-1",
        creative_id="cr-1",
        operation="create_line_item",
        priority=3,
    )
    decide_task(task.pk, ana, Decision("approved", "fine"))
    relay.drain()
    [message] = receiver.messages
    assert message.json["timestamp"].endswith("Z")
    assert message.json["data"] == {
        "task_id": task.pk,
        "task_type": "creative_approval",
        "principal_id": "acme_corp",
        "adapter_name": "google_ad_manager",
        "status": "completed",
        "priority": "high",
        "resolution": "approved",
        "media_buy_id": "mb-1",
        "creative_id": "cr-1",
        "operation": "create_line_item",
        "version": 4,
        "seq": 4,
    }


@pytest.mark.parametrize(
    ("filters", "heard"),
    [
        ({"event_types": []}, 8),
        ({"event_types": ["task.created"]}, 4),
        ({"event_types": ["task.created"], "min_priority": 3}, 2),
        ({"event_types": ["task.created"], "task_types": ["compliance_review"]}, 1),
        ({"event_types": ["task.created"], "principals": ["globex"]}, 1),
        ({"event_types": ["task.created"], "adapter_name": "kevel"}, 1),
        ({"event_types": ["task.created"], "principals": ["globex"], "adapter_name": "kevel"}, 0),
    ],
)
def test_it_filters(
    filters: dict[str, Any],
    heard: int,
    make_task: NewTaskFactory,
    endpoint_at: EndpointFactory,
    bot: Actor,
    eve: Actor,
) -> None:
    endpoint_at("https://hooks.example.com/", **filters)
    for task in (
        make_task(priority=1, adapter_name="kevel"),
        make_task(priority=4),
        make_task("compliance_review", priority=2),
    ):
        withdraw_task(task.pk, bot)
    task = make_task(actor=eve, principal_id="globex", priority=3)
    withdraw_task(task.pk, eve)
    relay.fan_out()
    assert Delivery.objects.count() == heard


def test_it_leaves_out_the_endpoint_of_an_inactive_adapter(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, bot: Actor
) -> None:
    endpoint_at("https://hooks.example.com/", owner=bot.user, event_types=[])
    make_task()
    bot.user.is_active = False
    bot.user.save()
    relay.fan_out()
    assert not Delivery.objects.exists()


def test_it_dispatches_once_and_in_batches(make_task: NewTaskFactory, endpoint_at: EndpointFactory) -> None:
    endpoint_at("https://hooks.example.com/", event_types=[])
    for _ in range(5):
        make_task()
    assert [relay.fan_out(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert Delivery.objects.count() == 5
    EventOutbox.objects.update(dispatched_at=None)
    assert relay.fan_out() == 5
    assert Delivery.objects.count() == 5


def test_it_dispatches_again_without_doubles_after_an_interruption(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint_at("https://hooks.example.com/", event_types=[])
    for _ in range(3):
        make_task()
    whole = dispatch._insert

    def interrupted(*args: Any) -> None:
        whole(*args)
        raise DatabaseError("the connection is gone")

    monkeypatch.setattr(dispatch, "_insert", interrupted)
    with pytest.raises(DatabaseError):
        relay.fan_out()
    assert not Delivery.objects.exists()
    assert EventOutbox.objects.filter(position=None, dispatched_at=None).count() == 3
    monkeypatch.undo()
    assert relay.fan_out() == 3
    assert Delivery.objects.count() == 3
    assert list(EventOutbox.objects.order_by("id").values_list("position", flat=True)) == [1, 2, 3]


def test_it_asks_the_database_as_often_for_many_events_as_for_few(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory
) -> None:
    asked = []
    for n in (2, 12):
        for _ in range(n):
            make_task()
        endpoint_at("https://hooks.example.com/", event_types=[])
        with CaptureQueriesContext(connection) as queries:
            relay.fan_out()
        asked.append(len(queries))
    assert asked[0] == asked[1] <= 14


@pytest.mark.parametrize(("found", "breaths"), [(1, 4), (draining.FEW, 0)])
def test_it_takes_breath_while_news_trickles_in(found: int, breaths: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the fourth look on; not while there is plenty, and never for the first news after a quiet moment."""
    slept: list[float] = []
    looks = iter([found] * 6 + [0])
    monkeypatch.setattr(draining, "_pace", draining._Pace())
    monkeypatch.setattr(draining, "fan_out", lambda limit: next(looks))
    monkeypatch.setattr("time.sleep", slept.append)
    relay.drain(breath=60.0)
    assert len(slept) == breaths
    assert all(59 < seconds <= 60 for seconds in slept)
