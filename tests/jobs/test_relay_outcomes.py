"""What becomes of a delivery: tried in order and again, given up, recovered, sent anew; and of its endpoint."""

from datetime import timedelta

import orjson
import pytest
from pytest_django import Settings
from standardwebhooks import Webhook

from core import clock
from notifications import relay, signing
from notifications.models import Attempt, Delivery, Endpoint
from notifications.relay import dispatch
from tasks_app.actors import Actor
from tasks_app.services import Decision, decide_task
from tests.cast import NewTaskFactory
from tests.jobs.receiver import Answer, Receiver, receiving
from tests.jobs.relay_fixtures import EndpointFactory

pytestmark = pytest.mark.django_db


def test_it_sends_the_events_of_a_task_in_order(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, ana: Actor
) -> None:
    with receiving(Answer(503)) as receiver:
        endpoint_at(receiver.url, event_types=[])
        task = make_task()
        decide_task(task.pk, ana, Decision("approved"))
        start = clock.now()
        relay.drain()
        assert [message.json["data"]["seq"] for message in receiver.messages] == [1]
        with clock.at(start + timedelta(seconds=20)):
            relay.drain()
        assert [message.json["data"]["seq"] for message in receiver.messages] == [1, 1, 2, 3, 4]


def test_it_does_not_keep_an_outcome_behind_an_event_that_is_refused_for_long(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, ana: Actor
) -> None:
    with receiving(Answer(500), Answer(500)) as receiver:
        endpoint_at(receiver.url, event_types=["task.created", "task.completed"])
        task = make_task()
        decide_task(task.pk, ana, Decision("approved"))
        start = clock.now()
        for seconds in (0, 20):
            with clock.at(start + timedelta(seconds=seconds)):
                relay.drain()
        assert [message.json["type"] for message in receiver.messages] == ["task.created"] * 2 + ["task.completed"]


