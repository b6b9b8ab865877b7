"""Endpoints and the delivery log in the console: for administrators, by POST, the secret once."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from standardwebhooks import Webhook

from core import clock
from notifications import relay
from notifications.admin.endpoints import EndpointForm
from notifications.models import Delivery, Endpoint
from tasks_app.actors import Actor
from tasks_app.links import task_url
from tasks_app.registries import notes_on
from tasks_app.services import withdraw_task
from tests.cast import NewTaskFactory
from tests.jobs.receiver import Answer, Receiver, receiving

pytestmark = pytest.mark.django_db
LIST = "admin:notifications_endpoint_changelist"
ADD = "admin:notifications_endpoint_add"
LOG = "admin:notifications_delivery_changelist"
VERBS = ["test", "secret", "enable", "disable", "recover", "remove"]


@pytest.fixture(autouse=True)
def _loopback_allowed(settings: Settings) -> None:
    settings.HITL_ALLOW_PRIVATE_HOSTS = ["127.0.0.1"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def console(client: Client, root: Actor) -> Client:
    client.force_login(root.user)
    return client


def add(console: Client, url: str, **fields: object) -> Endpoint:
    form = {"url": url, "format": "standard", "min_priority": 1, "event_types": ["task.created"], **fields}
    answer = console.post(reverse(ADD), form)
    assert answer.status_code == 200, answer.content
    endpoint = Endpoint.objects.get()
    endpoint.plain_secret = answer.context["secret"]  # type: ignore[attr-defined]
    assert answer.context["secret"] in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    return endpoint


def press(console: Client, endpoint: Endpoint, verb: str, **fields: str) -> str:
    """Press a button; the page that follows."""
    address = reverse(f"admin:notifications_endpoint_{verb}", args=[endpoint.pk])
    answer = console.post(address, fields, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_adds_an_endpoint_and_shows_the_secret_once(
    console: Client, receiver: Receiver, make_task: NewTaskFactory
) -> None:
    endpoint = add(console, receiver.url, description="Ops chat")
    page = console.get(reverse("admin:notifications_endpoint_change", args=[endpoint.pk])).content.decode()
    assert endpoint.plain_secret not in page  # type: ignore[attr-defined]
    assert "Ops chat" in console.get(reverse(LIST)).content.decode()
    make_task()
    relay.drain()
    [message] = receiver.messages
    Webhook(endpoint.plain_secret).verify(message.body, dict(message.headers))  # type: ignore[attr-defined]


def test_it_says_beside_the_url_what_is_wrong(console: Client) -> None:
    form = {"url": "https://10.0.0.7/", "format": "standard", "min_priority": 1}
    answer = console.post(reverse(ADD), form)
    assert "private address" in answer.content.decode()
    assert not Endpoint.objects.exists()


def test_it_changes_address_and_filters_and_nothing_that_the_relay_writes(console: Client, receiver: Receiver) -> None:
    endpoint = add(console, receiver.url)
    address = reverse("admin:notifications_endpoint_change", args=[endpoint.pk])
    form = {"description": "new", "min_priority": 3, "event_types": ["task.failed"], "url": receiver.url}
    assert console.post(address, form | {"format": "flat", "scheme": "Bearer"}).status_code == 302
    changed = Endpoint.objects.get()
    assert (changed.description, changed.min_priority, changed.event_types) == ("new", 3, ["task.failed"])
    assert (changed.url, changed.format, changed.secrets) == (receiver.url, "standard", endpoint.secrets)
    refused = console.post(address, form | {"url": "https://10.0.0.7/"})
    assert "private address" in refused.content.decode()
    assert console.post(address, form | {"url": f"{receiver.url}2"}).status_code == 302
    assert Endpoint.objects.get().url == f"{receiver.url}2"


@pytest.mark.django_db(transaction=True)
def test_it_looks_a_name_up_outside_the_transaction(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The admin saves inside one; the control shows that a look-up in the form would have been inside."""
    inside: dict[str, bool] = {}

    def lookup(url: str) -> None:
        inside["look-up"] = connection.in_atomic_block

    clean = EndpointForm.clean

    def control(form: EndpointForm) -> dict[str, object]:
        inside["form"] = connection.in_atomic_block
        return clean(form)

    monkeypatch.setattr("notifications.services.check_reachable", lookup)
    monkeypatch.setattr(EndpointForm, "clean", control)
    add(console, "https://hooks.example.com/hitl")
    assert inside == {"look-up": False, "form": True}


def test_it_adds_one_for_the_ad_context_protocol(
    console: Client, receiver: Receiver, make_task: NewTaskFactory
) -> None:
    adcp = {"format": "adcp", "scheme": "Bearer", "credentials": "c" * 16 + "0123456789abcdef", "token": "t" * 20}
    weak = console.post(reverse(ADD), {"url": receiver.url, "min_priority": 1, **adcp, "credentials": "a" * 32})
    assert "random" in weak.content.decode()
    misplaced = console.post(reverse(ADD), {"url": receiver.url, "min_priority": 1, **adcp, "format": "flat"})
    assert "Ad Context Protocol carry a token" in misplaced.content.decode()
    assert not Endpoint.objects.exists()
    endpoint = add(console, receiver.url, **adcp)
    make_task()
    relay.drain()
    [message] = receiver.messages
    assert message.headers["authorization"] == f"Bearer {adcp['credentials']}"
    assert message.json["token"] == adcp["token"]
    log = console.get(reverse("admin:notifications_delivery_change", args=[Delivery.objects.get().pk])).content.decode()
    seen = [log, console.get(reverse("admin:notifications_endpoint_change", args=[endpoint.pk])).content.decode()]
    for secret in (adcp["credentials"], adcp["token"]):
        assert not any(secret in page for page in seen)
    assert "submitted" in log


