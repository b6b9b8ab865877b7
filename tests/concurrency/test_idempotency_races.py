"""The same request many times at once, and a web process killed in the middle of one.

HITL_TEST_KEYS, HITL_TEST_STORM and HITL_TEST_CRASHES raise the numbers for a night's run.
"""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from django.db import connection, connections
from rest_framework.test import APIClient

from core import clock
from tasks_app import tokens
from tasks_app.api import idempotency
from tasks_app.models import HumanTask, IdempotencyRecord, Principal, TaskEvent, User
from tests.concurrency.test_claims_over_http import Server, database_url, exchange, served
from tests.profile import scaled

KEYS: Final = scaled("KEYS", 20, 1000)
SENDERS: Final = 8
STORM: Final = scaled("STORM", 104, 1000)
CRASHES: Final = scaled("CRASHES", 2, 200)
TASKS: Final = "/api/v1/tasks/"
BODY: Final = {"task_type": "creative_approval", "principal_id": "acme_corp"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(settings: Any, people: dict[str, User], principals: dict[str, Principal]) -> str:
    settings.HITL_RATE_LIMIT = 0
    return tokens.issue("bot", people["bot"], principals=[principals["acme_corp"]])[1]


def at_once(calls: Sequence[Callable[[], Any]], threads: int = SENDERS) -> list[Any]:
    """Run the calls, in groups of `threads` that start together; each thread has its own connection."""
    barrier = threading.Barrier(threads)

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait(60)
        return call()

    def close() -> None:
        barrier.wait(60)
        connections.close_all()

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(run, calls))
        for done in [pool.submit(close) for _ in range(threads)]:
            done.result()
    return answers


def send(token: str, body: dict[str, Any], **headers: str) -> tuple[int, bytes, bool]:
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    response: Any = client.post(TASKS, body, headers=headers)
    return response.status_code, response.content, "Idempotent-Replayed" in response


def race(token: str, keys: int = KEYS) -> list[tuple[int, bytes, bool]]:
    """Every key from all senders at once."""
    calls = [
        partial(send, token, BODY, **{"Idempotency-Key": f"key-{key}"}) for key in range(keys) for _ in range(SENDERS)
    ]
    return at_once(calls)


def test_it_has_one_effect_for_many_senders_of_one_key(token: str) -> None:
    answers = race(token)
    assert HumanTask.objects.count() == KEYS
    assert IdempotencyRecord.objects.count() == KEYS
    for key in range(KEYS):
        mine = answers[key * SENDERS : (key + 1) * SENDERS]
        assert {status for status, _body, _replayed in mine} <= {201, 409}
        assert len({body for status, body, _replayed in mine if status == 201}) == 1, "replays are not identical"
        assert sum(not replayed for status, _body, replayed in mine if status == 201) == 1
    assert not [status for status, _body, _replayed in answers if status >= 500]


def test_its_check_fails_where_the_record_is_not_unique(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_then_keep(request: Any, key: str, fingerprint: str) -> IdempotencyRecord:
        if IdempotencyRecord.objects.filter(user_id=request.user.pk, fingerprint=key).exists():
            raise idempotency._Taken
        made = IdempotencyRecord(user_id=request.user.pk, key=os.urandom(8).hex(), fingerprint=key)
        made.created_at = clock.now()
        return made

    def keep(self: IdempotencyRecord, **options: Any) -> None:
        time.sleep(0.01)
        self.save_base(force_insert=True)

    monkeypatch.setattr(idempotency, "_reserve", look_then_keep)
    monkeypatch.setattr(IdempotencyRecord, "save", keep)
    monkeypatch.setattr("tasks_app.api.idempotency.transaction.atomic", _no_transaction)
    race(token, keys=8)
    assert HumanTask.objects.count() > 8


@contextmanager
def _no_transaction(*args: Any, **kwargs: Any) -> Iterator[None]:
    yield


def test_it_folds_a_storm_of_reports_into_one_task(token: str) -> None:
    answers = at_once([lambda: send(token, {**BODY, "dedup_key": "gam-403"})] * (STORM - STORM % SENDERS))
    sent = len(answers)
    assert Counter(status for status, _body, _replayed in answers) == {201: 1, 200: sent - 1}
    task = HumanTask.objects.get()
    assert task.occurrences == sent
    assert {_id(body) for _status, body, _replayed in answers} == {task.task_id}
    recurred = [step for step in (2, *(10**power for power in range(1, 7))) if step <= sent]
    assert TaskEvent.objects.filter(type="task.recurred").count() == len(recurred)
    assert TaskEvent.objects.count() == 1 + len(recurred)


def _id(body: bytes) -> str:
    return str(json.loads(body)["task_id"])


# -- a process killed between the insert and the commit


@contextmanager
def stuck_before_commit() -> Iterator[None]:
    """Until the block ends, a request that opens a task stands still in its last insert, its transaction open."""
    if connection.vendor == "postgresql":
        with psycopg.connect(database_url()) as other:
            other.execute("LOCK TABLE tasks_app_eventoutbox IN EXCLUSIVE MODE")
            yield
        return
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 100000000000) SELECT max(x) FROM n"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TRIGGER stuck AFTER INSERT ON tasks_app_eventoutbox BEGIN {endless}; END")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER stuck")


def is_stuck(server: Server) -> bool:
    """The request waits for the lock (PostgreSQL), or holds the write lock and computes (SQLite)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'RowExclusiveLock'")
            return bool(cursor.fetchone()[0])
    return any(cpu_seconds(pid) > 1.0 for pid in server.workers())


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_it_has_one_effect_when_the_process_is_killed_in_the_middle(token: str, tmp_path: Path) -> None:
    with served(tmp_path) as server:
        for crash in range(CRASHES):
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"crash-{crash}"}
            with stuck_before_commit(), ThreadPoolExecutor(1) as pool:
                lost = pool.submit(exchange, server.port, "POST", TASKS, BODY, headers)
                _wait_until(lambda: is_stuck(server))
                for pid in server.workers():
                    os.kill(pid, signal.SIGKILL)
                assert isinstance(lost.exception(60), OSError), "the sender got no answer"
            assert HumanTask.objects.count() == crash, "nothing is left of the request that was killed"
            assert IdempotencyRecord.objects.count() == crash
            status, first = exchange(server.port, "POST", TASKS, BODY, headers)
            again = exchange(server.port, "POST", TASKS, BODY, headers)
            assert (status, again) == (201, (201, first))
            assert HumanTask.objects.count() == TaskEvent.objects.count() == crash + 1


def _wait_until(condition: Callable[[], bool], patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
