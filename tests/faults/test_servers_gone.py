"""The whole system as an operator starts it, while Redis is killed empty and PostgreSQL is stopped at once.

SERVERS_KILLED times each: once on every run, five times in the night. While Redis is away the API goes on answering
2xx; while PostgreSQL is away it answers 503 and never 500. Everything accepted reaches its receiver.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests import servers
from tests.concurrency.test_claims_over_http import exchange
from tests.faults.test_relay_faults import wait_until
from tests.jobs.receiver import receiving
from tests.profile import scaled
from tests.system import NOT_INHERITED, READY, REPOSITORY, System

TIMES = scaled("SERVERS_KILLED", 1, 5)
EVENTS = scaled("EVENTS", 10, 400)  # during each outage of Redis
TASKS = "/api/v1/tasks/"
BODY = {"task_type": "creative_approval", "principal_id": "acme_corp", "priority": "urgent"}


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.redis
def test_it_outlives_its_servers(tmp_path: Path) -> None:
    with (
        servers.postgres_to_break() as database,
        servers.redis_to_break() as broker,
        receiving() as receiver,
        System(
            tmp_path / "home",
            DATABASE_URL=database.url,
            REDIS_URL=broker.url,
            HITL_WEBHOOK_URL=receiver.url,
            HITL_ALLOW_PRIVATE_HOSTS="127.0.0.1",
            HITL_RATE_LIMIT="0",
        ) as system,
    ):
        system.wait_for(READY)
        headers = {"Authorization": f"Bearer {adapter_token(tmp_path / 'home', database.url, broker.url)}"}
        accepted: list[str] = []

        def create() -> int:
            status, body = exchange(system.port, "POST", TASKS, BODY, headers)
            if status == 201:
                accepted.append(body.decode().partition('"task_id":"')[2].partition('"')[0])
            return status

        statuses: Counter[int] = Counter()
        for _ in range(TIMES):
            broker.stop(signal.SIGKILL)
            statuses.update(create() for _ in range(EVENTS))
            broker.start()
        assert set(statuses) == {201}, statuses

        outages: list[float] = []
        for _ in range(TIMES):
            database.stop(signal.SIGQUIT)
            during = Counter(create() for _ in range(10))
            assert set(during) == {503}, during
            assert system.get("/livez")[0] == 200
            assert system.get("/readyz")[0] == 503
            begin = time.monotonic()
            database.start()
            assert wait_until(lambda: create() == 201)
            outages.append(time.monotonic() - begin)
            after = Counter(create() for _ in range(10))
            assert set(after) <= {201, 503}, after
        assert wait_until(lambda: {message.json["task_id"] for message in receiver.messages} >= set(accepted), 120.0)
        told = Counter(message.id for message in receiver.messages)
    print(
        f"\n{len(accepted)} accepted, {len(told)} told, {told.total() - len(told)} repeated; PostgreSQL's way back, "
        f"its own start included: {', '.join(f'{seconds:.1f} s' for seconds in outages)}"
    )
    assert len(told) == len(accepted)
    assert len({message.body for message in receiver.messages}) == len(told)


def adapter_token(home: Path, database: str, broker: str) -> str:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(NOT_INHERITED)}
    done = subprocess.run(
        [sys.executable, "manage.py", "adapter_token", "gateway", "--all-principals"],
        cwd=REPOSITORY,
        env={**inherited, "HITL_HOME": str(home), "DATABASE_URL": database, "REDIS_URL": broker},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
