"""Each system check finds what it is for, says what helps, and is silent about settings that are right."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite
from pytest_django import Settings

from core import guards
from hitl import checks, home

Check = Callable[..., list[CheckMessage]]

RANDOM = "Xq7-vR2mZp9sLk4wTb8yNc1eGd6hUf3jAo5iVx0zQr_tMnSb2w"

# Check, settings that are wrong, the id, and what the operator reads.
WRONG: list[tuple[Check, dict[str, Any], str, str]] = [
    (checks.keys_are_there, {"HITL_DIGEST_KEY": ""}, "hitl.E001", "HITL_DIGEST_KEY is missing"),
    (checks.keys_are_there, {"HITL_SIGNING_KEY": ""}, "hitl.E001", "HITL_SIGNING_KEY is missing"),
    (checks.keys_are_there, {"HITL_ENCRYPTION_KEYS": []}, "hitl.E001", "HITL_ENCRYPTION_KEYS is missing"),
    (checks.secret_key_is_random, {"SECRET_KEY": "short"}, "hitl.E002", "can be guessed"),
    (checks.secret_key_is_random, {"SECRET_KEY": "a" * 60}, "hitl.E002", "can be guessed"),
    (checks.secret_key_is_random, {"SECRET_KEY": f"django-insecure-{RANDOM}"}, "hitl.E002", "can be guessed"),
    (checks.keys_have_their_form, {"HITL_ENCRYPTION_KEYS": ["no key"]}, "hitl.E003", "number 1"),
    (checks.keys_have_their_form, {"HITL_SIGNING_KEY": "AAAA"}, "hitl.E003", "HITL_SIGNING_KEY"),
    (checks.debug_is_private, {"DEBUG": True, "HITL_BIND": "10.0.0.5"}, "hitl.E004", "10.0.0.5"),
    (
        checks.debug_is_private,
        {"DEBUG": True, "ALLOWED_HOSTS": ["tasks.example.com"]},
        "hitl.E004",
        "tasks.example.com",
    ),
    (checks.debug_is_private, {"DEBUG": True, "HITL_BASE_URL": "https://t.example"}, "hitl.E004", "t.example"),
    (checks.debug_is_private, {"DEBUG": True, "HITL_HTTPS": True}, "hitl.E004", "https"),
    (checks.allowed_hosts_are_named, {"HITL_HTTPS": True, "ALLOWED_HOSTS": ["*"]}, "hitl.E005", "forged Host"),
    (checks.trusted_proxies_are_addresses, {"HITL_TRUSTED_PROXIES": ["proxy"]}, "hitl.E008", "proxy"),
    (checks.webhook_url_can_be_called, {"HITL_WEBHOOK_URL": "http://hooks.example.com/"}, "hitl.E009", "https://"),
    (checks.webhook_url_can_be_called, {"HITL_WEBHOOK_URL": "https://127.0.0.1/"}, "hitl.E009", "cannot be called"),
    (checks.webhook_url_can_be_called, {"HITL_WEBHOOK_URL": "https://u:p@h.example/"}, "hitl.E009", "password"),
    (checks.webhook_url_can_be_called, {"HITL_WEBHOOK_URL": "hooks.example.com"}, "hitl.E009", "https://"),
]

RIGHT: list[dict[str, Any]] = [
    {"SECRET_KEY": RANDOM},
    {"DEBUG": True, "ALLOWED_HOSTS": ["127.0.0.1", "localhost", "[::1]"], "HITL_BASE_URL": "http://127.0.0.1:8000"},
    {"HITL_HTTPS": True, "ALLOWED_HOSTS": ["tasks.example.com"]},
    {"HITL_TRUSTED_PROXIES": ["10.0.0.7", "10.1.0.0/24", "2001:db8::/32"]},
    {"HITL_WEBHOOK_URL": "https://hooks.example.com/tasks"},
    {"HITL_WEBHOOK_URL": "http://127.0.0.1:9001/", "HITL_ALLOW_PRIVATE_HOSTS": ["127.0.0.1"]},
]


def _set(settings: Settings, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(settings, name, value)


@pytest.mark.parametrize(("check", "values", "number", "text"), WRONG)
def test_it_finds_the_dangerous_setting(
    settings: Settings, check: Check, values: dict[str, Any], number: str, text: str
) -> None:
    assert check(None) == []
    _set(settings, values)
    (message,) = check(None)
    assert message.id == number
    assert text in message.msg
    assert message.hint
    assert message.is_serious()


@pytest.mark.parametrize("values", RIGHT)
def test_it_is_silent_about_settings_that_are_right(settings: Settings, values: dict[str, Any]) -> None:
    _set(settings, values)
    assert run_checks(tags=["hitl"]) == []


def test_it_counts_the_placeholder_as_no_key_at_all(settings: Settings) -> None:
    settings.SECRET_KEY = settings.HITL_NO_SECRET_KEY
    assert checks.missing_keys() == ["HITL_SECRET_KEY"]
    assert checks.secret_key_is_random(None) == []


def test_it_accepts_every_key_that_it_generates(settings: Settings) -> None:
    for name, value in home.new_keys().items():
        setattr(settings, "SECRET_KEY" if name == "secret_key" else home.KEYS[name], value)
    assert run_checks(tags=["hitl"]) == []


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> Iterator[BaseDatabaseWrapper]:
    """A SQLite connection with Django's own options, in the place of ours."""
    options = {
        **copy.deepcopy(connection.settings_dict),
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "OPTIONS": {},
    }
    wrapper = SQLite(options, alias="default")
    monkeypatch.setattr(checks, "connections", {"default": wrapper})
    yield wrapper
    wrapper.close()


@pytest.mark.django_db
def test_it_finds_sqlite_without_its_options(careless: BaseDatabaseWrapper) -> None:
    (message,) = checks.sqlite_keeps_its_promises(None, databases=["default"])
    assert message.id == "hitl.E006"
    assert "transaction_mode, recursive_triggers" in message.msg


@pytest.mark.django_db
def test_it_is_content_with_the_database_as_the_settings_make_it() -> None:
    assert checks.sqlite_keeps_its_promises(None, databases=["default"]) == []
    assert checks.guards_are_installed(None, databases=["default"]) == []


@pytest.mark.django_db
@pytest.mark.parametrize("guarded", guards.APPEND_ONLY, ids=lambda guarded: guarded.label)
def test_it_finds_a_table_whose_guard_was_taken_off(guarded: guards.Guarded) -> None:
    guards.remove(guarded.table, connection=connection)
    (message,) = checks.guards_are_installed(None, databases=["default"])
    assert message.id == "hitl.E007"
    assert guarded.table in message.msg
    assert "manage.py migrate" in str(message.hint)


def test_it_asks_the_database_only_when_a_database_is_named() -> None:
    # Without the django_db mark a query would raise; `check` and `runserver` pass None.
    assert checks.sqlite_keeps_its_promises(None, databases=None) == []
    assert checks.guards_are_installed(None, databases=None) == []
    assert list(connections)
