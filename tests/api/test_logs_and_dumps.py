"""What stays behind: log lines stay lines, and a dump of the database shows no secret."""

import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.db import connection
from django.test import Client

from core import crypto
from core.logs import LineFormatter
from core.requests import set_correlation_id
from tasks_app import tokens
from tasks_app.models import AdapterToken, Principal, User
from tests.api.conftest import TASKS, ClientFactory
from tests.api.test_login_and_headers import sign_in
from tests.cast import PASSWORD

# -- logs

BREAKS: Final = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
PAYLOADS: Final = [
    f"{before}{control}2026-01-01T00:00:00Z CRITICAL root all is well{after}"
    for control in (*BREAKS, "\x1b[2K", "\0", "\b", "\x7f")
    for before, after in (("", ""), ("gam ", control))
]


class Lines(logging.Handler):
    """What would stand in the log file."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))


@pytest.fixture
def lines() -> Any:
    handler, root = Lines(), logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    set_correlation_id("")


@pytest.mark.django_db
def test_its_log_lines_stay_lines(lines: Lines, client: Client) -> None:
    assert len(PAYLOADS) == 30
    for payload in PAYLOADS:
        client.get(f"/api/v1/{payload}/", headers={"X-Correlation-ID": payload.replace("\n", "").replace("\r", "")})
    assert len(lines.text) == 30
    assert len("\n".join(lines.text).splitlines()) == 30
    for payload in PAYLOADS:
        logging.getLogger("test").warning("said: %s", payload)
    assert len("\n".join(lines.text).splitlines()) == 60


@pytest.mark.django_db
def test_its_check_finds_a_formatter_that_lets_lines_break(lines: Lines) -> None:
    lines.setFormatter(logging.Formatter("%(message)s"))
    for payload in PAYLOADS:
        logging.getLogger("test").warning("said: %s", payload)
    assert len("\n".join(lines.text).splitlines()) > 30


# -- what a dump of the database shows


def dump() -> bytes:
    """Every value of every column of every table, binary ones as they are."""
    parts = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                for value in row:
                    parts.append(bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode())
    return b"\n".join(parts)


def planted(count: int) -> list[tuple[str, str]]:
    """Personal data and credentials, each in the sentence that an ad server would say it in."""
    kinds: list[Callable[[int], str]] = [
        lambda n: f"planted.person{n}@mail-{n}.example",
        lambda n: f"ghp_{secrets.token_hex(18)}",
        lambda n: f"AKIA{secrets.token_hex(8).upper()}",
        lambda n: f"postgres://admin:pw{secrets.token_hex(6)}@db.example/x",
        lambda n: f"Bearer {secrets.token_urlsafe(32)}",
    ]
    values = [kinds[number % len(kinds)](number) for number in range(count)]
    return [(value, f"Request {number} failed for {value}, see log") for number, value in enumerate(values)]


@pytest.mark.django_db
def test_it_keeps_no_secret_in_clear(
    api: ClientFactory, people: dict[str, User], principals: dict[str, Principal], settings: Any
) -> None:
    settings.HITL_RATE_LIMIT = 0
    bot, secret_texts = api("bot"), []
    for number, (value, sentence) in enumerate(planted(200)):
        places: list[dict[str, Any]] = [
            {"error_detail": sentence},
            {"context_data": {"note": sentence}},
            {"context_data": {"a": [sentence]}},
        ]
        body = {"task_type": "creative_approval", "principal_id": "acme_corp"} | places[number % 3]
        assert bot.post(TASKS, body, headers={"Idempotency-Key": f"key-{number}"}).status_code == 201
        secret_texts.append(value.removeprefix("Bearer ").removeprefix("postgres://admin:").partition("@db.example")[0])
    issued = [tokens.issue("t", people[who])[1] for who in ("ana", "sam", "bot") for _ in range(5)]
    secret_texts += [text.split("_", 2)[2] for text in issued]
    secret_texts += [PASSWORD, *(f"key-{number}" for number in range(3))]
    client = Client()
    sign_in(client, "ana", PASSWORD)
    sign_in(client, "sam", "a wrong pass phrase")
    text = dump()
    assert text.count(b"task_") > 200, "the dump holds the tasks"
    assert [value for value in secret_texts if value.encode() in text] == []
    assert b"a wrong pass phrase" not in text


@pytest.mark.django_db
def test_its_check_finds_a_secret_that_was_kept(people: dict[str, User]) -> None:
    row, text = tokens.issue("t", people["ana"])
    secret = text.split("_", 2)[2]
    assert secret.encode() not in dump()
    assert AdapterToken.objects.get(pk=row.pk).digest == crypto.token_digest(secret)
    AdapterToken.objects.filter(pk=row.pk).update(name=secret)
    assert secret.encode() in dump()
