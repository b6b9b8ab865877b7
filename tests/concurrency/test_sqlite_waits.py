"""Writers on SQLite wait for one another, and not longer than they were told to."""

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.db.utils import OperationalError

from tasks_app.models import User
from tests.concurrency.contest import all_at_once

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]


def _in_a_transaction() -> None:
    with transaction.atomic():
        User.objects.update(is_staff=True)


def _many_rows() -> None:
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE tasks_app_user SET is_staff = %s", [[True], [False]])


WAYS = {"transaction": _in_a_transaction, "statement": lambda: User.objects.update(is_staff=True), "many": _many_rows}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS)
def test_a_writer_begins_once_the_other_has_ended(write: Callable[[], object]) -> None:
    held, order = threading.Event(), []

    def first() -> None:
        with transaction.atomic():
            held.set()
            time.sleep(0.2)
            order.append("first")

    def second() -> None:
        held.wait(10)
        write()
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
