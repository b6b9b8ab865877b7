"""Two watches at once: an episode begins and is told once. The rule's lock does it; the database promises it."""

import threading
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from pytest_django import Settings

from core import clock
from notifications import alerts, channel_services
from notifications.channel_services import NewChannel
from notifications.models import Alert, AlertRule, Delivery
from tasks_app.actors import Actor
from tasks_app.metrics import note_sweep
from tests.cast import NewTaskFactory
from tests.concurrency.contest import all_at_once, crashes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("guards", ["lock", "database alone", "none"])
def test_it_begins_and_tells_an_episode_once(
    make_task: NewTaskFactory, root: Actor, monkeypatch: pytest.MonkeyPatch, settings: Settings, guards: str
) -> None:
    """With the lock one watch finds it. Without, both do, and the unique key stops the second. Without both guards, the
    control: it begins twice. (On SQLite writers wait for each other from BEGIN on.)"""
    settings.HITL_ALLOW_PRIVATE_HOSTS = ["127.0.0.1"]
    note_sweep(clock.now())
    channel = channel_services.create_channel(NewChannel("room", "Room", "slack", "http://127.0.0.1:9/x"), root)
    AlertRule.objects.get(slug="high-priority").channels.add(channel)
    make_task(priority=4)
    met, found, begun = threading.Barrier(2, timeout=1), [], alerts.HighPriority.begun

    def both_look_first(self: Any, rule: AlertRule, now: Any) -> list[alerts.Finding]:
        findings = list(begun(self, rule, now))
        found.extend(findings)
        with suppress(threading.BrokenBarrierError):
            met.wait()
        if guards == "none":  # subjects of one's own: the unique key never meets
            findings = [alerts.Finding(f"{threading.get_ident()}", one.text, one.task_id) for one in findings]
        return findings

    monkeypatch.setattr(alerts.HighPriority, "begun", both_look_first)
    if guards != "lock":
        monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **kwargs: self)
    now = clock.now()
    outcomes = all_at_once([lambda: alerts.look(now), lambda: alerts.look(now)])
    assert crashes(outcomes) == []
    races = guards == "none" or (guards == "database alone" and connection.vendor == "postgresql")
    assert len(found) == (2 if races else 1)
    told = Delivery.objects.filter(event_type="alert.opened").count()
    assert Alert.objects.count() == told == (2 if guards == "none" else 1)