def test_it_disables_at_410_and_keeps_what_was_waiting_as_failed(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving(otherwise=Answer(410)) as receiver:
        endpoint = endpoint_at(receiver.url, event_types=["task.created"])
        make_task()
        relay.drain()
        endpoint.refresh_from_db()
        assert (endpoint.enabled, endpoint.disabled_reason) == (False, "gone")
        make_task()
        relay.drain()
        assert len(receiver.messages) == 1
    assert list(Delivery.objects.values_list("status", flat=True)) == ["failed", "failed"]
    assert "is disabled" in caplog.text


def test_it_never_follows_a_redirect(make_task: NewTaskFactory, endpoint_at: EndpointFactory) -> None:
    with receiving() as other, receiving(Answer(307, {"Location": other.url})) as receiver:
        endpoint_at(receiver.url, event_types=["task.created"])
        make_task()
        relay.drain()
        assert not other.messages
    assert Delivery.objects.get().status == "pending"
    assert Attempt.objects.get().answer_headers["location"] == other.url


def test_it_honours_retry_after_for_the_whole_endpoint(make_task: NewTaskFactory, endpoint_at: EndpointFactory) -> None:
    with receiving(Answer(429, {"Retry-After": "3600"})) as receiver:
        endpoint_at(receiver.url, event_types=["task.created"])
        make_task()
        start = clock.now()
        relay.drain()
        make_task()
        with clock.at(start + timedelta(minutes=59)):
            relay.drain()
        assert len(receiver.messages) == 1
        with clock.at(start + timedelta(minutes=90)):
            relay.drain()
        assert len(receiver.messages) == 3


def test_it_gives_up_after_ten_tries_over_three_days(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving(otherwise=Answer(500)) as receiver:
        endpoint = endpoint_at(receiver.url, event_types=["task.created"])
        make_task()
        relay.fan_out()
        moments, start = [], clock.now()
        while (delivery := Delivery.objects.get()).next_attempt_at is not None:
            endpoint.refresh_from_db()
            moments.append(max(delivery.next_attempt_at, endpoint.paused_until or delivery.next_attempt_at))
            with clock.at(moments[-1]):
                assert relay.drain() == 1
        assert (delivery.status, delivery.attempts, len(receiver.messages)) == ("failed", 10, 10)
        assert len({(message.id, message.body) for message in receiver.messages}) == 1
    assert timedelta(hours=60) < moments[-1] - start < timedelta(hours=90)


def test_it_warns_and_then_disables_an_endpoint_dead_for_five_days(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, caplog: pytest.LogCaptureFixture
) -> None:
    start, seen = clock.now(), {}
    with receiving(otherwise=Answer(500)) as receiver:
        endpoint = endpoint_at(receiver.url, event_types=["task.created"])
        for day in (0, 2, 3, 4, 5):
            with clock.at(start + timedelta(days=day, minutes=day)):
                make_task()
                relay.drain()
            endpoint.refresh_from_db()
            seen[day] = (endpoint.warned_at is not None, endpoint.enabled)
    assert seen == {0: (False, True), 2: (False, True), 3: (True, True), 4: (True, True), 5: (True, False)}
    assert endpoint.disabled_reason == "failing"
    assert set(Delivery.objects.values_list("status", flat=True)) == {"failed"}
    assert caplog.text.count("after five it is disabled") == 1


def test_it_recovers_everything_missed_since_a_moment_once(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver
) -> None:
    endpoint = endpoint_at(receiver.url, event_types=["task.created"])
    make_task()
    relay.drain()
    start = clock.now()
    endpoint.disable(Endpoint.Disabled.FAILING, now=start)
    endpoint.save()
    missed = [make_task() for _ in range(3)]
    relay.drain()
    endpoint.disable(Endpoint.Disabled.BY_HAND, now=start)
    endpoint.save()
    missed += [make_task() for _ in range(2)]
    relay.drain()
    with pytest.raises(dispatch.EndpointOff):
        relay.recover_since(endpoint.pk, start)
    endpoint.enable()
    endpoint.save()
    assert relay.recover_since(endpoint.pk, start) == 5
    assert relay.recover_since(endpoint.pk, start) == 0
    relay.drain()
    assert relay.recover_since(endpoint.pk, start) == 0
    assert {message.json["data"]["task_id"] for message in receiver.messages[1:]} == {task.pk for task in missed}
    assert len(receiver.messages) == 6


def test_it_redelivers_with_the_same_id_and_bytes(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver
) -> None:
    endpoint = endpoint_at(receiver.url, event_types=["task.created"])
    make_task()
    relay.drain()
    assert relay.redeliver([Delivery.objects.get().pk]) == 1
    relay.drain()
    first, second = receiver.messages
    assert (first.id, first.body) == (second.id, second.body)
    assert Attempt.objects.count() == 2
    endpoint.disable(Endpoint.Disabled.BY_HAND, now=clock.now())
    endpoint.save()
    with pytest.raises(dispatch.EndpointOff):
        relay.redeliver([Delivery.objects.get().pk])


def test_it_signs_with_both_secrets_during_a_rotation(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver
) -> None:
    endpoint = endpoint_at(receiver.url, event_types=["task.created"])
    old, new, start = endpoint.plain_secret, signing.new_secret(), clock.now()  # type: ignore[attr-defined]
    endpoint.add_secret(new, now=start)
    endpoint.save()
    make_task()
    relay.drain()
    for secret in (old, new):
        Webhook(secret).verify(receiver.messages[0].body, dict(receiver.messages[0].headers))
    assert endpoint.live_secrets(start + timedelta(hours=23)) == [new, old]
    assert endpoint.live_secrets(start + timedelta(hours=25)) == [new]
    assert old not in orjson.dumps(endpoint.secrets).decode()


def test_it_waits_while_a_secret_cannot_be_read_and_sends_the_others(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    broken = endpoint_at(receiver.url, event_types=["task.created"], description="broken")
    broken.secrets[0]["sealed"] = "gAAAAA"
    broken.save()
    endpoint_at(receiver.url, event_types=["task.created"])
    make_task()
    relay.drain()
    assert len(receiver.messages) == 1
    assert Delivery.objects.get(endpoint=broken).status == "pending"
    assert "HITL_ENCRYPTION_KEYS" in caplog.text


def test_it_logs_a_refused_address_as_a_try(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver, settings: Settings
) -> None:
    endpoint_at(receiver.url, event_types=["task.created"])
    settings.HITL_ALLOW_PRIVATE_HOSTS = []
    make_task()
    relay.drain()
    assert not receiver.messages
    tried = Attempt.objects.get()
    assert (tried.status, tried.error) == (None, "unsafe_url")
    assert "HITL_ALLOW_PRIVATE_HOSTS" in tried.detail
