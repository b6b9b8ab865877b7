"""Channels in the console: teams' ones for administrators, everybody's own page for himself."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from notifications.models import Channel, Endpoint
from tasks_app.actors import Actor
from tests.admin.conftest import ClientFor
from tests.jobs.mailbox import Mailbox, receiving_mail
from tests.jobs.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db
MINE = "/admin/my-notifications/"
LIST, ADD = "admin:notifications_channel_changelist", "admin:notifications_channel_add"


@pytest.fixture
def mail(settings: Settings) -> Iterator[Mailbox]:
    with receiving_mail() as box:
        settings.HITL_EMAIL_URL = f"smtp://127.0.0.1:{box.port}"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
        yield box


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.HITL_ALLOW_PRIVATE_HOSTS = ["127.0.0.1"]
    with receiving() as running:
        yield running


def page(client: Client, path: str, /, **form: Any) -> str:
    answer = client.post(path, form, follow=True) if form else client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_lets_everybody_choose_where_and_of_what_he_is_told(client_for: ClientFor, mail: Mailbox) -> None:
    ana = client_for("ana")
    assert "Goes to ana@agency.example." in page(ana, MINE)
    chosen = {"email-event_types": ["task.assigned", "task.escalated"], "email-min_priority": "3"}
    assert "Saved." in page(ana, MINE, kind="email", verb="save", **chosen)
    channel = Channel.objects.select_related("endpoint").get()
    assert (channel.person, channel.team) == (ana_user(), None)
    assert (channel.endpoint.event_types, channel.endpoint.min_priority) == (["task.assigned", "task.escalated"], 3)
    assert "The test message arrived (250)." in page(ana, MINE, kind="email", verb="test")
    assert mail.messages[0]["Subject"] == "A test of your notifications"
    assert "It is switched off." in page(ana, MINE, kind="email", verb="disable")
    assert not Endpoint.objects.get().enabled
    page(ana, MINE, kind="email", verb="enable")
    page(ana, MINE, kind="email", verb="save", **{**chosen, "email-min_priority": "1"})
    assert (Endpoint.objects.get().enabled, Endpoint.objects.get().min_priority) == (True, 1)
    assert "not set up" in page(client_for("sam"), MINE)


def ana_user() -> Any:
    from tasks_app.models import User

    return User.objects.get(username="ana")


def test_it_asks_for_the_address_of_a_webhook_and_says_what_is_wrong_with_it(
    client_for: ClientFor, receiver: Receiver
) -> None:
    ana = client_for("ana")
    form = {"kind": "slack", "verb": "save", "slack-min_priority": "1"}
    assert "This field is required" in page(ana, MINE, **form)
    assert "private address" in page(ana, MINE, **form, **{"slack-address": "https://10.0.0.7/x"})
    assert not Channel.objects.exists()
    seen = page(ana, MINE, **form, **{"slack-address": receiver.url})
    assert receiver.url not in seen
    assert "The test message arrived (200)." in page(ana, MINE, kind="slack", verb="test")
    assert receiver.messages[0].json["blocks"]
    assert "Saved." in page(ana, MINE, **form)
    assert Endpoint.objects.get().live_secrets(Endpoint.objects.get().created_at) == [receiver.url]


def test_it_offers_no_mail_without_a_server(client_for: ClientFor) -> None:
    ana = client_for("ana")
    assert "E-mail" not in page(ana, MINE)
    assert ana.post(MINE, {"kind": "email"}).status_code == 403


def test_it_makes_and_changes_a_team_s_channel(client_for: ClientFor, receiver: Receiver) -> None:
    root = client_for("root")
    form = {
        "name": "Creative room",
        "slug": "creative-room",
        "kind": "slack",
        "address": receiver.url,
        "team": "creative-review",
        "event_types": ["task.created"],
        "min_priority": "3",
    }
    assert "private address" in page(root, reverse(ADD), **{**form, "address": "https://10.0.0.7/"})
    page(root, reverse(ADD), **form)
    channel = Channel.objects.select_related("endpoint", "team").get()
    assert (channel.pk, channel.team_id, channel.endpoint.min_priority) == ("creative-room", "creative-review", 3)
    assert "tasks of Creative review" in page(root, reverse(LIST))
    address = reverse("admin:notifications_channel_change", args=[channel.pk])
    assert receiver.url not in page(root, address)
    page(root, address, **{**form, "address": "", "team": "", "name": "Floor", "event_types": []})
    changed = Channel.objects.select_related("endpoint").get()
    assert (changed.name, changed.team, changed.endpoint.event_types) == ("Floor", None, [])
    assert changed.endpoint.secrets == channel.endpoint.secrets
    test = reverse("admin:notifications_channel_act", args=[channel.pk, "test"])
    assert "The test message arrived (200)." in page(root, test, go="1")
    assert root.get(test).status_code == 405
    assert "There is a channel of this name" in page(root, reverse(ADD), **form) or Channel.objects.count() == 1


def test_it_keeps_channels_from_those_whose_they_are_not(client_for: ClientFor, receiver: Receiver) -> None:
    page(client_for("ana"), MINE, **{"kind": "slack", "slack-min_priority": "1", "slack-address": receiver.url})
    own = Channel.objects.get().pk
    sam, root = client_for("sam"), client_for("root")
    assert sam.get(reverse(LIST)).status_code == 403
    assert sam.post(reverse(ADD), {}).status_code == 403
    assert sam.post(reverse("admin:notifications_channel_act", args=[own, "disable"])).status_code == 403
    assert own not in page(root, reverse(LIST))
    assert root.get(reverse("admin:notifications_channel_change", args=[own])).status_code == 302
    assert "by that person" in page(root, reverse("admin:notifications_channel_act", args=[own, "disable"]), go="1")
    assert Endpoint.objects.get().enabled
    assert Client().get(MINE).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_it_looks_an_address_up_outside_the_transaction(client_for: ClientFor, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = []
    monkeypatch.setattr(
        "notifications.channel_services.check_reachable", lambda url: inside.append(connection.in_atomic_block)
    )
    form = {"name": "Room", "slug": "room", "kind": "slack", "min_priority": 1}
    page(client_for("root"), reverse(ADD), **form, address="https://hooks.example.com/x")
    page(
        client_for("ana"), MINE, **{"kind": "slack", "slack-min_priority": "1", "slack-address": "https://a.example/x"}
    )
    assert inside == [False, False]
    assert Channel.objects.count() == 2


def test_it_leaves_an_audit_entry_with_the_actor(client_for: ClientFor, receiver: Receiver, ana: Actor) -> None:
    from auditlog.models import LogEntry

    page(client_for("ana"), MINE, **{"kind": "slack", "slack-min_priority": "1", "slack-address": receiver.url})
    entries = LogEntry.objects.filter(content_type__app_label="notifications")
    assert {entry.content_type.model for entry in entries} == {"channel", "endpoint"}
    assert {entry.actor for entry in entries} == {ana.user}
    assert receiver.url not in str(list(entries.values()))
