"""Killed, cut off and started again, with real processes: nothing committed is lost, nothing else is sent.

Small on every run; with HITL_TEST_PROFILE=nightly the figures of docs/security.md (tests/profile.py). Receivers record
what reaches them. A repeated message has to carry the same id and the same bytes.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from auditlog.models import LogEntry
from django.db import connection
from pytest_django import Settings

from core import clock
from notifications import relay
from notifications.models import Delivery
from notifications.relay.draining import AHEAD
from notifications.relay.sender import CONNECTIONS
from tasks_app import tokens
from tasks_app.models import EventOutbox, HumanTask, Principal, TaskEvent, User
from tests.cast import NewTaskFactory
from tests.concurrency.test_claims_over_http import exchange, served
from tests.faults.failpoints import POINTS, UNBORN
from tests.faults.test_relay_faults import CREATED, PATIENCE, in_thread, wait_until
from tests.jobs.receiver import Answer, Receiver, receiving
from tests.jobs.relay_fixtures import EndpointFactory
from tests.profile import NIGHTLY, scaled

ENDPOINTS = 10
DELIVERIES = scaled("DELIVERIES", 200, 10_000)
KILLS = scaled("KILLS", 2, 20)
CREATES = scaled("CREATES", 40, 2_000)
WEB_KILLS = scaled("WEB_KILLS", 2, 20)
FAILURES = scaled("FAILPOINTS", 2, 50)
NEIGHBOURS = scaled("NEIGHBOURS", 15, 200)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


class Fleet:
    """Two workers that drain for ever, one of which is killed and replaced now and then."""

    def __init__(self, lease_seconds: float) -> None:
        name = str(connection.settings_dict["NAME"])
        self._command = [sys.executable, "-m", "tests.faults.drain_process", name, str(lease_seconds), "forever"]
        self._workers = [subprocess.Popen(self._command) for _ in range(2)]

    def kill_one(self) -> None:
        victim = self._workers.pop(0)
        victim.kill()
        victim.wait()
        self._workers.append(subprocess.Popen(self._command))

    def stop(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()


@contextmanager
def fleet(lease_seconds: float = 2.0) -> Iterator[Fleet]:
    workers = Fleet(lease_seconds)
    try:
        yield workers
    finally:
        workers.stop()


def same_bytes(receiver: Receiver) -> Counter[tuple[str, str]]:
    """How often each message (path and id) came; each time with the same bytes."""
    bodies: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for message in receiver.messages:
        bodies[message.path, message.id].add(message.body)
    assert all(len(found) == 1 for found in bodies.values()), "a repeated message has other bytes"
    return Counter((message.path, message.id) for message in receiver.messages)


def all_sent() -> bool:
    return not Delivery.objects.exclude(status="sent").exists() and Delivery.objects.count() == DELIVERIES


def test_it_loses_nothing_to_killed_workers(make_task: NewTaskFactory, endpoint_at: EndpointFactory) -> None:
    dice = random.Random(7)
    with receiving(otherwise=Answer(after=0.02 if NIGHTLY else 0.2)) as receiver:
        for number in range(ENDPOINTS):
            endpoint_at(f"{receiver.url}/{number}", event_types=CREATED)
        for _ in range(DELIVERIES // ENDPOINTS):
            make_task()
        with fleet() as workers:
            hits = 0
            for _ in range(KILLS):
                before = len(receiver.messages)
                wait_until(lambda before=before: len(receiver.messages) > before or all_sent())  # type: ignore[misc]
                hits += not all_sent()
                time.sleep(dice.uniform(0.0, 0.5) if NIGHTLY else 0.05)
                workers.kill_one()
            assert wait_until(all_sent, 600.0)
        counts = same_bytes(receiver)
    repeated = counts.total() - len(counts)
    print(f"\n{connection.vendor}: {len(counts)} messages, {KILLS} kills ({hits} in mid-work), {repeated} repeated")
    assert len(counts) == DELIVERIES
    assert hits
    assert repeated <= KILLS * AHEAD * CONNECTIONS


def delivered_after_a_kill(make_task: NewTaskFactory, endpoint_at: EndpointFactory, *modes: str) -> int:
    """A worker is killed while its receiver hangs; how many of 12 messages does another one deliver afterwards?"""
    command = [sys.executable, "-m", "tests.faults.drain_process", str(connection.settings_dict["NAME"]), "1.0", *modes]
    with receiving(otherwise=Answer(after=PATIENCE)) as receiver:
        endpoint_at(receiver.url, event_types=CREATED)
        for _ in range(12):
            make_task()
        process = subprocess.Popen(command)
        arrived = wait_until(lambda: len(receiver.messages) >= 3)
        process.kill()
        process.wait()
        assert arrived
        receiver.otherwise = Answer()
        before = len(receiver.messages)
        with clock.at(clock.now() + timedelta(minutes=1)):
            relay.drain()
        return len({message.id for message in receiver.messages[before:]})


@pytest.mark.parametrize(("mode", "all_of_them"), [("", True), ("marks-first", False)], ids=["ours", "control"])
def test_it_would_lose_some_if_it_marked_them_first(
    mode: str, all_of_them: bool, make_task: NewTaskFactory, endpoint_at: EndpointFactory
) -> None:
    assert (delivered_after_a_kill(make_task, endpoint_at, mode) == 12) is all_of_them


def die_at(*points: str, runs: int) -> None:
    command = [sys.executable, "-m", "tests.faults.failpoints", str(connection.settings_dict["NAME"]), str(runs)]
    done = subprocess.run([*command, *points], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def sweep_later() -> None:
    """Another process finds what is left, after every lease has ended."""
    with clock.at(clock.now() + timedelta(minutes=5)):
        relay.drain()


def test_it_loses_nothing_and_invents_nothing_at_six_failpoints(
    people: dict[str, User], principals: dict[str, Principal], endpoint_at: EndpointFactory
) -> None:
    with receiving() as receiver:
        endpoint_at(receiver.url, event_types=CREATED)
        die_at(runs=FAILURES)
        sweep_later()
        counts = same_bytes(receiver)
    expected = dict.fromkeys((point for point in POINTS if point not in UNBORN), FAILURES)
    assert Counter(HumanTask.objects.values_list("operation", flat=True)) == expected
    events = set(TaskEvent.objects.values_list("event_id", flat=True))
    assert {message_id for _path, message_id in counts} == events, "lost, or sent without a task"
    assert len(events) == 4 * FAILURES == EventOutbox.objects.count()
    assert LogEntry.objects.filter(object_pk__startswith="task_").count() == len(events)
    repeated = counts.total() - len(counts)
    print(f"\n{connection.vendor}: {FAILURES} deaths at each of {len(POINTS)} points, {repeated} repeated")


def test_what_died_after_its_commit_is_found_by_the_sweep_alone(
    people: dict[str, User], principals: dict[str, Principal], endpoint_at: EndpointFactory
) -> None:
    """The control: a system that sends from its commit hook has lost it here."""
    with receiving() as receiver:
        endpoint_at(receiver.url, event_types=CREATED)
        die_at("after commit", runs=1)
        assert not receiver.messages
        sweep_later()
        assert len(receiver.messages) == 1


def test_every_answer_has_its_event_though_web_processes_are_killed(
    settings: Settings, people: dict[str, User], principals: dict[str, Principal], tmp_path: Path
) -> None:
    token = tokens.issue("bot", people["bot"], principals=[principals["acme_corp"]])[1]
    headers = {"Authorization": f"Bearer {token}"}
    body = {"task_type": "creative_approval", "principal_id": "acme_corp"}
    answers: list[int] = []
    cut_off: list[str] = []
    killing = threading.Event()
    killing.set()
    dice = random.Random(11)

    def create() -> None:
        while killing.is_set() or len(answers) < CREATES:
            try:
                answers.append(exchange(server.port, "POST", "/api/v1/tasks/", body, headers)[0])
            except OSError as error:
                cut_off.append(type(error).__name__)

    with served(tmp_path) as server:
        threads = [in_thread(create) for _ in range(4)]
        for kills in range(WEB_KILLS):
            target = (kills + 1) * CREATES // (WEB_KILLS + 1)
            assert wait_until(lambda target=target: len(answers) >= target)  # type: ignore[misc]
            workers = server.workers()
            if workers:
                os.kill(dice.choice(workers), signal.SIGKILL)
        killing.clear()
        for thread in threads:
            thread.join()
    print(f"\n{connection.vendor}: {Counter(answers)}, {WEB_KILLS} kills cut off {Counter(cut_off)}")
    assert set(answers) == {201}
    tasks = set(HumanTask.objects.values_list("pk", flat=True))
    assert len(answers) <= len(tasks) <= len(answers) + len(cut_off)
    for what, found in (
        ("event", TaskEvent.objects.values_list("task_id", flat=True)),
        ("outbox row", EventOutbox.objects.values_list("event__task_id", flat=True)),
        ("audit entry", LogEntry.objects.filter(object_pk__startswith="task_").values_list("object_pk", flat=True)),
    ):
        assert Counter(found) == dict.fromkeys(tasks, 1), what


def test_it_serves_eight_healthy_receivers_beside_a_hanging_and_a_failing_one(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory
) -> None:
    hanging, failing = Answer(after=PATIENCE), Answer(500)
    done = threading.Event()

    def drains() -> None:
        while not done.is_set():
            relay.drain()
            time.sleep(0.02)

    with receiving(otherwise=hanging) as bad, receiving(otherwise=failing) as worse, several(8) as healthy:
        for receiver in (bad, worse, *healthy):
            endpoint_at(receiver.url, event_types=CREATED)
        worker = in_thread(drains)
        made: dict[str, float] = {}
        try:
            for _ in range(NEIGHBOURS):
                made[make_task().pk] = time.monotonic()
                time.sleep(0.02)
            served_all = wait_until(lambda: all(len(receiver.messages) >= NEIGHBOURS for receiver in healthy))
        finally:
            bad.otherwise = Answer()
            bad.released.set()
            done.set()
            worker.join()
        waits = sorted(
            message.at - made[message.json["data"]["task_id"]] for receiver in healthy for message in receiver.messages
        )
        held = len(bad.messages)
    p95 = waits[int(0.95 * len(waits))]
    median = waits[len(waits) // 2]
    print(f"\n{connection.vendor}: {len(waits)} to 8 healthy receivers: median {median:.3f} s, p95 {p95:.3f} s")
    assert served_all
    assert held, "the hanging one was not asked at all"
    assert len(waits) == 8 * NEIGHBOURS


@contextmanager
def several(count: int) -> Iterator[list[Receiver]]:
    if not count:
        yield []
        return
    with receiving() as one, several(count - 1) as others:
        yield [one, *others]
