"""News for people: by a real mail server and to a Slack-like receiver, to those whom it concerns and who may see it."""

import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from slack_sdk.models.blocks import Block

from core import clock
from notifications import channel_services, relay
from notifications.audience import Entitlement
from notifications.channel_services import NewChannel
from notifications.models import Attempt, Channel, Delivery, Endpoint
from notifications.relay import people as people_relay
from tasks_app.actors import Actor
from tasks_app.models import SLAPolicy, SLAStep, Team, TeamMembership, User
from tasks_app.services import assign_task, claim_task, comment_on_task, withdraw_task
from tasks_app.timers import sweep
from tests.cast import NewTaskFactory, add_to_team
from tests.jobs.mailbox import Mailbox, html_of, receiving_mail, text_of
from tests.jobs.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db
MakeChannel = Callable[..., Channel]
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
EVERYTHING = ["task.assigned", "task.created", "task.escalated", "task.commented", "task.withdrawn"]


@pytest.fixture
def mail(settings: Settings) -> Iterator[Mailbox]:
    with receiving_mail() as box:
        use(settings, box)
        yield box


def use(settings: Settings, box: Mailbox) -> None:
    settings.HITL_EMAIL_URL = f"smtp://127.0.0.1:{box.port}"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
    settings.HITL_BASE_URL = "https://tasks.agency.example"


@pytest.fixture
def own(people: dict[str, User]) -> MakeChannel:
    """A person's own channel by mail."""

    def make(username: str, kind: str = "email", **fields: Any) -> Channel:
        person = people[username]
        new = NewChannel(f"{kind}-{username}", username, kind, person=person, **{"event_types": EVERYTHING, **fields})
        return channel_services.create_channel(new, Actor(user=person))

    return make


@pytest.fixture
def room(root: Actor, receiver: Receiver) -> MakeChannel:
    """A team's Slack room."""

    def make(team: str | None = "creative-review", slug: str = "room", **fields: Any) -> Channel:
        of = Team.objects.get(pk=team) if team else None
        chosen = {"event_types": EVERYTHING, **fields}
        return channel_services.create_channel(NewChannel(slug, slug, "slack", receiver.url, team=of, **chosen), root)

    return make


def check_blocks(payload: Any) -> list[dict[str, Any]]:
    """Slack's own SDK (slack_sdk 3.48) parses the blocks and judges them by the limits that Slack publishes."""
    assert set(payload) == {"text", "blocks"}
    assert 0 < len(payload["text"]) <= 3000
    assert len(payload["blocks"]) <= 50
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parsed = Block.parse_all(payload["blocks"])
    assert [block.to_dict() for block in parsed] == payload["blocks"]
    return list(payload["blocks"])


def test_it_mails_what_why_how_long_and_where(
    mail: Mailbox, own: MakeChannel, make_task: NewTaskFactory, sam: Actor, ana: Actor
) -> None:
    own("ana", event_types=["task.assigned"])
    User.objects.filter(pk=ana.user.pk).update(time_zone="Europe/Berlin")
    with clock.at(NOW):
        task = make_task(priority=3, creative_id="cr_77", error_detail="Refused for buyer@acme.example <b>now</b>")
        assign_task(task.pk, sam, assigned_to="ana")
    with clock.at(NOW + timedelta(hours=21, minutes=50)):
        relay.drain()
    [message] = mail.messages
    assert mail.raw[0][0] == "ana@agency.example"
    assert message["Subject"] == "High: Creative approval for Acme Corp"
    assert message["Message-ID"].endswith("@tasks.agency.example>")
    assert message["Auto-Submitted"] == "auto-generated"
    link = f"https://tasks.agency.example/admin/tasks_app/humantask/{task.pk}/change/"
    for body in (text_of(message), html_of(message)):
        assert "sam assigned it to you." in body
        assert "2 h 10 min left, until Tue 03 Mar 10:00 (Europe/Berlin)." in body
        assert "cr_77" in body
        assert link in body
        assert "buyer@acme.example" not in body
        assert "[email 1]" in body
    assert "&lt;b&gt;" in html_of(message)
    [attempt] = Attempt.objects.all()
    assert (attempt.status, attempt.answer) == (250, "2.0.0 queued as 4711")
    assert bytes(Delivery.objects.get().content).replace(b"\r\n", b"\n") == mail.raw[0][1].replace(b"\r\n", b"\n")


