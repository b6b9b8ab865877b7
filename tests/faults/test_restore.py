"""A backup that was taken while work went on: it is whole, its trail verifies, and what waited is still sent.

On SQLite by `manage.py backup`, on PostgreSQL by `pg_dump`, as docs/operations.md says. What is started from it runs in
processes of its own, with a home folder that holds nothing but the backup.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from tasks_app.models import HumanTask, TaskEvent
from tests import servers
from tests.cast import NewTaskFactory
from tests.faults.test_relay_faults import CREATED, in_thread
from tests.jobs.receiver import Receiver
from tests.jobs.relay_fixtures import EndpointFactory
from tests.profile import scaled
from tests.system import REPOSITORY

TASKS = scaled("RESTORED", 20, 20_000)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@dataclass
class Restored:
    """A database made from a backup, and the environment of a process that works on it."""

    name: str
    environment: dict[str, str]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def restored(home: Path) -> Iterator[Restored]:
    """Take a backup of the test's database, and make another one from it."""
    inherited = {**os.environ, "HITL_TEST_HOME": str(home), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    if connection.vendor == "sqlite":
        call_command("backup", str(home), stdout=StringIO())
        url = f"sqlite:///{home / 'hitl.sqlite3'}"
        yield Restored(str(home / "hitl.sqlite3"), inherited | {"DATABASE_URL": url, "TEST_DATABASE_URL": url})
        return
    home.mkdir()
    shutil.copy(settings.HITL_HOME / "keys.json", home)
    binaries = servers.postgres_binaries()
    assert binaries
    server = os.environ["TEST_DATABASE_URL"]
    running, name = str(connection.settings_dict["NAME"]), f"restored_{os.getpid()}"
    with closing(psycopg.connect(server, autocommit=True)) as administrator:
        administrator.execute(f"CREATE DATABASE {name}")
        try:
            dump = home / "database.dump"
            subprocess.run([binaries / "pg_dump", "--format=custom", f"--file={dump}", at(server, running)], check=True)
            subprocess.run(
                [binaries / "pg_restore", "--exit-on-error", f"--dbname={at(server, name)}", dump], check=True
            )
            url = at(server, name)
            yield Restored(name, inherited | {"DATABASE_URL": url, "TEST_DATABASE_URL": url})
        finally:
            administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")


def at(server: str, database: str) -> str:
    return urlsplit(server)._replace(path=f"/{database}").geturl()


@contextmanager
def work_going_on(make_task: NewTaskFactory) -> Iterator[None]:
    """Tasks are created all the while, and some were when it begins."""
    done = threading.Event()

    def works() -> None:
        while not done.is_set():
            make_task()

    worker = in_thread(works)
    before = HumanTask.objects.count()
    while HumanTask.objects.count() < before + 3:
        time.sleep(0.01)
    try:
        yield
    finally:
        done.set()
        worker.join()


def test_a_backup_taken_during_work_is_whole_and_goes_on(
    make_task: NewTaskFactory, endpoint_at: EndpointFactory, receiver: Receiver, tmp_path: Path
) -> None:
    endpoint_at(receiver.url, event_types=CREATED)
    for _ in range(TASKS):
        make_task(error_detail="ask jane@acme.example")
    with work_going_on(make_task), restored(tmp_path / "backup") as copy:
        committed = HumanTask.objects.count()
        begin = time.monotonic()
        verified = copy.run("manage.py", "audit_verify", "--json")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        report: dict[str, Any] = json.loads(verified.stdout)
        # What waited when the backup was taken is sent from it, and the trail goes on.
        drained = copy.run("-m", "tests.faults.drain_process", copy.name, "30")
        assert drained.returncode == 0, drained.stderr
        seconds = time.monotonic() - begin
        told = {message.json["data"]["task_id"] for message in receiver.messages}
    assert TASKS + 3 <= len(told) <= committed
    assert report["events"] == len(told)
    assert told <= set(TaskEvent.objects.values_list("task_id", flat=True))
    print(f"\n{connection.vendor}: {len(told)} tasks, verified and told after {seconds:.1f} s")


@pytest.mark.once
def test_a_plain_copy_of_the_file_is_not_whole(make_task: NewTaskFactory, tmp_path: Path) -> None:
    """The control: what was committed last stands in the log beside the file."""
    make_task()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    make_task()
    # By another process: to close the file in this one would end the locks that SQLite holds on it here.
    subprocess.run(["cp", str(connection.settings_dict["NAME"]), tmp_path / "plain.sqlite3"], check=True)
    with closing(sqlite3.connect(tmp_path / "plain.sqlite3")) as plain:
        assert plain.execute(f"SELECT count(*) FROM {HumanTask._meta.db_table}").fetchone() == (1,)
    call_command("backup", str(tmp_path / "backup"), stdout=StringIO())
    with closing(sqlite3.connect(tmp_path / "backup" / "hitl.sqlite3")) as whole:
        assert whole.execute(f"SELECT count(*) FROM {HumanTask._meta.db_table}").fetchone() == (2,)


@pytest.mark.once
def test_it_overwrites_no_backup_and_keeps_it_private(make_task: NewTaskFactory, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    call_command("backup", str(folder), stdout=StringIO())
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "hitl.sqlite3": 0o600,
        "keys.json": 0o600,
    }
    with pytest.raises(CommandError, match="is not empty"):
        call_command("backup", str(folder), stdout=StringIO())
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("backup", str(tmp_path / "file" / "below"), stdout=StringIO())
