"""`manage.py up`, as an operator sees it: real processes, what they print and how they end."""

import os
import signal
import socket
import stat
import sys
from pathlib import Path

import psycopg
import pytest

from hitl import home
from tests.system import READY, System, is_running, wait_until

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _only_line(system: System) -> str:
    """What it said, being a single line."""
    assert system.wait_for_end() == 1
    assert len(system.lines) == 1, system.output
    return system.lines[0]


@linux_only
@pytest.mark.slow
def test_it_serves_from_an_empty_folder_and_again_on_the_same_data(tmp_path: Path) -> None:
    """One installation from its first start to its end: starting takes its time, so what a start shows stands here."""
    folder = tmp_path / "home"
    system = System(folder).wait_for(READY)
    family = system.family()
    assert system.get("/livez") == (200, "alive\n")
    assert system.get("/readyz") == (200, '{"status": "ready"}')
    assert system.get("/api/v1/nothing/")[0] == 404
    assert system.get("/livez", Script_Name="/x", Path_Info="/admin/")[0] == 200
    assert f"{system.url}/admin/" in system.output
    assert f"{system.url}/api/docs/" in system.output
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "keys.json").stat().st_mode) == 0o600
    for part in ("gunicorn hitl.wsgi", "worker --pool threads", "--quiet beat"):
        assert any(part in command for command in family.values()), part

    # Ctrl-C stops everything.
    assert system.stop() == 0
    assert [command for pid, command in family.items() if is_running(pid)] == []
    assert "Traceback" not in system.output
    assert system.lines[-1] == "Stopped."
    with socket.create_server(("127.0.0.1", system.port)):
        pass

    # The second start finds its data and its keys, and refuses another system beside it.
    keys = (folder / "keys.json").read_text()
    system = System(folder).wait_for(READY)
    assert "Preparing the database" not in system.output
    assert system.get("/readyz")[0] == 200
    assert (folder / "keys.json").read_text() == keys
    assert "Another system is running on the home folder" in _only_line(System(folder))

    # A worker that was killed comes back.
    first = _worker(system)
    assert first
    os.kill(first, signal.SIGKILL)
    system.wait_for("The worker ended unexpectedly (signal SIGKILL); it is started again.")
    wait_until(lambda: _worker(system) not in (None, first), "a new worker")
    assert system.get("/readyz")[0] == 200

    # Killed itself, it leaves nothing behind.
    family = system.family()
    assert len(family) >= 3
    system.process.kill()
    system.wait_for_end()
    wait_until(lambda: not any(map(is_running, family)), "the end of all its processes")


def _worker(system: System) -> int | None:
    return next((pid for pid, command in system.family().items() if "worker --pool" in command), None)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.redis
def test_it_uses_postgresql_and_redis_where_they_are_given(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    name = f"up_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    database = f"{postgres_url.rpartition('/')[0]}/{name}"
    try:
        with System(tmp_path, DATABASE_URL=database, REDIS_URL=redis_url) as system:
            system.wait_for(READY)
            assert system.get("/readyz")[0] == 200
        assert not (tmp_path / "hitl.sqlite3").exists()
        with psycopg.connect(database) as connection:
            assert connection.execute("SELECT count(*) FROM django_migrations").fetchone() != (0,)
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_it_names_the_occupied_port_and_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = _only_line(System(tmp_path, PORT=str(port)))
    assert line.startswith(f"Port {port} on 127.0.0.1 is not free")
    assert "Set PORT" in line
    assert not (tmp_path / "keys.json").exists()


def test_it_names_a_port_that_is_none(tmp_path: Path) -> None:
    assert "PORT is '80000', which is not a port" in _only_line(System(tmp_path, PORT="80000"))


def test_it_names_a_home_that_is_a_file(tmp_path: Path) -> None:
    in_the_way = tmp_path / "home"
    in_the_way.touch()
    line = _only_line(System(in_the_way))
    assert str(in_the_way) in line
    assert "Set HITL_HOME" in line


@linux_only
def test_it_names_a_home_that_cannot_be_written() -> None:
    with pytest.raises(home.HomeError, match="The home folder /proc/hitl cannot be used"):
        home.prepare(Path("/proc/hitl"), {})


def test_it_names_a_broken_keys_file(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    line = _only_line(System(tmp_path))
    assert "keys.json is broken" in line
    assert "is not JSON" in line


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("{", "is not JSON"), ("[]", "has no secret_key"), ('{"secret_key": "x"}', "has no encryption_keys")],
)
def test_it_leaves_a_broken_keys_file_as_it_is(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(home.HomeError, match=complaint):
        home.prepare(tmp_path, {})
    assert (tmp_path / "keys.json").read_text() == content


def test_it_never_makes_new_keys_for_an_old_database(tmp_path: Path) -> None:
    (tmp_path / "hitl.sqlite3").touch()
    with pytest.raises(home.HomeError, match=r"keys\.json is missing, but its database is there"):
        home.prepare(tmp_path, {})
    assert not (tmp_path / "keys.json").exists()


def test_it_names_a_database_that_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    line = _only_line(System(tmp_path, DATABASE_URL=f"postgresql://someone:hidden@127.0.0.1:{port}/tasks"))
    assert "The database cannot be used" in line
    assert "hidden" not in line


def test_it_stops_at_a_setting_that_is_dangerous(tmp_path: Path) -> None:
    line = _only_line(System(tmp_path, HITL_DEBUG="1", HITL_ALLOWED_HOSTS="tasks.example.com"))
    assert line.startswith(
        "hitl.E004: HITL_DEBUG is on while the system can be reached from outside (tasks.example.com)"
    )
