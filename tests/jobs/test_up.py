"""`manage.py up`, as an operator sees it: real processes, what they print and how they end."""

import os
import signal
import socket
import stat
import sys
from pathlib import Path

import psycopg
import pytest

from tests.system import READY, System, is_running, wait_until

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _only_line(system: System) -> str:
    """What it said, being a single line."""
    assert system.wait_for_end() == 1
    assert len(system.lines) == 1, system.output
    return system.lines[0]


@pytest.fixture(scope="module")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder after its first start."""
    home = tmp_path_factory.mktemp("used") / "home"
    with System(home) as system:
        system.wait_for(READY)
    return home


@linux_only
@pytest.mark.slow
def test_it_serves_from_an_empty_folder_and_ctrl_c_stops_everything(tmp_path: Path) -> None:
    home = tmp_path / "home"
    system = System(home).wait_for(READY)
    family = system.family()
    assert system.get("/livez") == (200, "alive\n")
    assert system.get("/readyz") == (200, '{"status": "ready"}')
    assert system.get("/api/v1/nothing/")[0] == 404
    assert system.get("/livez", Script_Name="/x", Path_Info="/admin/")[0] == 200
    assert f"{system.url}/admin/" in system.output
    assert f"{system.url}/api/docs/" in system.output
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "keys.json").stat().st_mode) == 0o600
    for part in ("gunicorn hitl.wsgi", "worker --pool threads", "--quiet beat"):
        assert any(part in command for command in family.values()), part

    assert system.stop() == 0
    assert [command for pid, command in family.items() if is_running(pid)] == []
    assert "Traceback" not in system.output
    assert system.lines[-1] == "Stopped."
    with socket.create_server(("127.0.0.1", system.port)):
        pass


@pytest.mark.slow
def test_it_starts_again_on_the_same_data(used_home: Path) -> None:
    keys = (used_home / "keys.json").read_text()
    with System(used_home) as system:
        system.wait_for(READY)
        assert "Preparing the database" not in system.output
        assert system.get("/readyz")[0] == 200
    assert (used_home / "keys.json").read_text() == keys


@linux_only
@pytest.mark.slow
def test_it_brings_back_a_worker_that_was_killed(used_home: Path) -> None:
    def worker() -> int | None:
        return next((pid for pid, command in system.family().items() if "worker --pool" in command), None)

    with System(used_home) as system:
        system.wait_for(READY)
        first = worker()
        assert first
        os.kill(first, signal.SIGKILL)
        system.wait_for("The worker ended unexpectedly (signal SIGKILL); it is started again.")
        wait_until(lambda: worker() not in (None, first), "a new worker")
        assert system.get("/readyz")[0] == 200


@linux_only
@pytest.mark.slow
def test_it_leaves_nothing_behind_when_it_is_killed_itself(used_home: Path) -> None:
    system = System(used_home).wait_for(READY)
    family = system.family()
    assert len(family) >= 3
    system.process.kill()
    system.wait_for_end()
    wait_until(lambda: not any(map(is_running, family)), "the end of all its processes")


@pytest.mark.slow
def test_it_refuses_a_second_system_on_the_same_home(used_home: Path) -> None:
    with System(used_home) as system:
        system.wait_for(READY)
        assert "Another system is running on the home folder" in _only_line(System(used_home))


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
    line = _only_line(System("/proc/hitl"))
    assert "The home folder /proc/hitl cannot be used" in line


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("{", "is not JSON"), ("[]", "has no secret_key"), ('{"secret_key": "x"}', "has no encryption_keys")],
)
def test_it_names_a_broken_keys_file(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    line = _only_line(System(tmp_path))
    assert "keys.json is broken" in line
    assert complaint in line
    assert (tmp_path / "keys.json").read_text() == content


def test_it_never_makes_new_keys_for_an_old_database(tmp_path: Path) -> None:
    (tmp_path / "hitl.sqlite3").touch()
    assert "keys.json is missing, but its database is there" in _only_line(System(tmp_path))
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
