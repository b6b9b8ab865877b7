"""What may go wrong between an event and its receiver: crashes, twins, receivers that hang, brokers that are away."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import Q
from pytest_django import Settings

from core import clock
from core.bulk import update_columns
from notifications import relay
from notifications.models import Attempt, Delivery, DeliveryQuerySet
from notifications.relay import draining, leases, outcomes, sender
from tasks_app.states import EventType
from tests.cast import NewTaskFactory
from tests.jobs.receiver import Answer, Receiver, receiving
from tests.jobs.relay_fixtures import EndpointFactory

pytestmark = pytest.mark.django_db(transaction=True)
CREATED = [str(EventType.CREATED)]
PATIENCE = 60.0


def wait_until(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Whether the condition came true before patience ended."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Run `work` on connections of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def two_drains() -> None:
    """Two at once, as in two processes: past the lock that lets one drain run in each."""

    def one() -> None:
        with draining.Drain() as drain:
            drain.run(10.0)
            drain.finish()

    for thread in [in_thread(one), in_thread(one)]:
        thread.join()


def due_whoever_has_it(self: DeliveryQuerySet, now: Any) -> DeliveryQuerySet:
    """`due` without its look at leases."""
    return self.filter(Q(next_attempt_at__lte=now), status=Delivery.Status.PENDING)


def sent_once(receiver: Receiver, deliveries: int) -> None:
    counts = Counter(message.id for message in receiver.messages)
    assert len(counts) == deliveries
    assert set(counts.values()) == {1}


def test_it_sends_once_though_two_drains_run(make_task: NewTaskFactory, endpoint_at: EndpointFactory) -> None:
    with receiving(otherwise=Answer(after=0.05)) as receiver:
        endpoint_at(receiver.url, event_types=CREATED)
        for _ in range(40):
            make_task()
        two_drains()
        sent_once(receiver, 40)
    assert Attempt.objects.count() == 40


def test_it_would_send_twice_without_leases(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeliveryQuerySet, "due", due_whoever_has_it)
    with receiving(otherwise=Answer(after=0.3)) as receiver:
        endpoint_at(receiver.url, event_types=CREATED)
        for _ in range(10):
            make_task()
        two_drains()
        with pytest.raises(AssertionError):
            sent_once(receiver, 10)


def test_it_sends_again_when_a_lease_ends_without_an_outcome(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory
) -> None:
    with receiving() as receiver:
        endpoint_at(receiver.url, event_types=CREATED)
        make_task()
        relay.fan_out()
        start = clock.now()
        [lost] = relay.lease_due()
        assert relay.lease_due() == []
        assert relay.drain() == 0
        with clock.at(start + leases.lease_time() + timedelta(seconds=1)):
            assert relay.drain() == 1
        [message] = receiver.messages
    assert (message.id, message.body) == (lost.parcel.message_id, lost.parcel.body)


def late_outcome(make_task: NewTaskFactory, endpoint_at: EndpointFactory) -> None:
    """A drain that was thought dead reports a failure after another one has delivered."""
    with receiving() as receiver:
        endpoint_at(receiver.url, event_types=CREATED)
        make_task()
        relay.fan_out()
        start = clock.now()
        [slow] = relay.lease_due()
        with clock.at(start + leases.lease_time() + timedelta(seconds=1)):
            relay.drain()
            assert relay.settle([relay.Try(slow, 70.0, error="timeout")]) == 0
    assert Delivery.objects.get().status == "sent"


def test_it_does_not_count_an_outcome_after_its_lease(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, caplog: pytest.LogCaptureFixture
) -> None:
    late_outcome(make_task, endpoint_at)
    assert "after their lease had ended" in caplog.text
    assert Attempt.objects.count() == 2


def test_it_would_count_it_without_the_check_of_the_lease(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, monkeypatch: pytest.MonkeyPatch
) -> None:

    def unchecked(model: Any, rows: Any, *, where: Any, also: Any) -> int:
        rows = [{name: value for name, value in row.items() if name != "lease"} for row in rows]
        return update_columns(model, rows, where=("delivery_id",), also=also)

    monkeypatch.setattr(outcomes, "update_columns", unchecked)
    with pytest.raises(AssertionError):
        late_outcome(make_task, endpoint_at)


@pytest.fixture
def slow_deadline(settings: Settings) -> None:
    settings.HITL_WEBHOOK_TIMEOUT = PATIENCE


def healthy_beside_hanging(make_task: NewTaskFactory, endpoint_at: EndpointFactory, patience: float) -> bool:
    """Whether two healthy receivers had everything while a third one still held all its requests."""
    with receiving(otherwise=Answer(after=PATIENCE)) as hanging, receiving() as first, receiving() as second:
        for receiver in (hanging, first, second):
            endpoint_at(receiver.url, event_types=CREATED)
        for _ in range(30):
            make_task()
        drain = in_thread(relay.drain)
        served = wait_until(lambda: len(first.messages) == len(second.messages) == 30, patience)
        held = len(hanging.messages)
        hanging.otherwise = Answer()
        hanging.released.set()
        drain.join()
        assert held
        return served


@pytest.mark.usefixtures("slow_deadline")
def test_it_serves_healthy_receivers_beside_one_that_hangs(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory
) -> None:
    assert healthy_beside_hanging(make_task, endpoint_at, PATIENCE)
    assert Delivery.objects.filter(status="sent").count() == 90


@pytest.mark.usefixtures("slow_deadline")
def test_it_would_starve_them_without_a_limit_per_receiver(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "CONNECTIONS", 4)
    monkeypatch.setattr(draining, "FIRST_WINDOW", 80)
    monkeypatch.setattr(sender, "CONNECTIONS", 4)
    assert not healthy_beside_hanging(make_task, endpoint_at, patience=5.0)


@pytest.mark.usefixtures("slow_deadline")
def test_a_second_drain_hands_its_work_to_the_one_that_waits(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory
) -> None:
    with receiving(otherwise=Answer(after=PATIENCE)) as hanging, receiving() as healthy:
        endpoint_at(hanging.url, event_types=CREATED, min_priority=4)
        endpoint_at(healthy.url, event_types=CREATED)
        make_task(priority=4)
        drain = in_thread(relay.drain)
        assert wait_until(lambda: len(hanging.messages) == 1 and len(healthy.messages) == 1)
        make_task(priority=1)
        assert relay.drain() == 0
        assert wait_until(lambda: len(healthy.messages) == 2)
        assert len(hanging.messages) == 1
        hanging.released.set()
        drain.join()


def test_it_leaves_a_failing_receiver_alone_for_a_while(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory
) -> None:
    with receiving(otherwise=Answer(500)) as receiver:
        endpoint = endpoint_at(receiver.url, event_types=CREATED)
        for _ in range(40):
            make_task()
        start = clock.now()
        with clock.at(start):
            relay.drain()
        failed = len(receiver.messages)
        assert leases.BREAKER <= failed < 40
        with clock.at(start + timedelta(seconds=29)):
            assert relay.drain() == 0
        receiver.otherwise = Answer()
        with clock.at(start + timedelta(seconds=61)):
            assert relay.drain() == 40
    endpoint.refresh_from_db()
    assert endpoint.failures_in_a_row == 0
