"""Positions in the feed while commits are slow, with real connections.

PostgreSQL shows the race. SQLite has one writer at a time: there a slow commit holds the others up, and nobody
overtakes it.
"""

import threading

import pytest
from django.db import connection, transaction

from tasks_app import events
from tasks_app.actors import Actor
from tasks_app.models import EventOutbox, TaskEvent
from tasks_app.services import NewTask, open_task
from tasks_app.trail import verify

NEW = NewTask("creative_approval", "acme_corp")
OVERTAKES = connection.vendor == "postgresql"
PATIENCE = 30.0


class SlowWriter(threading.Thread):
    """Opens a task, and commits only when it is told to."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor, self.wrote, self.may_commit = actor, threading.Event(), threading.Event()

    def run(self) -> None:
        try:
            with transaction.atomic():
                open_task(NEW, self.actor)
                self.wrote.set()
                assert self.may_commit.wait(PATIENCE)
        finally:
            connection.close()


class Reader:
    """Reads the feed bit by bit and remembers how far it came, once by position and once by id."""

    def __init__(self) -> None:
        self.position = self.id = 0
        self.by_position: list[str] = []
        self.by_id: list[str] = []

    def read(self) -> None:
        with transaction.atomic():
            events.assign_positions()
        outbox = EventOutbox.objects.values_list("event_id", "position", "id")
        for event_id, position, _pk in outbox.filter(position__gt=self.position).order_by("position"):
            self.by_position.append(event_id)
            self.position = position or 0
        for event_id, _position, pk in outbox.filter(id__gt=self.id).order_by("id"):
            self.by_id.append(event_id)
            self.id = pk


@pytest.mark.django_db(transaction=True)
def test_it_never_loses_an_event_behind_a_slow_commit(bot: Actor) -> None:
    slow, reader = SlowWriter(bot), Reader()
    slow.start()
    assert slow.wrote.wait(PATIENCE)
    if OVERTAKES:
        open_task(NEW, bot)
        reader.read()
    slow.may_commit.set()
    slow.join(PATIENCE)
    assert not slow.is_alive()
    reader.read()
    open_task(NEW, bot)
    reader.read()
    every_one = set(TaskEvent.objects.values_list("event_id", flat=True))
    assert set(reader.by_position) == every_one
    assert len(reader.by_position) == len(every_one)
    positions = EventOutbox.objects.order_by("position").values_list("position", flat=True)
    assert list(positions) == list(range(1, len(every_one) + 1)), "without a gap"
    if OVERTAKES:
        assert len(every_one - set(reader.by_id)) == 1, "the control: who reads by id loses the slow one"


@pytest.mark.django_db(transaction=True)
def test_it_gives_each_position_once_to_two_assigners(bot: Actor) -> None:
    for _ in range(40):
        open_task(NEW, bot)
    ready = threading.Barrier(4)

    def assign() -> None:
        try:
            ready.wait(PATIENCE)
            while True:
                with transaction.atomic():
                    if not events.assign_positions(limit=3):
                        return
        finally:
            connection.close()

    threads = [threading.Thread(target=assign) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert list(EventOutbox.objects.order_by("id").values_list("position", flat=True)) == list(range(1, 41))


@pytest.mark.django_db(transaction=True)
def test_it_verifies_one_moment_while_others_write(bot: Actor) -> None:
    """A verification outside any transaction reads one snapshot, and holds nobody up on either database."""
    open_task(NEW, bot)
    slow = SlowWriter(bot)
    slow.start()
    assert slow.wrote.wait(PATIENCE)
    report = verify.verify()
    slow.may_commit.set()
    slow.join(PATIENCE)
    assert report.sound, report.findings
    assert (report.events, verify.verify().events) == (1, 2)
