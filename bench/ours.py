"""This project's side of the bench: migrated, filled, served and asked as it is deployed, with everything on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import fill
from bench.load import Request
from bench.postgres import Cluster, free_port
from bench.serve import WORKERS, Server, gunicorn, run_python
from bench.stock import DECISION, FEED_FROM, column, create_body

FOLDER = Path(__file__).resolve().parent.parent
TABLE = "tasks_app_humantask"
SEARCHED = ("refresh+token", "political+advertising", "video_outstream", "network+access", "lacks+the+role")

SESSION = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from tasks_app.models import User
ana = User.objects.get(username="ana")
session = SessionStore()
session.update({
    SESSION_KEY: str(ana.pk), HASH_SESSION_KEY: ana.get_session_auth_hash(),
    BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
})
session.create()
print(session.session_key)
"""

SET_UP = """
from tasks_app.models import Team, TeamMembership, User
User.objects.create(username="bench", kind="service")
ana = User.objects.create(username="ana", kind="person", is_staff=True)
TeamMembership.objects.bulk_create(TeamMembership(team=team, user=ana) for team in Team.objects.all())
"""


@dataclass(frozen=True)
class Tokens:
    adapter: str
    person: str
    session: str


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """A Redis for the run, as production has one: BENCH_REDIS_URL, or a server found on PATH, else empty."""
    if given := os.environ.get("BENCH_REDIS_URL"):
        yield given
        return
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        yield ""
        return
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(0.3)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(10)


class Ours:
    """The project with a home folder of its own for the run, so that an installation beside it is never touched."""

    tokens: Tokens

    def __init__(self, home: Path, redis_url: str) -> None:
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "hitl.settings",
            "HITL_HOME": str(home),
            "REDIS_URL": redis_url,
            "HITL_RATE_LIMIT": "100000000",
            "HITL_LOG_LEVEL": "WARNING",
            "HITL_WEBHOOK_URL": "",
        }
        keys = f"from pathlib import Path; from hitl import home; home.prepare(Path({str(home)!r}), {{}})"
        run_python(["-c", keys], FOLDER, self.environment)

    def at(self, url: str) -> dict[str, str]:
        return {**self.environment, "DATABASE_URL": url}

    def prepare(self, cluster: Cluster, name: str, closed: int) -> str:
        """A migrated and filled database, with an adapter's token for all principals and ana's own.

        The databases of the larger sizes are copies of it, so the tokens hold there too.
        """
        url = cluster.create(name)
        run_python(["manage.py", "migrate", "--verbosity", "0"], FOLDER, self.at(url))
        run_python(["manage.py", "shell", "--verbosity", "0", "-c", SET_UP], FOLDER, self.at(url))
        self.tokens = Tokens(
            run_python(["manage.py", "adapter_token", "bench", "--all-principals"], FOLDER, self.at(url)),
            run_python(["manage.py", "adapter_token", "bench-ana", "--for-user", "ana"], FOLDER, self.at(url)),
            run_python(["manage.py", "shell", "--verbosity", "0", "-c", SESSION], FOLDER, self.at(url)),
        )
        self.fill(url, 0, closed)
        return url

    def fill(self, url: str, closed_before: int, closed: int) -> None:
        """Add open tasks to an empty database, and closed ones up to `closed`."""
        command = ["-m", "bench.ours_fill"]
        if not closed_before:
            run_python([*command, "--first", "1", "--count", str(fill.OPEN_TASKS)], FOLDER, self.at(url))
        first, count = fill.OPEN_TASKS + closed_before + 1, closed - closed_before
        with fill.indexed_afterwards(url):
            run_python([*command, "--first", str(first), "--count", str(count), "--closed"], FOLDER, self.at(url))
        fill.tidy(url)

    def verify(self, url: str) -> str:
        """What `manage.py audit_verify` says of the filled trail; raises where it is not sound."""
        report = json.loads(run_python(["manage.py", "audit_verify", "--json"], FOLDER, self.at(url)))
        return f"{report['events']:,} events and {report['audit_entries']:,} audit entries are sound"

    def requests(self, url: str) -> dict[str, list[Request]]:
        """What is asked of this project, by the name of the work. Bodies are those that the stock project gets."""
        adapter = {"Authorization": f"Bearer {self.tokens.adapter}"}
        person = {"Authorization": f"Bearer {self.tokens.person}"}
        some = column(url, f"SELECT task_id FROM {TABLE} TABLESAMPLE BERNOULLI (2) ORDER BY random() LIMIT 500")
        held = column(url, f"SELECT task_id FROM {TABLE} WHERE status = 'in_progress' ORDER BY task_id")
        last = column(url, "SELECT last_position FROM tasks_app_feedhead")[0]
        creates = [create_body(number) for number in range(200)]
        batches = [b'{"items": [' + b",".join(creates[start : start + 100]) + b"]}" for start in range(100)]
        return {
            "create": [Request("POST", "/api/v1/tasks/", adapter, body, 201) for body in creates],
            "create_batch": [Request("POST", "/api/v1/tasks/batch/", adapter, body, 201) for body in batches],
            "claim": [Request("POST", "/api/v1/tasks/claim-next/", person, b"{}")],
            "complete": [Request("POST", f"/api/v1/tasks/{pk}/complete/", person, DECISION) for pk in held],
            "queue": [Request("GET", "/api/v1/tasks/pending/?limit=50", person)],
            "task": [Request("GET", f"/api/v1/tasks/{pk}/", person) for pk in some],
            "feed": [Request("GET", f"/api/v1/events/?after={last - back}&limit=500", adapter) for back in FEED_FROM],
            "metrics": [Request("GET", "/api/v1/metrics/summary/", person)],
            **self.pages(url, some),
        }

    def pages(self, url: str, some: list[str]) -> dict[str, list[Request]]:
        """The console's pages, as ana's browser asks for them."""
        browser = {"Cookie": f"sessionid={self.tokens.session}"}
        queue = "/admin/tasks_app/humantask/"
        numbers = column(url, f"SELECT media_buy_id FROM {TABLE} TABLESAMPLE BERNOULLI (2) ORDER BY random() LIMIT 500")
        return {
            "home": [Request("GET", "/admin/", browser)],
            "queue_page": [Request("GET", f"{queue}?tab=unassigned", browser)],
            "groups": [Request("GET", f"{queue}similar/", browser)],
            "task_page": [Request("GET", f"{queue}{pk}/change/", browser) for pk in some],
            "search_id": [Request("GET", f"{queue}?q={name}", browser, expected=302) for name in numbers],
            "search_words": [Request("GET", f"{queue}?q={words}", browser) for words in SEARCHED],
        }

    def serve(self, url: str, log: Path, workers: int = WORKERS) -> contextlib.AbstractContextManager[Server]:
        probe = Request("GET", "/api/v1/tasks/pending/?limit=50", {"Authorization": f"Bearer {self.tokens.person}"})
        return gunicorn("hitl.wsgi", FOLDER, self.at(url), probe, log, workers)


class Sweeper:
    """A process with this project's timers, which sweeps once whenever it is told to."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.ours_sweep"],
            cwd=FOLDER, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def sweep(self) -> tuple[int, float]:
        """How many tasks were acted upon, and in how many seconds."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("sweep\n")
        self.process.stdin.flush()
        number, seconds = self.process.stdout.readline().split()
        return int(number), float(seconds)

    def __enter__(self) -> Sweeper:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
