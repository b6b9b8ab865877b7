"""Whatever changes what processes remember gives a new revision, and nothing that they remember is read elsewhere."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.checks import run_checks
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core import clock, recent, revised
from core.recent import Recent, RecentRows
from tasks_app import lookups, tokens
from tasks_app.admin import actors
from tasks_app.models import AdapterToken, Principal, TaskType, Team, TeamMembership, User
from tasks_app.services import create

REVIEW = "creative-review"


@pytest.fixture
def now(settings: Any, monkeypatch: pytest.MonkeyPatch, inside: SimpleNamespace) -> Iterator[list[float]]:
    """The clock of what is remembered, for a second a look."""
    settings.HITL_LOOKUP_SECONDS = 1.0
    moments = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: moments[0])
    recent.forget_everything()
    yield moments
    recent.forget_everything()


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Whether the code takes itself to be in a transaction: the test's own does not count."""
    told = SimpleNamespace(in_atomic_block=False)
    monkeypatch.setattr(recent, "connection", told)
    return told


def commit() -> None:
    """What PostgreSQL puts off until then is done now. (A transaction renews once: each savepoint counts as one.)"""
    with transaction.atomic():
        connection.check_constraints()


def changes(change: Callable[[], Any]) -> bool:
    """Whether the change gives a new revision when it is committed."""
    commit()
    before = revised.token()
    with transaction.atomic():
        change()
        commit()
    return revised.token() != before


def sql(statement: str) -> Callable[[], None]:
    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    return run


def test_it_sees_every_kind_of_change_of_every_table(people: dict[str, User]) -> None:
    """In each table one row changes, goes and comes, by plain SQL: by whatever a door of the ORM does, or somebody."""
    team, kind = Team.objects.get(pk=REVIEW), TaskType.objects.first()
    role, permission, token = (
        Group.objects.create(name="x"),
        Permission.objects.first(),
        tokens.issue("x", people["bot"])[0],
    )
    assert kind is not None
    assert permission is not None
    doors: dict[str, list[Callable[[], Any]]] = {
        "tasks_app.TaskType": [lambda: TaskType.objects.filter(pk=kind.pk).update(label="x")],
        "tasks_app.Team": [lambda: Team.objects.filter(pk=REVIEW).update(return_after_minutes=9)],
        "tasks_app.Team_task_types": [lambda: team.task_types.clear(), lambda: team.task_types.add(kind)],
        "tasks_app.Team_principals": [
            lambda: team.principals.set(Principal.objects.filter(pk="globex")),
            lambda: team.principals.clear(),
        ],
        "tasks_app.Principal": [
            lambda: Principal.objects.bulk_create([Principal(pk="new", name="New")]),
            lambda: Principal.objects.filter(pk="new").update(is_active=False),
            sql("DELETE FROM tasks_app_principal WHERE principal_id = 'new'"),
        ],
        "tasks_app.TeamMembership": [
            lambda: TeamMembership.objects.filter(user=people["sam"]).update(role="member"),
            lambda: TeamMembership.objects.filter(user=people["sam"]).delete(),
        ],
        "tasks_app.User": [sql("UPDATE tasks_app_user SET is_active = NOT is_active WHERE username = 'zoe'")],
        "tasks_app.User_groups": [lambda: people["ana"].groups.add(role), lambda: people["ana"].groups.clear()],
        "tasks_app.User_user_permissions": [lambda: people["ana"].user_permissions.add(permission)],
        "tasks_app.AdapterToken": [lambda: AdapterToken.objects.filter(pk=token.pk).update(revoked_at=clock.now())],
        "tasks_app.AdapterToken_principals": [lambda: token.principals.set(Principal.objects.filter(pk="globex"))],
        "auth.Group": [lambda: Group.objects.filter(pk=role.pk).update(name="y")],
        "auth.Group_permissions": [lambda: role.permissions.add(permission), lambda: role.permissions.clear()],
        "auth.Permission": [lambda: Permission.objects.filter(pk=permission.pk).update(codename="x")],
        "contenttypes.ContentType": [sql("UPDATE django_content_type SET model = 'x' WHERE model = 'logentry'")],
    }
    assert set(doors) == set(revised.WATCHED)
    blind = [label for label, found in doors.items() for change in found if not changes(change)]
    assert blind == []


def test_it_passes_over_what_is_written_all_the_time(people: dict[str, User]) -> None:
    """When somebody last signed in, and a token was last used; but not over what is written with it."""
    token, ana = tokens.issue("x", people["ana"])[0], User.objects.filter(username="ana")
    assert not changes(lambda: ana.update(last_login=clock.now()))
    assert not changes(lambda: AdapterToken.objects.filter(pk=token.pk).update(last_used_at=clock.now()))
    assert not changes(lambda: Team.objects.get(pk=REVIEW).save())
    assert changes(lambda: ana.update(last_login=None, is_active=False))


@pytest.mark.postgresql_alone
def test_it_sees_a_table_emptied(people: dict[str, User]) -> None:
    assert changes(sql("TRUNCATE tasks_app_teammembership"))


