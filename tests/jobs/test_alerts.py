"""The watch: each kind of rule begins once, ends once, and is told where the rule says."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import clock
from notifications import alerts, channel_services, jobs, relay
from notifications.channel_services import NewChannel
from notifications.models import Alert, AlertRule, Delivery, Endpoint
from notifications.relay import people as people_relay
from tasks_app.actors import Actor
from tasks_app.metrics import collect, note_sweep
from tasks_app.models import HumanTask, Team
from tasks_app.services import Decision, claim_task, decide_task, withdraw_task
from tests.cast import NewTaskFactory
from tests.jobs.receiver import Receiver
from tests.jobs.relay_fixtures import EndpointFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
Told = Callable[[], list[tuple[str, str]]]


@pytest.fixture(autouse=True)
def _swept() -> None:
    note_sweep(NOW + timedelta(days=30))


@pytest.fixture
def told(root: Actor, receiver: Receiver) -> Told:
    """A room that every rule tells; what it heard, as header and sentence."""
    new = NewChannel("room", "Room", "slack", receiver.url, event_types=["task.completed"])
    channel = channel_services.create_channel(new, root)
    for rule in AlertRule.objects.all():
        rule.channels.add(channel)

    def heard() -> list[tuple[str, str]]:
        relay.drain()
        return [(m.json["blocks"][0]["text"]["text"], m.json["blocks"][1]["text"]["text"]) for m in receiver.messages]

    return heard


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def look(minutes: float) -> int:
    with clock.at(at(minutes)):
        return alerts.look(at(minutes))


def open_ones(slug: str) -> list[Alert]:
    return list(Alert.objects.filter(rule=slug, closed_at__isnull=True).order_by("pk"))


def test_it_comes_with_a_rule_of_each_kind() -> None:
    assert set(AlertRule.objects.values_list("kind", flat=True)) == set(AlertRule.Kind.values) == set(alerts.WATCHERS)
    assert all(AlertRule.objects.values_list("enabled", flat=True))


def test_it_tells_of_a_task_of_high_priority_until_somebody_takes_it(
    told: Told, make_task: NewTaskFactory, ana: Actor
) -> None:
    with clock.at(NOW):
        make_task(priority=2)
        task = make_task(priority=3)
    for minutes in (0, 1, 2):
        look(minutes)
    [alert] = open_ones("high-priority")
    assert (alert.task_id, alert.text) == (
        task.pk,
        "Creative approval for Acme Corp (High) waits for somebody to take it",
    )
    with clock.at(at(3)):
        assert told() == [("Alert: A task of high priority waits", f"{alert.text}.")]
        claim_task(task.pk, ana)
    for minutes in (4, 5):
        look(minutes)
    with clock.at(at(5)):
        over = f"It is over: {alert.text}. It lasted 4 min."
        assert told()[1:] == [("Over: A task of high priority waits", over)]
    assert not open_ones("high-priority")


def test_it_tells_of_an_overdue_task_until_it_ends(told: Told, make_task: NewTaskFactory, bot: Actor) -> None:
    with clock.at(NOW):
        task = make_task(priority=2, due_in_hours=1)
    assert look(59) == 0
    assert [look(61), look(62), look(63)] == [1, 0, 0]
    with clock.at(at(64)):
        withdraw_task(task.pk, bot)
    assert [look(64), look(65)] == [1, 0]
    with clock.at(at(65)):
        assert [header for header, _text in told()] == ["Alert: A task is overdue", "Over: A task is overdue"]


def test_two_watches_whose_clocks_differ_begin_and_end_an_episode_once(
    told: Told, make_task: NewTaskFactory, bot: Actor
) -> None:
    with clock.at(NOW):
        task = make_task(priority=2, due_in_hours=1)
    # They look in turn while the deadline passes; the first one's clock is half a minute ahead.
    assert [look(60 + minutes) for minutes in (0.25, -0.25, 0.5, 0, 0.75, 0.25)] == [1, 0, 0, 0, 0, 0]
    with clock.at(at(64)):
        withdraw_task(task.pk, bot)
    assert [look(64.5), look(64)] == [1, 0]
    with clock.at(at(65)):
        assert [header for header, _text in told()] == ["Alert: A task is overdue", "Over: A task is overdue"]


def test_it_tells_of_a_burst_of_failures_per_adapter_and_operation(
    told: Told, make_task: NewTaskFactory, tom: Actor
) -> None:
    failing: dict[str, Any] = {"adapter_name": "kevel", "operation": "create_flight"}
    AlertRule.objects.exclude(slug="failures").update(enabled=False)
    with clock.at(NOW):
        for _ in range(2):
            make_task("configuration_required", error_detail="timeout", **failing)
        for _ in range(2):  # three reports folded into one task
            make_task("configuration_required", error_detail="timeout", dedup_key="k", **failing)
        make_task("configuration_required", error_detail="timeout", adapter_name="kevel", operation="other")
        make_task("configuration_required", **failing)  # no error: it only asks
        for _ in range(9):  # to be judged, not repaired
            make_task("creative_approval", error_detail="not auto-approved", **failing)
        ended = make_task("configuration_required", **failing)
    assert look(1) == 0
    with clock.at(at(2)):
        decide_task(ended.pk, tom, Decision("cannot_complete", "no credentials"))
    assert [look(2), look(3)] == [1, 0]
    [alert] = open_ones("failures")
    assert alert.text == "5 failures of create_flight (kevel) within 15 minutes"
    assert look(14) == 0  # still five
    assert look(16) == 1  # one is left of five: over
    with clock.at(at(16)):
        assert [header for header, _text in told()] == [
            "Alert: Operations fail in a burst",
            "Over: Operations fail in a burst",
        ]


def test_it_does_not_flutter_around_the_threshold(make_task: NewTaskFactory) -> None:
    AlertRule.objects.exclude(slug="failures").update(enabled=False)
    AlertRule.objects.filter(slug="failures").update(threshold=4)
    for minute in (0, 0, 5, 10):
        with clock.at(at(minute)):
            make_task("configuration_required", error_detail="timeout")
    assert look(10.5) == 1
    assert look(15.5) == 0  # two of four are left
    with clock.at(at(16)):
        for _ in range(2):
            make_task("configuration_required", error_detail="timeout")
    assert look(16.5) == 0
    assert Alert.objects.count() == 1


def test_it_tells_of_a_receiver_that_fails_until_it_answers(told: Told, endpoint_at: EndpointFactory) -> None:
    endpoint = endpoint_at("http://127.0.0.1:1/", description="the adapter")
    endpoint.failing_since = NOW
    endpoint.save()
    assert [look(9), look(11), look(12)] == [0, 1, 0]
    assert open_ones("endpoint-failing")[0].text == "Nothing arrives at the adapter"
    endpoint.disable(Endpoint.Disabled.GONE, now=at(13))
    endpoint.save()
    assert look(13) == 0
    endpoint.enable()
    endpoint.save()
    assert [look(14), look(15)] == [1, 0]
    with clock.at(at(15)):
        assert [header for header, _text in told()] == ["Alert: A receiver fails", "Over: A receiver fails"]


def test_it_tells_of_messages_that_pile_up(make_task: NewTaskFactory, endpoint_at: EndpointFactory) -> None:
    AlertRule.objects.filter(slug="outbox-growing").update(threshold=3)
    endpoint = endpoint_at("http://127.0.0.1:1/", event_types=["task.created"])
    with clock.at(NOW):
        for _ in range(3):
            make_task()
    assert [look(4), look(6), look(7)] == [0, 1, 0]  # events that nobody dispatched
    with clock.at(at(7)):
        relay.fan_out()
    assert look(8) == 1  # messages, but young ones
    assert look(13) == 1
    endpoint.failing_since = at(13)
    endpoint.save()
    assert look(14) == 1  # that is the receiver's own alert
    assert Alert.objects.filter(rule="outbox-growing").count() == 2


def test_it_tells_of_silent_timers_whenever_anything_happens(make_task: NewTaskFactory) -> None:
    """A nudge after a commit drains the outbox, and looks: also when beat is dead."""
    AlertRule.objects.exclude(slug="timers-silent").update(enabled=False)
    note_sweep(NOW)
    with clock.at(at(1)):
        jobs.drain()
    with clock.at(at(3)):
        jobs.drain()
        jobs.drain()
    [alert] = open_ones("timers-silent")
    assert alert.text == "Timers have not run since 2026-03-02 09:00 UTC: beat or the worker is gone"
    note_sweep(at(4))
    with clock.at(at(4)):
        jobs.drain()
    assert not open_ones("timers-silent")


def test_it_looks_once_in_fifteen_seconds_whoever_asks(make_task: NewTaskFactory) -> None:
    looks = []
    for seconds in (0, 5, 14, 15, 20, 31):
        with clock.at(NOW + timedelta(seconds=seconds)):
            make_task(priority=4)
            looks.append(alerts.watch())
    assert looks == [1, 0, 0, 3, 0, 2]


def test_it_ends_without_a_word_what_a_rule_found_that_is_switched_off(told: Told, make_task: NewTaskFactory) -> None:
    with clock.at(NOW):
        make_task(priority=4)
    look(1)
    AlertRule.objects.update(enabled=False)
    look(2)
    assert not Alert.objects.filter(closed_at__isnull=True).exists()
    with clock.at(at(3)):
        assert len(told()) == 1


def test_it_folds_a_flood_of_alerts(
    told: Told, make_task: NewTaskFactory, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clock.at(NOW):
        for _ in range(12):
            make_task(priority=4)
        alerts.look(NOW)
        assert len(told()) == people_relay.BURST
    with clock.at(NOW + people_relay.WINDOW + timedelta(seconds=1)):
        last = told()[-1]
    assert last[0] == "7 messages about 7 tasks in one"
    assert "Alert: Creative approval for Acme Corp (Urgent) waits" in str(receiver.messages[-1].json)


def test_it_shows_a_team_alerts_about_its_own_tasks_alone(
    told: Told, make_task: NewTaskFactory, receiver: Receiver
) -> None:
    channel = AlertRule.objects.get(slug="high-priority").channels.get()
    channel.team = Team.objects.get(pk="compliance")
    channel.save()
    with clock.at(NOW):
        make_task("creative_approval", priority=4)
        make_task("compliance_review", priority=4)
        alerts.look(NOW)
        assert [text for _header, text in told()] == [
            "Compliance review for Acme Corp (Urgent) waits for somebody to take it."
        ]
    assert set(Delivery.objects.values_list("status", flat=True)) == {"sent", "cancelled"}


def test_it_stops_no_other_rule_when_one_fails(
    make_task: NewTaskFactory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts.Failures, "begun", lambda *_: 1 / 0)
    with clock.at(NOW):
        make_task(priority=4)
    assert look(1) == 1
    assert "alert rule failures could not be looked at" in caplog.text


def test_it_costs_the_same_beside_more_closed_and_open_tasks(make_task: NewTaskFactory, bot: Actor) -> None:
    counts = []
    for number in (2, 8):
        with clock.at(NOW):
            for _ in range(number):
                withdraw_task(make_task(priority=4).pk, bot)
                make_task(priority=2)
        look(1)
        with CaptureQueriesContext(connection) as captured:
            look(2)
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_it_is_counted_in_the_metrics(make_task: NewTaskFactory) -> None:
    with clock.at(NOW):
        make_task(priority=4)
    look(1)
    figures = {
        (metric.name, *sample.labels.values()): sample.value for metric in collect(at(1)) for sample in metric.samples
    }
    assert figures["open_alerts", "high-priority"] == 1
    assert figures["open_alerts", "overdue"] == 0
    assert figures["outbox_events",] == 1
    assert figures["undelivered_outcomes",] == 0
    assert HumanTask.objects.count() == 1