def test_it_tells_a_team_s_room_in_blocks_that_slack_accepts(
    receiver: Receiver, room: MakeChannel, make_task: NewTaskFactory, settings: Settings
) -> None:
    settings.HITL_BASE_URL = "https://tasks.agency.example"
    channel = room()
    assert channel.endpoint.url == receiver.url.replace("/hook", "/…")
    hostile = "<!channel> & <https://evil.example|click> *bold* " + "x" * 900
    task = make_task(priority=4, operation=hostile[:400], error_detail=hostile * 4)
    make_task("permission_exception")
    relay.drain()
    [message] = receiver.messages
    blocks = check_blocks(message.json)
    assert [block["type"] for block in blocks] == ["header", "section", "section", "section", "context", "actions"]
    assert message.json["text"].startswith("Urgent: Creative approval for Acme Corp. It was opened just now")
    assert blocks[-1]["elements"][0]["url"].startswith("https://tasks.agency.example/admin/")
    assert task.pk in blocks[-1]["elements"][0]["url"]
    assert "4 h left" in blocks[4]["elements"][0]["text"] or "3 h 59 min left" in blocks[4]["elements"][0]["text"]
    assert {field["type"] for field in blocks[2]["fields"]} | {blocks[3]["text"]["type"]} == {"plain_text"}
    assert "<" not in message.json["text"]


def test_it_finds_a_block_that_slack_would_refuse() -> None:
    """Control: the vendor's check does fail."""
    long = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
    with pytest.raises(Exception, match="150"):
        check_blocks({"text": "x", "blocks": [long]})


def test_it_tells_those_whom_it_concerns_and_nobody_of_what_he_did_himself(
    mail: Mailbox, own: MakeChannel, make_task: NewTaskFactory, ana: Actor, sam: Actor, zoe: Actor
) -> None:
    for name in ("ana", "sam", "zoe"):
        own(name)
    own("cora", min_priority=4)
    task = make_task()
    relay.drain()
    assert sorted(to for to, _raw in mail.raw) == ["ana@agency.example", "sam@agency.example"]
    claim_task(task.pk, ana)
    comment_on_task(task.pk, ana, text="I look at it")
    relay.drain()
    assert len(mail.raw) == 2
    comment_on_task(task.pk, sam, text="@zoe, @ana: see the format")
    relay.drain()
    assert [to for to, _raw in mail.raw[2:]] == ["ana@agency.example"]
    assert "sam wrote a comment:" in text_of(mail.messages[2])
    assert "see the format" in text_of(mail.messages[2])
    assert not Delivery.objects.filter(endpoint__channel="email-zoe").exists()  # she may not see the task
    comment_on_task(task.pk, ana, text="@sam done")  # he does not hold it: the mention alone
    relay.drain()
    assert [to for to, _raw in mail.raw[3:]] == ["sam@agency.example"]


