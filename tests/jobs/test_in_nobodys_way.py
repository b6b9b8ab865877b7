"""A message, key, address or server that is broken is in no other's way, and nothing of it is lost or told wrongly."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from core import clock
from notifications import channel_services, relay, services, signing
from notifications.channel_services import NewChannel
from notifications.models import Attempt, Delivery, Endpoint
from notifications.payloads import News
from notifications.relay import dispatch, draining, leases, own_webhook
from notifications.relay.sender import MAILS
from tasks_app.actors import Actor
from tasks_app.models import TaskEvent, User
from tests.cast import NewTaskFactory
from tests.jobs.mailbox import receiving_mail
from tests.jobs.receiver import Answer, Receiver, receiving
from tests.jobs.relay_fixtures import EndpointFactory
from tests.servers import free_port

pytestmark = pytest.mark.django_db
CREATED = ["task.created"]


@contextmanager
def lost_key(settings: Settings) -> Iterator[None]:
    """What was sealed before cannot be read in the block; what is sealed in it can be for ever."""
    old, new = list(settings.HITL_ENCRYPTION_KEYS), Fernet.generate_key().decode()
    settings.HITL_ENCRYPTION_KEYS = [new]
    yield
    settings.HITL_ENCRYPTION_KEYS = [new, *old]


def test_it_sends_the_others_though_a_sealed_message_cannot_be_read(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver, settings: Settings
) -> None:
    sealed = endpoint_at(f"{receiver.url}/adcp", event_types=CREATED, format="adcp")
    endpoint_at(f"{receiver.url}/plain", event_types=CREATED)
    make_task()
    relay.fan_out()
    start = clock.now()
    with lost_key(settings):
        for endpoint in Endpoint.objects.all():  # the secrets are new, the message is not
            endpoint.add_secret(signing.new_secret(), now=start)
            endpoint.save()
        relay.drain()
    assert [message.path for message in receiver.messages] == ["/hook/plain"]
    [tried] = Attempt.objects.filter(delivery__endpoint=sealed)
    assert (tried.status, tried.error) == (None, "internal")
    sealed.refresh_from_db()
    assert sealed.failing_since is None, "that is not the receiver's fault"
    with clock.at(start + timedelta(minutes=1)):
        relay.drain()
    assert [message.path for message in receiver.messages] == ["/hook/plain", "/hook/adcp"]


def test_it_dispatches_the_others_though_a_message_cannot_be_written(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver, settings: Settings
) -> None:
    broken = endpoint_at(f"{receiver.url}/adcp", event_types=CREATED, format="adcp")
    broken.token = "buyers-token-0123456789"
    broken.save()
    with lost_key(settings):
        endpoint_at(f"{receiver.url}/plain", event_types=CREATED)
        make_task()
        relay.drain()
    assert [message.path for message in receiver.messages] == ["/hook/plain"]
    kept = Delivery.objects.get(endpoint=broken)
    assert (kept.status, bytes(kept.body)) == ("failed", b"")
    assert relay.redeliver([kept.pk]) == 1
    relay.drain()
    assert receiver.messages[-1].json["token"] == "buyers-token-0123456789"


def test_a_new_secret_is_the_way_out_after_a_lost_key(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver, settings: Settings, root: Actor
) -> None:
    endpoint = endpoint_at(receiver.url, event_types=CREATED)
    make_task()
    with lost_key(settings):
        relay.drain()
        assert not receiver.messages
        tested = services.send_test(endpoint.pk, root)
        assert (tested.delivered, tested.status) == (False, None)
        services.rotate_secret(endpoint.pk, root)
        relay.drain()
    assert len(receiver.messages) == 1


def test_it_follows_the_settings_though_their_old_secret_cannot_be_read(
    make_task: NewTaskFactory, receiver: Receiver, settings: Settings
) -> None:
    settings.HITL_WEBHOOK_URL, settings.HITL_WEBHOOK_SECRET = receiver.url, signing.new_secret()
    own_webhook.ensure(clock.now())
    with lost_key(settings):
        make_task(priority=4)
        relay.drain()
    assert len(receiver.messages) == 1


def test_two_processes_that_meet_a_new_setting_keep_the_old_secret_beside_it(
    receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, now = signing.new_secret(), signing.new_secret(), clock.now()
    settings.HITL_WEBHOOK_URL, settings.HITL_WEBHOOK_SECRET = receiver.url, old
    own_webhook.ensure(now)
    settings.HITL_WEBHOOK_SECRET = new
    before, looked = Endpoint.objects.get(), own_webhook._adapt

    def the_other_was_faster(endpoint: Endpoint, *args: Any) -> bool:
        monkeypatch.setattr(own_webhook, "_adapt", looked)
        own_webhook.ensure(now)
        return looked(before, *args)

    monkeypatch.setattr(own_webhook, "_adapt", the_other_was_faster)
    own_webhook.ensure(now)
    assert Endpoint.objects.get().live_secrets(now) == [new, old]


def own_mail(person: User, *event_types: str) -> None:
    new = NewChannel(f"mail-{person.username}", "mail", "email", person=person, event_types=list(event_types))
    channel_services.create_channel(new, Actor(user=person))


def test_it_mails_the_others_though_one_address_cannot_be_written(
    make_task: NewTaskFactory, people: dict[str, User], settings: Settings
) -> None:
    with receiving_mail() as box:
        settings.HITL_EMAIL_URL, settings.EMAIL_HOST, settings.EMAIL_PORT = "smtp://here", "127.0.0.1", box.port
        for name in ("ana", "sam"):
            own_mail(people[name], *CREATED)
        User.objects.filter(username="ana").update(email="ana@agency.example\nBcc: eve@evil.example")
        User.objects.filter(username="sam").update(email="sam@agentür.example")
        make_task()
        relay.drain()
        assert [to for to, _raw in box.raw] == ["sam@xn--agentr-7ya.example"]
        assert box.messages[0]["To"] == "sam@xn--agentr-7ya.example"
    assert Attempt.objects.get(delivery__endpoint__channel="mail-ana").error == "internal"


@pytest.mark.parametrize(
    ("greeting", "after", "seen"),
    [
        (b"220 hello\r\n", b"what is that?\r\n", (None, "protocol")),
        (b"-12 hello\r\n", b"", (None, "protocol")),
        (b"220 hello\r\n", b"421 4.3.2 closing\r\n", (421, "")),
    ],
)
def test_it_writes_down_whatever_a_mail_server_answers(
    greeting: bytes,
    after: bytes,
    seen: tuple[Any, str],
    make_task: NewTaskFactory,
    endpoint_at: EndpointFactory,
    receiver: Receiver,
    people: dict[str, User],
    settings: Settings,
) -> None:
    with strange_mail_server(greeting, after) as port:
        settings.HITL_EMAIL_URL, settings.EMAIL_HOST, settings.EMAIL_PORT = "smtp://here", "127.0.0.1", port
        own_mail(people["ana"], *CREATED)
        endpoint_at(receiver.url, event_types=CREATED)
        make_task()
        relay.drain()
    tried = Attempt.objects.get(delivery__endpoint__channel="mail-ana")
    assert (tried.status, tried.error) == seen
    assert Delivery.objects.get(endpoint__channel=None).status == "sent"


@contextmanager
def strange_mail_server(greeting: bytes, after: bytes) -> Iterator[int]:
    """It greets, takes EHLO, and answers what comes next by `after`, with which it hangs up."""

    def talk(server: socket.socket) -> None:
        while True:
            try:
                client, _address = server.accept()
            except OSError:
                return
            with client, client.makefile("rb") as lines:
                client.sendall(greeting)
                for line in lines:
                    if not line.upper().startswith(b"EHLO"):
                        client.sendall(after)
                        break
                    client.sendall(b"250 strange\r\n")

    with socket.create_server(("127.0.0.1", free_port())) as server:
        thread = threading.Thread(target=talk, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_what_is_sent_is_answered_within_its_lease(settings: Settings) -> None:
    deadline = timedelta(seconds=settings.HITL_WEBHOOK_TIMEOUT)
    assert leases.lease_time() / 2 + deadline < leases.lease_time()
    assert draining.widest("") == MAILS, "a mail never waits for a thread"


@pytest.mark.parametrize(("lease", "sent"), [(60.0, 2), (-2.0, 0)])
def test_what_got_its_place_too_late_is_given_back_unsent(
    lease: float,
    sent: int,
    make_task: NewTaskFactory,
    endpoint_at: EndpointFactory,
    receiver: Receiver,
    people: dict[str, User],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiving_mail() as box:
        settings.HITL_EMAIL_URL, settings.EMAIL_HOST, settings.EMAIL_PORT = "smtp://here", "127.0.0.1", box.port
        own_mail(people["ana"], *CREATED)
        endpoint_at(receiver.url, event_types=CREATED)
        make_task()
        relay.fan_out()
        start = clock.now()
        monkeypatch.setattr(leases, "lease_time", lambda: timedelta(seconds=lease))
        with relay.Sender() as sender, clock.at(start):
            sender.submit(relay.lease_due())
            relay.settle([one for _ in range(2) for one in sender.collect(10.0)])
        assert len(receiver.messages) + len(box.raw) == Attempt.objects.count() == sent
    rows = list(Delivery.objects.values_list("status", "attempts", "lease", "leased_until"))
    assert rows == [("sent", 1, "", None) if sent else ("pending", 0, "", None)] * 2


def gone_after_a_change(endpoint: Endpoint, changes: dict[str, Any], root: Actor) -> Endpoint:
    """410 comes from a request that was on its way when the endpoint was changed."""
    [leased] = relay.lease_due()
    services.change_endpoint(endpoint.pk, root, changes)
    relay.settle([relay.Try(leased, 0.1, 410)])
    endpoint.refresh_from_db()
    return endpoint


@pytest.mark.parametrize(
    ("changes", "enabled"), [({"url": "https://next.example.com/"}, True), ({"description": "x"}, False)]
)
def test_what_an_old_address_answers_is_not_held_against_a_new_one(
    changes: dict[str, Any], enabled: bool, make_task: NewTaskFactory, endpoint_at: EndpointFactory, root: Actor
) -> None:
    endpoint = endpoint_at("https://old.example.com/", event_types=CREATED)
    make_task()
    relay.fan_out()
    assert gone_after_a_change(endpoint, changes, root).enabled is enabled


def test_a_success_on_its_way_does_not_end_the_wait_that_a_receiver_asked_for(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory
) -> None:
    endpoint = endpoint_at("https://busy.example.com/", event_types=CREATED)
    for _ in range(2):
        make_task()
    relay.fan_out()
    first, second = relay.lease_due()
    asked = relay.Try(first, 0.1, 429, {"retry-after": "600"})
    relay.settle([asked, relay.Try(second, 0.2, 200)])
    endpoint.refresh_from_db()
    assert endpoint.paused_until is not None
    assert endpoint.paused_until - clock.now() > timedelta(minutes=9)
    assert endpoint.failing_since is None


def test_it_disables_nothing_without_a_warning_before(make_task: NewTaskFactory, endpoint_at: EndpointFactory) -> None:
    start, seen = clock.now(), {}
    with receiving(otherwise=Answer(500)) as receiver:
        endpoint = endpoint_at(receiver.url, event_types=CREATED)
        for day in (0, 6, 8):  # quiet in between: nothing was tried when a warning was due
            with clock.at(start + timedelta(days=day)):
                make_task()
                relay.drain()
            endpoint.refresh_from_db()
            seen[day] = (endpoint.warned_at is not None, endpoint.enabled)
    assert seen == {0: (False, True), 6: (True, True), 8: (True, False)}


def test_nothing_waits_for_a_receiver_that_is_not_in_use(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver, bot: Actor
) -> None:
    """News may be dispatched in the very moment in which its receiver is switched off."""
    by_hand, gone, owned = (endpoint_at(f"{receiver.url}/{n}", event_types=CREATED) for n in range(3))
    owned.owner = bot.user
    owned.save()
    make_task()
    relay.fan_out()
    for endpoint, reason in ((by_hand, Endpoint.Disabled.BY_HAND), (gone, Endpoint.Disabled.GONE)):
        endpoint.disable(reason, now=clock.now())
        endpoint.save()
    User.objects.filter(pk=bot.user.pk).update(is_active=False)
    relay.drain()
    assert not receiver.messages
    statuses = {row.endpoint_id: row.status for row in Delivery.objects.all()}
    assert statuses == {by_hand.pk: "cancelled", gone.pk: "failed", owned.pk: "cancelled"}


def test_an_adapter_that_recovers_has_no_other_s_events_read(
    make_task: NewTaskFactory,
    endpoint_at: EndpointFactory,
    receiver: Receiver,
    bot: Actor,
    eve: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = clock.now()
    mine = [make_task().pk for _ in range(3)]
    make_task(actor=eve, principal_id="globex")
    relay.drain()
    endpoint = endpoint_at(receiver.url, event_types=CREATED, owner=bot.user)
    read, reads = dispatch.read_news, []

    def recorded(events: Sequence[TaskEvent]) -> list[News]:
        reads.append([event.task_id for event in events])
        return read(events)

    monkeypatch.setattr(dispatch, "BATCH", 2)
    monkeypatch.setattr(dispatch, "read_news", recorded)
    assert relay.recover_since(endpoint.pk, start) == 3
    assert reads[:2] == [mine[:2], mine[2:]]
    assert relay.recover_since(endpoint.pk, start) == 0
    relay.drain()
    assert sorted(message.json["data"]["task_id"] for message in receiver.messages) == mine
