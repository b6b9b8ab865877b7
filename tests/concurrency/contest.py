"""Tools for races: threads that start at one moment, their outcomes, and ways to take the lock away."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import close_old_connections, connection, connections

from core import prepared
from core.sqlite.base import DatabaseWrapper as SQLite
from tasks_app.exceptions import TaskError
from tasks_app.models.task import TaskQuerySet
from tests.profile import scaled

RACES = scaled("RACES", 60, 1000)

Outcome = Any  # what the call returned, or the exception that it raised


def all_at_once(calls: Sequence[Callable[[], Any]], *, seconds: float = 240.0) -> list[Outcome]:
    """Run each call in a thread with its own database connection, from one starting gun; return their outcomes."""
    outcomes: list[Outcome] = [None] * len(calls)
    gun = threading.Barrier(len(calls))

    def run(place: int, call: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            gun.wait(seconds)
            outcomes[place] = call()
        except Exception as error:
            outcomes[place] = error  # judged by the test, in the main thread
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs: a deadlock?"
    close_old_connections()
    return outcomes


def crashes(outcomes: Sequence[Outcome]) -> list[Exception]:
    """The outcomes that are no answers: anything raised but the domain's own refusals."""
    return [outcome for outcome in outcomes if isinstance(outcome, Exception) and not isinstance(outcome, TaskError)]


@contextmanager
def without_locks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take the row locks away, and on SQLite the lock at BEGIN: what is left is read, change, save."""
    with monkeypatch.context() as patch:
        patch.setattr(TaskQuerySet, "select_for_update", lambda self, **kwargs: self.all())
        patch.setattr(SQLite, "_start_transaction_under_autocommit", lambda self: self.cursor().execute("BEGIN"))
        prepared.forget()
        try:
            yield
        finally:
            prepared.forget()


class Meeting:
    """Where two threads wait for each other between reading and writing: then no race is a matter of luck."""

    def __init__(self, parties: int = 2) -> None:
        self._barrier = threading.Barrier(parties)

    def after(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, followed by the wait. Who waits alone (the other is locked out) goes on after a while."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            try:
                self._barrier.wait(1.0)
            except threading.BrokenBarrierError:
                return result
            return result

        return wrapped
