"""What every test stands on: no way out but loopback, guarded tables that survive flushes, real servers, a browser."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from auditlog.context import disable_auditlog
from django.core.management import call_command
from django.db import connections
from django.test import TransactionTestCase
from playwright.sync_api import Browser, Page, sync_playwright
from whitenoise.middleware import WhiteNoiseMiddleware

from core import guards
from tests import servers

pytest_plugins = ["tests.cast"]

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


class WayOutError(RuntimeError):
    """A test tried to reach something beyond this machine."""


def _stays_here(host: Any) -> bool:
    try:
        return host in (None, "", b"", "localhost", b"localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _no_way_out() -> Iterator[None]:
    """Block sockets and look-ups but for loopback. Names under the reserved `.invalid` and `.test` do not resolve."""
    patch = pytest.MonkeyPatch()
    lookup = socket.getaddrinfo

    def guarded(name: str) -> None:
        original = getattr(socket.socket, name)

        def connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _stays_here(address[0]):
                self.close()  # callers close it for an OSError only
                raise WayOutError(f"a test tried to connect to {address[0]}")
            return original(self, address)

        patch.setattr(socket.socket, name, connect)

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if _stays_here(host) or _is_address(host):
            return lookup(host, *args, **kwargs)
        if str(host).rstrip(".").endswith((".invalid", ".test")):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        raise WayOutError(f"a test tried to look up {host}")

    guarded("connect")
    guarded("connect_ex")
    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    patch.undo()


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@pytest.fixture(autouse=True, scope="session")
def _static_files_are_looked_for_once() -> Iterator[None]:
    """Once for all test clients, as in a process that serves: each client loads the middleware anew."""
    found: dict[str, Any] = {}
    look = WhiteNoiseMiddleware.add_files_from_finders

    def remembering(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            look(middleware)
            found.update(middleware.files)
        middleware.files.update(found)

    patch = pytest.MonkeyPatch()
    patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", remembering)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """After a test with real transactions: empty the tables, guarded ones too, and put the migrations' rows back.

    Django's own flush would be refused by the append-only guards, and would leave a database without task types. The
    rows are taken before the first such test: until then every test was rolled back.
    """
    migrated: dict[str, str] = {}
    set_up = TransactionTestCase.__dict__["_fixture_setup"].__func__

    def remember(case: type[TransactionTestCase]) -> None:
        for alias in connections:
            if alias not in migrated:
                migrated[alias] = connections[alias].creation.serialize_db_to_string()
        set_up(case)

    def restore(test: TransactionTestCase) -> None:
        for alias, rows in migrated.items():
            connection = connections[alias]
            guarded = [guarded.table for guarded in guards.APPEND_ONLY]
            with guards.lifted(guarded, connection), disable_auditlog():
                # Sequences go on: put back to 1, they would give out the ids of the rows that come next.
                options = {"inhibit_post_migrate": True, "reset_sequences": False}
                call_command("flush", verbosity=0, interactive=False, database=alias, **options)
                connection.creation.deserialize_db_from_string(rows)

    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_setup", classmethod(remember))
    patch.setattr(TransactionTestCase, "_fixture_teardown", restore)
    yield
    patch.undo()


def _missing(error: servers.NoServerError) -> None:
    """A visible skip for a user, a failure in CI."""
    (pytest.fail if IN_CI else pytest.skip)(f"{type(error).__doc__} {error}")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server, whatever database the run itself is on; its user may create databases."""
    try:
        with servers.postgres() as url:
            yield url
    except servers.NoServerError as error:
        _missing(error)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server."""
    try:
        with servers.redis_server() as url:
            yield url
    except servers.NoServerError as error:
        _missing(error)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium, for one module: playwright keeps an event loop running in this thread, which others would meet."""
    try:
        path = servers.chromium()
    except servers.NoServerError as error:
        _missing(error)
    patch = pytest.MonkeyPatch()
    patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=servers.chromium_flags())
        yield browser
        browser.close()
    patch.undo()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """Chromium without anything of another test: what this one opened is closed after it."""
    yield chromium
    for context in chromium.contexts:
        context.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A desktop-sized page; what it logs as an error fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert not complaints, f"the page complained: {complaints}"


@pytest.fixture(autouse=True, scope="session")
def _no_session_left_behind(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """End what killed processes and browsers left open: PostgreSQL drops no database that somebody is in."""
    yield
    with django_db_blocker.unblock():
        if connections["default"].vendor == "postgresql":
            with connections["default"].cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            connections["default"].close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each test once, where its database does not matter, or where it is about one of them."""
    on_postgresql = connections["default"].vendor == "postgresql"
    elsewhere = [item for item in items if not _belongs_here(item, on_postgresql=on_postgresql)]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in set(elsewhere)]


def _belongs_here(item: pytest.Item, *, on_postgresql: bool) -> bool:
    if not on_postgresql:
        return item.get_closest_marker("postgresql_alone") is None
    return _asks_the_database(item)


def _asks_the_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("once"):
        return False
    fixtures = getattr(item, "fixturenames", [])
    return item.get_closest_marker("django_db") is not None or not {"db", "transactional_db"}.isdisjoint(fixtures)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skip is a failure: it prints their number, which must be 0."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not IN_CI or reporter is None or hasattr(session.config, "workerinput"):
        return
    skipped = len(reporter.stats.get("skipped", []))
    reporter.write_line(f"\nskipped tests: {skipped} (CI allows 0)")
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