def test_it_asks_at_sending_time_who_may_still_see_the_task(
    mail: Mailbox, own: MakeChannel, make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    own("ana")
    make_task()
    relay.fan_out()
    TeamMembership.objects.filter(user=ana.user).delete()
    relay.drain()
    assert (mail.raw, Delivery.objects.get().status) == ([], "cancelled")
    # Control: without the question the message would have gone out.
    monkeypatch.setattr(Entitlement, "may_see", lambda *_: True)
    relay.redeliver([Delivery.objects.get().pk])
    relay.drain()
    assert len(mail.raw) == 1


def test_it_tells_nobody_who_was_deactivated_or_has_no_address(
    mail: Mailbox, own: MakeChannel, make_task: NewTaskFactory, people: dict[str, User]
) -> None:
    own("ana")
    own("sam")
    make_task()
    relay.fan_out()
    User.objects.filter(username="ana").update(is_active=False)
    User.objects.filter(username="sam").update(email="")
    relay.drain()
    make_task()
    relay.drain()
    assert mail.raw == []
    assert set(Delivery.objects.values_list("status", flat=True)) == {"cancelled"}
    assert Delivery.objects.filter(endpoint__channel="email-ana").count() == 1


def test_it_does_what_a_step_of_a_policy_says(receiver: Receiver, room: MakeChannel, make_task: NewTaskFactory) -> None:
    room(None, "ops-floor", event_types=["task.escalated"], min_priority=4)
    room(None, "other", event_types=[])
    policy = SLAPolicy.objects.create(name="quick", to_resolve_minutes=60)
    SLAStep.objects.create(policy=policy, at_percent=80, action="notify", channel="ops-floor")
    start = clock.now()
    make_task()
    with clock.at(start + timedelta(minutes=49)):
        sweep()
        relay.drain()
    told = Delivery.objects.filter(event_type="task.channel_notified")
    assert [row.endpoint.channel.pk for row in told] == ["ops-floor"]
    text = [message.json["text"] for message in receiver.messages if "policy" in message.json["text"]]
    assert len(text) == 1
    assert "at 80 %" in text[0]


def flood(make_task: NewTaskFactory, number: int) -> None:
    for _ in range(number):
        make_task()


@pytest.mark.parametrize(("burst", "messages"), [(5, 6), (1000, 40)])
def test_it_folds_a_flood_into_one_message_and_loses_nothing(
    receiver: Receiver,
    room: MakeChannel,
    make_task: NewTaskFactory,
    monkeypatch: pytest.MonkeyPatch,
    burst: int,
    messages: int,
) -> None:
    """The second case is the control: without the rule there are forty messages."""
    monkeypatch.setattr(people_relay, "BURST", burst)
    room()
    with clock.at(NOW):
        flood(make_task, 40)
        relay.drain()
        relay.drain()
        assert len(receiver.messages) == min(burst, 40)
    with clock.at(NOW + people_relay.WINDOW + timedelta(seconds=1)):
        relay.drain()
        relay.drain()
    assert len(receiver.messages) == messages
    told = Delivery.objects.filter(event__isnull=False)
    assert told.count() == 40
    if burst == 5:
        digest = Delivery.objects.get(event_type="digest")
        assert (told.filter(status="sent").count(), told.filter(folded_into=digest).count()) == (5, 35)
        payload = receiver.messages[-1].json
        check_blocks(payload)
        assert payload["text"].startswith("35 messages about 35 tasks in one")
        assert "and 15 more, in the queue" in str(payload["blocks"])


def test_it_tries_a_digest_again_until_it_arrives(
    room: MakeChannel, receiver: Receiver, make_task: NewTaskFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_relay, "BURST", 1)
    channel = room()
    with clock.at(NOW):
        flood(make_task, 4)
        relay.drain()
    with receiving() as gone:
        pass
    channel_services.change_channel(channel.pk, Actor(user=User.objects.get(username="root")), {}, address=gone.url)
    later = NOW + people_relay.WINDOW + timedelta(seconds=1)
    with clock.at(later):
        relay.drain()
    digest = Delivery.objects.get(event_type="digest")
    assert (digest.status, digest.attempts) == ("pending", 1)
    channel_services.change_channel(channel.pk, Actor(user=User.objects.get(username="root")), {}, address=receiver.url)
    with clock.at(later + timedelta(seconds=30)):
        relay.drain()
    assert Delivery.objects.get(event_type="digest").status == "sent"
    assert Delivery.objects.filter(status="folded").count() == 3
    assert "3 messages about 3 tasks" in receiver.messages[-1].json["text"]


def test_it_writes_each_try_anew_and_waits_for_the_server(
    own: MakeChannel, make_task: NewTaskFactory, settings: Settings
) -> None:
    with receiving_mail("451 4.3.0 try later", "550 5.7.1 no") as box:
        use(settings, box)
        own("ana")
        with clock.at(NOW):
            make_task()
            relay.drain()
        for hours in (1, 2):
            with clock.at(NOW + timedelta(hours=hours)):
                relay.drain()
        assert [attempt.status for attempt in Attempt.objects.all()] == [451, 550, 250]
        assert "1 d 22 h left" in text_of(box.messages[0])
    use(settings, box)
    make_task()
    relay.drain()
    last = Attempt.objects.order_by("pk").last()
    assert last is not None
    assert (last.status, last.error) == (None, "connect")
    assert Delivery.objects.order_by("pk").last().status == "pending"  # type: ignore[union-attr]


def test_it_keeps_the_address_of_a_room_encrypted(room: MakeChannel, receiver: Receiver) -> None:
    channel = room()
    endpoint = Endpoint.objects.get(channel=channel)
    assert "/hook" not in f"{endpoint.url} {endpoint.secrets}"
    assert endpoint.live_secrets(clock.now()) == [receiver.url]
    assert not Endpoint.objects.for_programs().exists()


def test_it_costs_no_more_queries_with_more_people(
    mail: Mailbox, own: MakeChannel, make_task: NewTaskFactory, people: dict[str, User]
) -> None:
    """Whom news concerns is judged in memory; here it concerns one of three people, then one of eleven."""
    counts = []
    own("ana")
    for more in (2, 8):
        for number in range(more):
            person = User.objects.create(username=f"p{more}-{number}", email="p@agency.example")
            people[person.username] = person
            add_to_team(person, "compliance")
            own(person.username)
        make_task()
        with CaptureQueriesContext(connection) as captured:
            relay.fan_out()
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_it_withdraws_nothing_from_the_log_of_programs(
    mail: Mailbox, own: MakeChannel, make_task: NewTaskFactory, bot: Actor, ana: Actor
) -> None:
    """An outcome that did not reach a person is no outcome that an adapter did not hear of."""
    own("ana")
    task = make_task()
    claim_task(task.pk, ana)
    withdraw_task(task.pk, bot)
    relay.fan_out()
    Delivery.objects.update(status="failed", next_attempt_at=None)
    assert not Delivery.objects.undelivered_outcomes().exists()
