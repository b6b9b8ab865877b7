"""This project's side of the bench: migrated, filled, served and asked as it is deployed, with everything on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import fill
from bench.load import Request
from bench.postgres import Cluster, free_port
from bench.serve import Server, gunicorn, run_python
from bench.stock import create_body

FOLDER = Path(__file__).resolve().parent.parent
TABLE = "tasks_app_humantask"

SET_UP = """
from tasks_app.models import Team, TeamMembership, User
User.objects.create(username="bench", kind="service")
ana = User.objects.create(username="ana", kind="person")
TeamMembership.objects.bulk_create(TeamMembership(team=team, user=ana) for team in Team.objects.all())
"""


@dataclass(frozen=True)
class Tokens:
    adapter: str
    person: str


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
        )
        self.fill(url, 0, closed)
        return url

    def fill(self, url: str, closed_before: int, closed: int) -> None:
        """Add open tasks to an empty database, and closed ones up to `closed`."""
        command = ["-m", "bench.ours_fill"]
        if not closed_before:
            run_python([*command, "--first", "1", "--count", str(fill.OPEN_TASKS)], FOLDER, self.at(url))
        first, count = fill.OPEN_TASKS + closed_before + 1, closed - closed_before
        run_python([*command, "--first", str(first), "--count", str(count), "--closed"], FOLDER, self.at(url))
        fill.tidy(url)

    def verify(self, url: str) -> str:
        """Recompute the chain of the filled trail; raises where an event or a task does not fit it."""
        return run_python(["-m", "bench.ours_fill", "--verify"], FOLDER, self.at(url))

    def requests(self) -> dict[str, list[Request]]:
        """What is asked of this project, by the name of the work. Bodies are those that the stock project gets."""
        adapter = {"Authorization": f"Bearer {self.tokens.adapter}"}
        person = {"Authorization": f"Bearer {self.tokens.person}"}
        return {
            "create": [Request("POST", "/api/v1/tasks/", adapter, create_body(number), 201) for number in range(200)],
            "claim": [Request("POST", "/api/v1/tasks/claim-next/", person, b"{}")],
            "queue": [Request("GET", "/api/v1/tasks/pending/?limit=50", person)],
        }

    def serve(self, url: str, log: Path) -> contextlib.AbstractContextManager[Server]:
        return gunicorn("hitl.wsgi", FOLDER, self.at(url), self.requests()["queue"][0], log)
