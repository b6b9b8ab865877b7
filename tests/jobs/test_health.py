"""/livez and /readyz answer probes; /livez whatever the database does."""

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from hitl import health

# What a load balancer sends: an address of its own as Host.
PROBE = {"host": "10.1.2.3:8000"}


@pytest.fixture
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not yet seen that the migrations are applied."""
    monkeypatch.setattr(health._Schema, "is_current", False)


@pytest.fixture
def database_down(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OperationalError("connection refused by 10.9.8.7 for user someone")

    monkeypatch.setattr(connection, "cursor", refuse)


def test_it_is_alive_without_asking_the_database(client: Client) -> None:
    # No django_db mark: a query would raise.
    answer = client.get("/livez", headers=PROBE)
    assert (answer.status_code, answer.content) == (200, b"alive\n")


def test_it_answers_probes_whose_host_nobody_else_may_use(client: Client) -> None:
    assert client.get("/livez", headers=PROBE).status_code == 200
    assert client.get("/admin/login/", headers=PROBE).status_code == 400


def test_it_answers_probes_without_sending_them_to_https(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/livez").status_code == 200
    assert client.get("/admin/login/").status_code == 301


@pytest.mark.django_db
def test_it_is_ready_when_database_migrations_and_keys_are_there(client: Client, fresh_process: None) -> None:
    answer = client.get("/readyz", headers=PROBE)
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


@pytest.mark.django_db
def test_it_is_not_ready_while_a_migration_is_missing(client: Client, fresh_process: None) -> None:
    MigrationRecorder(connection).migration_qs.filter(app="tasks_app").latest("pk").delete()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "reason": "1 migrations are not applied. Run `manage.py migrate`."}


@pytest.mark.django_db
def test_it_is_not_ready_without_its_keys(client: Client, settings: Settings) -> None:
    settings.HITL_DIGEST_KEY = ""
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "These keys are missing: HITL_DIGEST_KEY."


@pytest.mark.django_db
def test_it_is_alive_but_not_ready_while_the_database_is_down(
    client: Client, fresh_process: None, database_down: None
) -> None:
    assert client.get("/livez").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "The database cannot be reached."


@pytest.mark.django_db
def test_it_looks_at_the_migrations_once(
    client: Client, fresh_process: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.get("/readyz")
    with django_assert_num_queries(1):
        client.get("/readyz")
