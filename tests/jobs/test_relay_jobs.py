"""The jobs with real workers and real brokers, and the nudge when the broker is away."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from celery import Celery
from django.conf import settings
from django.db import connection

from notifications import jobs, relay
from notifications.models import Delivery
from notifications.nudge import Nudger
from tasks_app.states import EventType
from tests import servers
from tests.cast import NewTaskFactory
from tests.jobs.receiver import Receiver
from tests.jobs.relay_fixtures import EndpointFactory

CREATED = [str(EventType.CREATED)]
PATIENCE = 60.0


def wait_until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def database_url() -> str:
    """The test's own database, for another process."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    password = f":{database['PASSWORD']}" if database["PASSWORD"] else ""
    return f"postgresql://{database['USER']}{password}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


@contextmanager
def worker(redis_url: str = "") -> Iterator[None]:
    """A real worker, as `manage.py up` starts it, on the test's database."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HITL_", "REDIS_", "DJANGO_"))}
    environment = {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "hitl.settings",
        "HITL_HOME": os.environ["HITL_TEST_HOME"],
        "HITL_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
        "DATABASE_URL": database_url(),
        "REDIS_URL": redis_url,
    }
    options = ["--pool", "threads", "--concurrency", "2", "--queues", "timers,deliveries"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = [sys.executable, "-m", "celery", "--app", "hitl", "--quiet", "worker", *options, *quiet]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        yield
        assert process.poll() is None, "the worker fell"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def broker_app(url: str) -> Celery:
    """The application as it would be with REDIS_URL set."""
    app = Celery("test", set_as_current=False, broker=url)
    app.conf.task_routes = settings.CELERY_TASK_ROUTES
    app.conf.broker_transport_options = {"socket_connect_timeout": 0.5, "socket_timeout": 5}
    return app


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_delivers_through_a_real_worker_and_the_folder_broker(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver
) -> None:
    endpoint_at(receiver.url, event_types=CREATED)
    with worker():
        make_task()
        assert wait_until(lambda: len(receiver.messages) == 1)
        make_task()
        assert wait_until(lambda: len(receiver.messages) == 2)
        assert wait_until(lambda: not Delivery.objects.exclude(status="sent").exists())


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.django_db(transaction=True)
def test_it_delivers_through_a_real_worker_and_redis(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver, redis_url: str
) -> None:
    endpoint_at(receiver.url, event_types=CREATED)
    app = broker_app(redis_url)
    with worker(redis_url):
        make_task()
        jobs.DrainCall(app)()
        assert wait_until(lambda: len(receiver.messages) == 1)
        assert wait_until(lambda: not Delivery.objects.exclude(status="sent").exists())
    app.close()


@pytest.mark.redis
def test_its_nudges_keep_one_connection_and_replace_one_that_the_broker_has_left(redis_url: str) -> None:
    app, store = broker_app(redis_url), redis.Redis.from_url(redis_url)
    call = jobs.DrainCall(app)
    call()
    opened = store.info("stats")["total_connections_received"]
    for _ in range(5):
        call()
    assert store.info("stats")["total_connections_received"] == opened
    store.client_kill_filter(_type="normal", skipme=True)
    call()
    assert store.info("stats")["total_connections_received"] > opened
    assert store.llen("deliveries") == 7
    call.close()
    store.close()
    app.close()


def test_its_nudge_drops_what_a_dead_broker_refuses(caplog: pytest.LogCaptureFixture) -> None:
    app = broker_app(f"redis://127.0.0.1:{servers.free_port()}/0")
    nudge = Nudger(jobs.DrainCall(app))
    for _ in range(3):
        nudge()
        assert nudge.settled(PATIENCE)
    assert caplog.text.count("nudge failed") == 1
    app.close()


def test_its_nudge_does_not_wait_for_a_broker_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        app = broker_app(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        nudge = Nudger(jobs.DrainCall(app))
        nudge()
        connected, _address = deaf.accept()
        assert not nudge.settled(0), "the caller waited for the broker"
        assert nudge.settled(PATIENCE)
        connected.close()
        app.close()
    assert "nudge failed" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_it_opens_tasks_while_the_broker_is_away(
    make_task: NewTaskFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = broker_app(f"redis://127.0.0.1:{servers.free_port()}/0")
    monkeypatch.setattr(jobs.nudge, "_publish", jobs.DrainCall(app))
    assert make_task().status == "pending"
    assert jobs.nudge.settled(PATIENCE)
    assert "nudge failed" in caplog.text
    app.close()


def test_it_folds_the_nudges_of_a_busy_moment_and_forgets_none() -> None:
    entered, gate, published = threading.Semaphore(0), threading.Semaphore(0), []

    def publish() -> None:
        entered.release()
        gate.acquire()
        published.append(1)

    nudge = Nudger(publish)
    nudge()
    entered.acquire()
    for _ in range(100):
        nudge()
    gate.release()
    entered.acquire()
    assert not nudge.settled(0)
    gate.release()
    assert nudge.settled(PATIENCE)
    assert len(published) == 2


def test_its_job_is_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr("notifications.relay.drain", lambda breath: called.append(breath))
    jobs.drain()
    assert called == [relay.BREATH_SECONDS]
