"""`manage.py up`: the whole system from one command."""

import json
import os
import socket
import sys
from io import StringIO
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.utils import OperationalError

from hitl import home
from hitl.health import pending_migrations
from hitl.supervisor import Plan, Program, become

WEB_PROCESSES: Final = 2
WEB_THREADS: Final = 4  # a slow reader occupies a thread, not the console
JOB_THREADS: Final = 8  # a hanging receiver occupies a few of them; timers use the others
DEMO_PEOPLE: Final = {
    "ana": "reviews creatives",
    "sam": "leads creative review",
    "zoe": "ad operations",
    "tom": "technical operations",
    "cora": "compliance",
    "root": "administrator",
}


class Stop(Exception):
    """The system cannot start; the message is one line that says why and what helps."""


class Command(BaseCommand):
    help = (
        "Run the whole system (web, worker and beat) until Ctrl-C. Prepares the home folder, the keys and the database "
        "on the first start. PORT (8000), HITL_BIND (127.0.0.1) and HITL_HOME (var/) move it; HITL_DEMO=1 adds demo "
        "people and data; DATABASE_URL and REDIS_URL replace SQLite and the folder broker."
    )
    # The keys do not exist before the first start; the checks run below, once they do.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        os.umask(0o077)  # databases and schedules hold what only this account may read
        try:
            port = _port(os.environ.get("PORT", "8000"))
            _ensure_free(settings.HITL_BIND, port)
            if home.prepare(settings.HITL_HOME, dict(os.environ)):
                # The settings of this process were read without keys.
                os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  (this very command)
            with home.only_one(settings.HITL_HOME) as lock:
                self._prepare_database()
                become(_plan(settings.HITL_BIND, port), lock)
        except (Stop, home.HomeError) as error:
            self._say(str(error))
            sys.exit(1)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _prepare_database(self) -> None:
        _stop_on_errors()
        try:
            if pending_migrations():
                self._say("Preparing the database ...")
                call_command("migrate", interactive=False, verbosity=0)
            _stop_on_errors(DEFAULT_DB_ALIAS)
        except OperationalError as error:
            raise Stop(f"The database cannot be used: {str(error).strip().splitlines()[0]}") from error
        if _wants_demo() and not _has_demo(settings.HITL_HOME / "demo.json"):
            self._say("Making the demo people and data ...")
            call_command("demo_data", verbosity=0, stdout=StringIO())
        connections.close_all()


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise Stop(f"PORT is {text!r}, which is not a port. Set PORT to a number from 1 to 65535, e.g. PORT=8001.")


def _ensure_free(host: str, port: int) -> None:
    """Find out now, in one line, what the web server would say in twenty."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise Stop(f"HITL_BIND is {host!r}, no address of this machine. Unset it to serve 127.0.0.1.") from error
    except PermissionError as error:
        raise Stop(
            f"Port {port} is not allowed to this account. Set PORT to one above 1023, e.g. PORT=8001."
        ) from error
    except OSError as error:
        raise Stop(
            f"Port {port} on {host} is not free ({error.strerror}). Set PORT to another one, e.g. PORT={port + 1}."
        ) from error


def _stop_on_errors(*databases: str) -> None:
    """Run our own checks; Django's run with `migrate` and in CI, and would cost each start half a second."""
    found = [message for message in checks.run_checks(tags=["hitl"], databases=databases) if message.is_serious()]
    if found:
        raise Stop("\n".join(f"{message.id}: {message.msg} {message.hint or ''}".rstrip() for message in found))


def _wants_demo() -> bool:
    return os.environ.get("HITL_DEMO", "").lower() in {"1", "true", "yes", "on"}


def _has_demo(path: Path) -> bool:
    """Whether the demo people are here already. `demo_data` itself would test six passwords, slowly by design."""
    return path.is_file() and get_user_model().objects.filter(username__in=DEMO_PEOPLE).count() == len(DEMO_PEOPLE)


def _plan(host: str, port: int) -> Plan:
    return Plan(_programs(host, port), str(settings.BASE_DIR), host, port, _announcement())


def _programs(host: str, port: int) -> list[Program]:
    python = [sys.executable, "-m"]
    celery = [*python, "celery", "--app", "hitl", "--quiet"]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    environment = {
        "HITL_HOME": str(settings.HITL_HOME),
        "HITL_BASE_URL": settings.HITL_BASE_URL,
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
        "PYTHONUNBUFFERED": "1",
        # Threads that allocate in arenas of their own never give them back.
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2"),
    }
    # Celery warns of root on each start; in a container there is nobody else to be.
    quiet = {**environment, "PYTHONWARNINGS": "ignore:::celery.platforms"}
    return [
        Program(
            "web server",
            [
                *python, "gunicorn", "hitl.wsgi", "--bind", address, "--no-control-socket",
                # Imported once for all web processes: the start is sooner over, and they share what they do not change.
                "--preload", "--workers", str(WEB_PROCESSES), "--threads", str(WEB_THREADS),
                "--worker-class", "hitl.worker.Worker",
                # No header overrides where we stand: by default whoever calls from this machine could send SCRIPT_NAME.
                "--forwarder-headers", "",
                "--graceful-timeout", "5", "--log-level", "warning",
            ],
            environment,
        ),
        Program(
            "worker",
            [
                *celery, "worker", "--pool", "threads", "--concurrency", str(JOB_THREADS),
                "--queues", "timers,deliveries", "--without-gossip", "--without-mingle", "--without-heartbeat",
            ],
            quiet,
        ),
        Program("beat", [*python, "celery", "--app", "hitl.beat", "--quiet", "beat"], quiet),
    ]  # fmt: skip


def _announcement() -> str:
    base = settings.HITL_BASE_URL
    lines = [
        "",
        "The human task queue is running.",
        "",
        f"  Console       {base}/admin/",
        f"  API           {base}/api/v1/   (documentation: {base}/api/docs/)",
        *_demo_lines(settings.HITL_HOME / "demo.json"),
        f"  Data          {settings.HITL_HOME}",
        "  Stop          Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def _demo_lines(path: Path) -> list[str]:
    """The demo people's logins and the adapter's token, as `manage.py demo_data` left them; nothing without a demo."""
    if not path.is_file():
        return []
    demo = json.loads(path.read_text())
    people = [f"{name:<5} {password:<14} {DEMO_PEOPLE.get(name, '')}" for name, password in demo["logins"].items()]
    titles = ["Sign in as", *[""] * len(people)]
    return [
        *(f"  {title:<13} {line}".rstrip() for title, line in zip(titles, people, strict=False)),
        f"  Adapter token {demo['tokens']['bot']}   (adapter bot, principal acme_corp)",
    ]