def readers(people: dict[str, User]) -> dict[Any, Callable[[], Any]]:
    """Everything of the house that is remembered, with a question that reads it."""
    kind, (token, _text) = TaskType.objects.first(), tokens.issue("x", people["bot"])
    assert kind is not None
    return {
        lookups.kinds: lambda: lookups.kinds.get(kind.pk),
        lookups.teams: lambda: lookups.teams.get(REVIEW),
        lookups.principals: lambda: lookups.principals.get("acme_corp"),
        lookups.people: lambda: lookups.people.get(people["ana"].pk),
        lookups._specific: lambda: lookups._specific.get("all"),
        tokens._tokens: lambda: tokens._tokens.get(token.digest, token.prefix),
        tokens._grants: lambda: tokens.recent_grants(User.objects.get(username="ana")),
        actors._permissions: lambda: actors._permissions.get(people["ana"].pk, User.objects.get(username="ana")),
        create._teams: lambda: create._teams.get((kind.pk, "acme_corp"), kind),
    }


def test_everything_remembered_is_read_from_watched_tables(people: dict[str, User]) -> None:
    watched = {one.table for one in revised.WATCHED.values()}
    asked = readers(people)
    house = [
        module for name, module in sys.modules.items() if name.split(".")[0] in ("tasks_app", "notifications", "hitl")
    ]
    kept = {value for module in house for value in vars(module).values() if isinstance(value, Recent | RecentRows)}
    assert set(asked) == {value for value in kept if not (isinstance(value, Recent) and not value.is_watched)}
    for read in asked.values():
        with CaptureQueriesContext(connection) as queries:
            read()
        tables = {name for query in queries for name in re.findall(r'(?:FROM|JOIN) "(\w+)"', query["sql"])}
        assert tables
        assert tables <= watched


def test_it_asks_for_the_revision_alone_until_it_changes(people: dict[str, User], now: list[float]) -> None:
    """One small question a second, whoever calls; then everything in use again."""
    texts = [tokens.issue("x", people[name])[1] for name in ("ana", "sam")]
    commit()

    def ask() -> list[Any]:
        found = [tokens.resolve(text) for text in texts]
        return [found, [tokens.recent_grants(one.user) for one in found if one], lookups.teams.get(REVIEW)]

    ask()
    for _second in range(3):
        now[0] += 1.1
        with CaptureQueriesContext(connection) as queries:
            ask()
            ask()
        assert [query["sql"].split('"')[1] for query in queries] == ["tasks_app_cataloguerevision"]
    Team.objects.filter(pk=REVIEW).update(name="Another")
    AdapterToken.objects.filter(user=people["sam"]).update(revoked_at=clock.now())
    TeamMembership.objects.filter(user=people["ana"]).delete()
    commit()
    now[0] += 1.1
    (ana, sam), grants, team = ask()
    assert sam is None
    assert ana.user == people["ana"]
    assert [one.teams for one in grants] == [frozenset()]
    assert team.name == "Another"


def test_it_would_not_see_a_change_of_a_table_that_is_not_watched(people: dict[str, User], now: list[float]) -> None:
    """Negative control, and what is left where somebody has taken the triggers away: a minute, and a loud check."""
    commit()
    assert lookups.teams.get(REVIEW)
    quote = connection.ops.quote_name
    names = ["revised"] if connection.vendor == "postgresql" else revised._SQLite.names("tasks_app_team")
    on = " ON tasks_app_team" if connection.vendor == "postgresql" else ""
    for name in names:
        sql(f"DROP TRIGGER {quote(name)}{on}")()
    assert revised.missing(connection) == ["tasks_app_team"]
    assert [check.id for check in run_checks(databases=["default"]) if "tasks_app_team" in check.msg] == ["hitl.E010"]
    Team.objects.filter(pk=REVIEW).update(name="Another")
    commit()
    now[0] += 1.1
    seen = lookups.teams.get(REVIEW)
    assert seen is not None
    assert seen.name != "Another"
    now[0] += recent.LONGEST
    seen = lookups.teams.get(REVIEW)
    assert seen is not None
    assert seen.name == "Another"
    before = revised.token()
    revised.install_all()
    assert revised.missing(connection) == []
    assert revised.token() != before


def test_it_does_not_keep_what_a_transaction_took_back(
    people: dict[str, User], now: list[float], inside: SimpleNamespace
) -> None:
    commit()
    stored = lookups.teams.get(REVIEW)
    assert stored is not None
    now[0] += 1.1
    with transaction.atomic():
        inside.in_atomic_block = True
        Team.objects.filter(pk=REVIEW).update(name="Never")
        Principal.objects.create(pk="never", name="Never")
        commit()
        seen = [lookups.teams.get(REVIEW), lookups.principals.get("never")]
        assert [row and row.name for row in seen] == ["Never", "Never"]
        transaction.set_rollback(True)
    inside.in_atomic_block = False
    now[0] += 1.1
    assert lookups.principals.get("never") is None
    again = lookups.teams.get(REVIEW)
    assert again is not None
    assert again.name == stored.name


@pytest.mark.postgresql_alone
def test_two_changes_do_not_wait_for_each_other(db: None) -> None:
    """Until they are committed: the row of the revision would else be where one stops the other, or both do."""
    with closing(connection.copy()) as other:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("UPDATE tasks_app_team SET name = 'x' WHERE slug = %s", [REVIEW])
        sql("SET LOCAL lock_timeout = '2s'")()
        Principal.objects.create(pk="meanwhile", name="x")
        other.rollback()
