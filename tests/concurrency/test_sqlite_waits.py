"""Writers on SQLite wait for one another, and not longer than they were told to."""

import threading
import time

import pytest
from django.db import connection, transaction
from django.db.utils import OperationalError

from tasks_app.models import User
from tests.concurrency.contest import all_at_once

pytestmark = [
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL locks rows"),
    pytest.mark.django_db(transaction=True),
]


@pytest.mark.parametrize("alone", [False, True], ids=["transaction", "single statement"])
def test_a_writer_begins_once_the_other_has_ended(alone: bool) -> None:
    held, order = threading.Event(), []

    def first() -> None:
        with transaction.atomic():
            held.set()
            time.sleep(0.2)
            order.append("first")

    def second() -> None:
        held.wait(10)
        if alone:
            User.objects.update(is_staff=True)
            order.append("second")
            return
        with transaction.atomic():
            order.append("second")

    assert all_at_once([first, second]) == [None, None]
    assert order == ["first", "second"]


def test_a_writer_gives_up_after_its_timeout_and_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, over = threading.Event(), threading.Event()

    def holder() -> None:
        with transaction.atomic():
            begun.set()
            over.wait(10)

    def hasty() -> int:
        begun.wait(10)
        with monkeypatch.context() as patch:
            patch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.1)
            with pytest.raises(OperationalError, match="locked"):
                transaction.atomic().__enter__()
        over.set()
        with transaction.atomic():  # the connection is as it was
            return 1

    assert all_at_once([holder, hasty]) == [None, 1]
