"""What the other tests stand on (tests/conftest.py) holds."""

import socket

import pytest
from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, connection, transaction
from redis import Redis

from core import guards
from tasks_app.models import TaskType
from tests.conftest import WayOutError
from tests.servers import free_port


def test_it_blocks_every_way_out_but_loopback() -> None:
    with pytest.raises(WayOutError, match=r"192\.0\.2\.1"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(WayOutError, match=r"example\.com"):
        socket.create_connection(("example.com", 80), timeout=1)
    with pytest.raises(socket.gaierror):
        socket.create_connection(("receiver.invalid", 80), timeout=1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port()), timeout=1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("time", ["first", "second"])
def test_it_begins_clean_after_a_test_with_real_transactions(time: str) -> None:
    assert TaskType.objects.count() >= 5, "the migrations' rows are there"
    assert LogEntry.objects.count() == 0, "nothing is left of the test before"
    assert guards.missing(connection) == []
    LogEntry.objects.create(
        content_type=ContentType.objects.get_for_model(TaskType), object_pk=time, object_repr=time, action=0
    )
    TaskType.objects.filter(slug="creative_approval").update(label="spoilt")
    with pytest.raises(IntegrityError), transaction.atomic():
        LogEntry.objects.all().delete()


@pytest.mark.django_db
def test_it_finds_the_task_types_as_migrated() -> None:
    assert not TaskType.objects.filter(label="spoilt").exists()


@pytest.mark.redis
def test_it_has_a_real_redis(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        assert client.set("hitl-tests", "1", ex=5)
        assert client.get("hitl-tests") == b"1"