def test_its_buttons_work(console: Client, receiver: Receiver, make_task: NewTaskFactory) -> None:
    endpoint = add(console, receiver.url)
    assert "The test message arrived (200)" in press(console, endpoint, "test")
    assert "whsec_" in press(console, endpoint, "secret")
    assert "is disabled" in press(console, endpoint, "disable")
    task = make_task()
    relay.drain()
    assert "Enable it first" in press(console, endpoint, "recover", since="2020-01-01T00:00")
    assert "is enabled" in press(console, endpoint, "enable")
    assert "1 deliveries are sent again" in press(console, endpoint, "recover", since="2020-01-01T00:00")
    assert "since" in press(console, endpoint, "recover", since="yesterday")
    relay.drain()
    assert receiver.messages[-1].json["data"]["task_id"] == task.pk
    press(console, endpoint, "remove")
    assert receiver.url not in console.get(reverse(LIST)).content.decode()


def test_it_changes_nothing_on_get_and_nothing_for_others(
    console: Client, receiver: Receiver, ana: Actor, sam: Actor, bot: Actor
) -> None:
    endpoint = add(console, receiver.url)
    addresses = [reverse(f"admin:notifications_endpoint_{verb}", args=[endpoint.pk]) for verb in VERBS]
    assert [console.get(address).status_code for address in addresses] == [405] * 6
    for actor in (ana, sam, bot):
        stranger = Client()
        stranger.force_login(actor.user)
        answers = [stranger.post(address).status_code for address in addresses]
        answers += [stranger.get(reverse(name)).status_code for name in (LIST, ADD, LOG)]
        assert set(answers) <= {302, 403}
        assert all("/login/" in stranger.get(reverse(name)).headers.get("Location", "/login/") for name in (LIST, LOG))
    before, endpoint = endpoint, Endpoint.objects.get()
    assert (endpoint.enabled, endpoint.secrets, receiver.messages) == (True, before.secrets, [])


def test_its_log_shows_bytes_headers_and_answer_and_sends_again(console: Client, make_task: NewTaskFactory) -> None:
    with receiving(Answer(500, body=b"<b>boom</b>")) as receiver:
        add(console, receiver.url)
        task = make_task()
        relay.drain()
        delivery = Delivery.objects.get()
        assert task.pk in console.get(reverse(LOG)).content.decode()
        listed = re.search(r'href="([^"]*/delivery/[^"]*/change/[^"]*)"', console.get(reverse(LOG)).content.decode())
        assert listed
        page = console.get(listed[1].replace("&amp;", "&")).content.decode()
        assert "webhook-signature" in page
        assert "&lt;b&gt;boom&lt;/b&gt;" in page
        assert "<b>boom" not in page
        assert "&quot;task_id&quot;" in page
        again = reverse("admin:notifications_delivery_again", args=[delivery.pk])
        assert console.get(again).status_code == 405
        assert "sent again" in console.post(again, follow=True).content.decode()
        relay.drain()
        chosen = {"action": "send_again", "_selected_action": [delivery.pk]}
        assert "1 deliveries" in console.post(reverse(LOG), chosen, follow=True).content.decode()
        relay.drain()
        assert len({(message.id, message.body) for message in receiver.messages}) == 1
        assert len(receiver.messages) == 3
    assert console.post(reverse("admin:notifications_delivery_add")).status_code == 403


def test_it_tells_administrators_of_messages_that_wait(
    console: Client, receiver: Receiver, make_task: NewTaskFactory
) -> None:
    add(console, receiver.url)
    make_task()
    relay.fan_out()
    assert "Messages wait" not in console.get(reverse("admin:index")).content.decode()
    with clock.at(clock.now() + timedelta(minutes=12)):
        home = console.get(reverse("admin:index")).content.decode()
        assert "Messages wait" in home
        assert "messages to send: 1" in home
        relay.drain()
        assert "Messages wait" not in console.get(reverse("admin:index")).content.decode()


def test_it_shows_an_undelivered_outcome_on_the_task_and_on_the_home_page(
    console: Client, make_task: NewTaskFactory, bot: Actor, ana: Actor, root: Actor
) -> None:
    with receiving(otherwise=Answer(410)) as receiver:
        add(console, receiver.url, event_types=["task.withdrawn"], description="the adapter")
        task = make_task()
        assert "Undelivered outcomes" not in console.get(reverse("admin:index")).content.decode()
        withdraw_task(task.pk, bot)
        relay.drain()
    home = console.get(reverse("admin:index")).content.decode()
    assert "Undelivered outcomes" in home
    assert "Failing receivers" in home
    assert "did not reach the adapter" in console.get(task_url(task.pk)).content.decode()
    [note] = notes_on(task, root)
    assert "did not reach the adapter after 1 tries" in note.text
    assert note.url
    assert [note.url for note in notes_on(task, ana)] == [""]
