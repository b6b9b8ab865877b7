"""Many people claim at once, over HTTP, from a server as it is deployed: nobody gets what another has.

HITL_TEST_CLIENTS and HITL_TEST_TASKS (64 and 2000 for the acceptance figures) raise the numbers; `-s` shows the rate.
"""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from django.conf import settings as django_settings
from django.db import connection

from tasks_app import tokens
from tasks_app.models import HumanTask, TaskEvent, User
from tests import servers
from tests.cast import NewTaskFactory, add_to_team, person
from tests.profile import scaled

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
CLIENTS: Final = scaled("CLIENTS", 16, 64)
WORK: Final = scaled("TASKS", 120, 2000)
TASKS: Final = "/api/v1/tasks/"
# Replaces the services by what a first version would do: read, look, save.
NAIVE: Final = """
import time

from hitl.wsgi import application
from tasks_app import services
from tasks_app.exceptions import WrongState
from tasks_app.models import HumanTask

TASKS = HumanTask.objects.select_related("assigned_to", "resolved_by", "requested_by")


def claim_task(task_id, actor, *, expected_version=None):
    task = TASKS.get(pk=task_id)
    if task.status != "pending":
        raise WrongState
    time.sleep(0.005)
    HumanTask.objects.filter(pk=task_id).update(status="assigned", assigned_to=actor.user)
    return task


def claim_next_task(actor, **options):
    task = TASKS.filter(status="pending").first()
    return task and claim_task(task.pk, actor)


services.claim_task, services.claim_next_task = claim_task, claim_next_task
"""


@dataclass(frozen=True)
class Server:
    """gunicorn on the test's database."""

    port: int
    process: subprocess.Popen[bytes]

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def database_url() -> str:
    """The test database's own URL, for another process."""
    at = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{at['NAME']}"
    password = f":{at['PASSWORD']}" if at["PASSWORD"] else ""
    return f"postgresql://{at['USER']}{password}@{at['HOST']}:{at['PORT']}/{at['NAME']}"


@contextmanager
def served(folder: Path, application: str = "hitl.wsgi") -> Iterator[Server]:
    """Serve the test's database with the real settings, without a rate limit."""
    port = servers.free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HITL_", "DJANGO_"))},
        "DJANGO_SETTINGS_MODULE": "hitl.settings",
        "HITL_HOME": str(django_settings.HITL_HOME),
        "HITL_RATE_LIMIT": "0",
        "DATABASE_URL": database_url(),
        "PYTHONPATH": f"{folder}:{REPOSITORY}",
    }
    command = [
        *(sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}", "--workers", "2"),
        *("--preload", "--backlog", "2048", "--no-control-socket", "--log-level", "warning"),
    ]
    with (folder / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                exchange(port, "GET", "/livez")
                break
            except OSError:
                text = (folder / "gunicorn.log").read_text()
                assert process.poll() is None, text
                assert time.monotonic() < deadline, text
                time.sleep(0.1)
        yield Server(port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def exchange(
    port: int, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    wire = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        data = None if body is None else json.dumps(body)
        wire.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        answer = wire.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        wire.close()


@dataclass
class Reviewer:
    """One client: half of them take whatever is next, half pick tasks, each of which one other picks too.

    All of them live in one event loop and speak over plain sockets: 64 threads with http.client took more of two
    cores than the server that they measure.
    """

    port: int
    token: str
    picks: list[str]

    def __post_init__(self) -> None:
        self.claimed: list[str] = []
        self.statuses: Counter[int] = Counter()

    async def work(self) -> None:
        for path in [f"{TASKS}{pk}/claim/" for pk in self.picks]:
            await self.ask(path)
        while not self.picks and await self.ask(f"{TASKS}claim-next/") == 200:
            pass

    async def ask(self, path: str) -> int:
        lines = (
            *(f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self.token}"),
            *("Content-Type: application/json", "Content-Length: 2", "Connection: close", "", "{}"),
        )
        answer = await converse(self.port, "\r\n".join(lines).encode())
        head, _blank, body = answer.partition(b"\r\n\r\n")
        status = int(head.split(None, 2)[1])
        self.statuses[status] += 1
        if status == 200:
            self.claimed.append(json.loads(body)["task_id"])
        return status


async def converse(port: int, request: bytes) -> bytes:
    """Send one request on a connection of its own; everything that comes back until the server closes it."""
    loop = asyncio.get_running_loop()
    with socket.socket() as wire:
        wire.setblocking(False)
        await loop.sock_connect(wire, ("127.0.0.1", port))
        await loop.sock_sendall(wire, request)
        parts = []
        while part := await loop.sock_recv(wire, 65_536):
            parts.append(part)
    return b"".join(parts)


def compete(server: Server, tasks: list[str], reviewers: list[str]) -> tuple[Counter[str], Counter[int], float]:
    """Let all of them work; how often each task was claimed, the statuses, and the seconds it took."""
    pairs = len(reviewers) // 4
    crowd = [
        Reviewer(server.port, token, tasks[(number // 2) % pairs :: pairs] if number % 2 else [])
        for number, token in enumerate(reviewers)
    ]

    async def everybody() -> None:
        async with asyncio.timeout(600), asyncio.TaskGroup() as group:
            for reviewer in crowd:
                group.create_task(reviewer.work())

    begin, spent = time.monotonic(), time.process_time()
    asyncio.run(everybody())
    seconds = time.monotonic() - begin
    print(f"\nthe clients took {(time.process_time() - spent) / seconds:.0%} of one core")
    claims = Counter(task for reviewer in crowd for task in reviewer.claimed)
    return claims, sum((reviewer.statuses for reviewer in crowd), Counter()), seconds


@pytest.fixture
def reviewers(people: dict[str, User]) -> list[str]:
    """Their tokens."""
    made = []
    for number in range(CLIENTS):
        user = person(f"reviewer{number}")
        add_to_team(user, "creative-review")
        made.append(tokens.issue("t", user)[1])
    return made


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_gives_every_task_to_exactly_one_of_many(
    make_task: NewTaskFactory, reviewers: list[str], tmp_path: Path
) -> None:
    tasks = [make_task().task_id for _ in range(WORK)]
    with served(tmp_path) as server:
        claims, statuses, seconds = compete(server, tasks, reviewers)
    print(
        f"{connection.vendor}: {CLIENTS} clients, {WORK} tasks, {WORK / seconds:.0f} claims/s, "
        f"{statuses.total() / seconds:.0f} answers/s, {dict(statuses)}"
    )
    assert set(statuses) <= {200, 204, 409}, statuses
    assert claims == dict.fromkeys(tasks, 1)
    assert statuses[200] == WORK
    assert TaskEvent.objects.filter(type="task.claimed").count() == WORK
    assert HumanTask.objects.filter(status="assigned", version=2, last_event_seq=2).count() == WORK


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_its_check_finds_the_double_claims_of_read_then_save(
    make_task: NewTaskFactory, reviewers: list[str], tmp_path: Path
) -> None:
    tasks = [make_task().task_id for _ in range(40)]
    (tmp_path / "naive_wsgi.py").write_text(NAIVE)
    with served(tmp_path, "naive_wsgi") as server:
        claims, _statuses, _seconds = compete(server, tasks, reviewers)
    assert [task for task, times in claims.items() if times > 1]
