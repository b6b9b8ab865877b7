"""/livez and /readyz answer probes; /livez whatever the database does."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from core import clock
from hitl import health
from tasks_app.metrics import note_sweep
from tasks_app.models import HumanTask
from tests.cast import NewTaskFactory

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
    with django_assert_num_queries(3):  # is it there, when were timers swept, is one due
        client.get("/readyz")


@pytest.mark.django_db
def test_it_says_without_any_job_that_the_timers_are_silent(client: Client, make_task: NewTaskFactory) -> None:
    """A dead beat tells nobody by itself. The process serves, so it stays ready."""
    make_task(priority=4)
    note_sweep(clock.now() - timedelta(seconds=100))
    assert client.get("/readyz").json() == {"status": "ready"}
    note_sweep(clock.now() - timedelta(seconds=300))
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert "Timers have not run for 30" in answer.json()["warning"]


@pytest.mark.django_db
def test_it_notices_timers_that_never_ran(client: Client, make_task: NewTaskFactory) -> None:
    task = make_task(priority=4)
    assert client.get("/readyz").json() == {"status": "ready"}
    HumanTask.objects.filter(pk=task.pk).update(next_timer_at=clock.now() - timedelta(minutes=10))
    assert "Timers have not run for 6" in client.get("/readyz").json()["warning"]
