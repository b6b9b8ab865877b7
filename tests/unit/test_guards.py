"""Append-only guards against every statement that changes, replaces or removes a row, on the database at hand."""

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, NotSupportedError, connection, transaction
from django.db.models.signals import post_migrate

from core import guards

# Needs quoting, so that an unquoted name anywhere fails.
TABLE = "Scratch trail"
NAME = '"Scratch trail"'

FILL = (
    f"INSERT INTO {NAME} (event_id, task_id, seq, what) VALUES ('evt_1', 'a', 1, 'created'), ('evt_2', 'a', 2, 'done')"
)

CHANGES = {
    "update": f"UPDATE {NAME} SET what = 'forged'",
    "update one": f"UPDATE {NAME} SET what = 'forged' WHERE event_id = 'evt_1'",
    "update the key": f"UPDATE {NAME} SET event_id = 'evt_9' WHERE event_id = 'evt_1'",
    "update to the same": f"UPDATE {NAME} SET what = what",
    "delete": f"DELETE FROM {NAME}",
    "delete the last": f"DELETE FROM {NAME} WHERE seq = 2",
    "upsert": f"INSERT INTO {NAME} (event_id, task_id, seq, what) VALUES ('evt_1', 'b', 9, 'forged') "
    "ON CONFLICT (event_id) DO UPDATE SET what = excluded.what",
    "upsert on the other key": f"INSERT INTO {NAME} (event_id, task_id, seq, what) VALUES ('evt_9', 'a', 1, 'forged') "
    "ON CONFLICT (task_id, seq) DO UPDATE SET what = excluded.what",
}
SQLITE_ONLY = {
    "replace": f"REPLACE INTO {NAME} (event_id, task_id, seq, what) VALUES ('evt_1', 'b', 9, 'forged')",
    "insert or replace": (
        f"INSERT OR REPLACE INTO {NAME} (event_id, task_id, seq, what) VALUES ('evt_1', 'a', 1, 'forged')"
    ),
    "replace through the other unique key": (
        f"REPLACE INTO {NAME} (event_id, task_id, seq, what) VALUES ('evt_9', 'a', 1, 'forged')"
    ),
    "replace through the row id": (
        f"REPLACE INTO {NAME} (rowid, event_id, task_id, seq, what) VALUES (1, 'evt_9', 'b', 9, 'forged')"
    ),
    "replace from a query": f"REPLACE INTO {NAME} SELECT event_id, task_id, seq, 'forged' FROM {NAME}",
    "update or replace": f"UPDATE OR REPLACE {NAME} SET event_id = 'evt_1' WHERE event_id = 'evt_2'",
    "update or ignore": f"UPDATE OR IGNORE {NAME} SET what = 'forged'",
}
POSTGRES_ONLY = {
    "truncate": f"TRUNCATE {NAME}",
    "truncate cascade": f"TRUNCATE {NAME} RESTART IDENTITY CASCADE",
    "merge": f"MERGE INTO {NAME} t USING (VALUES ('evt_1')) s(id) ON t.event_id = s.id "
    "WHEN MATCHED THEN UPDATE SET what = 'forged'",
    "delete returning": f"WITH gone AS (DELETE FROM {NAME} RETURNING 1) SELECT count(*) FROM gone",
}

pytestmark = pytest.mark.django_db

# A test of one database's own ways is not collected on the other: a skip would be noise in every run.
ON_SQLITE, ON_POSTGRES = connection.vendor == "sqlite", connection.vendor == "postgresql"


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def rows() -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT event_id, task_id, seq, what FROM {NAME} ORDER BY event_id")
        return list(cursor.fetchall())


ORIGINAL = [("evt_1", "a", 1, "created"), ("evt_2", "a", 2, "done")]


@pytest.fixture
def table() -> Iterator[str]:
    execute(
        f"CREATE TABLE {NAME} (event_id varchar(40) NOT NULL PRIMARY KEY, task_id varchar(40) NOT NULL, "
        "seq integer NOT NULL, what varchar(40) NOT NULL, UNIQUE (task_id, seq))"
    )
    guards.install(TABLE, connection=connection)
    execute(FILL)
    yield TABLE
    execute(f"DROP TABLE {NAME}")


def attacks() -> list[object]:
    """The statements that this database knows."""
    own = {"sqlite": SQLITE_ONLY, "postgresql": POSTGRES_ONLY}[connection.vendor]
    return [pytest.param(sql, id=name) for name, sql in {**CHANGES, **own}.items()]


@pytest.mark.parametrize("sql", attacks())
def test_it_refuses_every_statement_that_changes_a_row(table: str, sql: str) -> None:
    with pytest.raises(IntegrityError, match="is append-only"), transaction.atomic():
        execute(sql)
    assert rows() == ORIGINAL


@pytest.mark.parametrize("sql", attacks())
def test_it_is_the_guard_that_refuses(table: str, sql: str) -> None:
    """The control: without the guard, each of the statements succeeds (those that change nothing included)."""
    guards.remove(table, connection=connection)
    execute(sql)
    if sql != CHANGES["update to the same"]:
        assert rows() != ORIGINAL


def test_it_lets_new_rows_in(table: str) -> None:
    execute(f"INSERT INTO {NAME} (event_id, task_id, seq, what) VALUES ('evt_3', 'a', 3, 'x'), ('evt_4', 'b', 1, 'x')")
    assert len(rows()) == 4


def test_it_still_refuses_a_second_row_with_the_same_key(table: str) -> None:
    for values in ("('evt_1', 'b', 1, 'x')", "('evt_3', 'a', 1, 'x')"):
        with pytest.raises(IntegrityError), transaction.atomic():
            execute(f"INSERT INTO {NAME} (event_id, task_id, seq, what) VALUES {values}")
    assert rows() == ORIGINAL


if ON_SQLITE:

    @pytest.mark.parametrize("sql", [SQLITE_ONLY["replace"], SQLITE_ONLY["replace through the other unique key"]])
    def test_it_needs_no_recursive_triggers_against_replace(table: str, sql: str) -> None:
        execute("PRAGMA recursive_triggers = OFF")
        try:
            with pytest.raises(IntegrityError, match="is append-only"), transaction.atomic():
                execute(sql)
            assert rows() == ORIGINAL
            execute('DROP TRIGGER "Scratch trail_append_only_insert"')
            execute(sql)
            assert rows() != ORIGINAL, "the control: it is the INSERT trigger that holds here"
        finally:
            execute("PRAGMA recursive_triggers = ON")


if ON_POSTGRES:

    def test_it_stays_awake_for_a_replica_session(table: str) -> None:
        execute("SET LOCAL session_replication_role = replica")
        for sql in (CHANGES["update"], CHANGES["delete"], POSTGRES_ONLY["truncate"]):
            with pytest.raises(IntegrityError, match="is append-only"), transaction.atomic():
                execute(sql)
        execute(f"ALTER TABLE {NAME} ENABLE TRIGGER append_only_row")
        execute(CHANGES["update"])
        assert rows() != ORIGINAL, "the control: an ordinary trigger sleeps"


def test_it_installs_twice_and_removes_twice(table: str) -> None:
    guards.install(table, connection=connection)
    assert guards.installed(table, connection)
    guards.remove(table, connection=connection)
    guards.remove(table, connection=connection)
    assert not guards.installed(table, connection)
    execute(CHANGES["update"])


def weakenings() -> list[tuple[list[str], str]]:
    """Statements that weaken the guard, with the database that knows them."""

    def trigger(event: str) -> str:
        return f'"Scratch trail_append_only_{event}"'

    return [
        *(([f"DROP TRIGGER {trigger(e)}"], "sqlite") for e in ("update", "delete", "insert")),
        (
            [
                f"DROP TRIGGER {trigger('update')}",
                f"CREATE TRIGGER {trigger('update')} BEFORE UPDATE ON {NAME} BEGIN SELECT 1; END",
            ],
            "sqlite",
        ),
        *(
            ([f"{change} {trigger} {rest}"], "postgresql")
            for trigger in ("append_only_row", "append_only_truncate")
            for change, rest in [("DROP TRIGGER", f"ON {NAME}"), (f"ALTER TABLE {NAME} DISABLE TRIGGER", "")]
        ),
        ([f"ALTER TABLE {NAME} ENABLE TRIGGER append_only_row"], "postgresql"),
        (
            [
                f"CREATE OR REPLACE FUNCTION {guards._PostgreSQL.FUNCTION}() RETURNS trigger LANGUAGE plpgsql "
                "AS $$BEGIN RETURN NEW; END$$"
            ],
            "postgresql",
        ),
    ]


@pytest.mark.parametrize("statements", [on for on, vendor in weakenings() if vendor == connection.vendor], ids=str)
def test_it_sees_and_repairs_a_weakened_guard(table: str, statements: list[str]) -> None:
    for statement in statements:
        execute(statement)
    assert not guards.installed(table, connection)
    guards.install(table, connection=connection)
    assert guards.installed(table, connection)
    with pytest.raises(IntegrityError, match="is append-only"), transaction.atomic():
        execute(CHANGES["update"])


def test_it_lifts_the_guard_for_a_block_and_puts_it_back(table: str) -> None:
    with guards.lifted([table], connection):
        execute(CHANGES["delete the last"])
    assert rows() == ORIGINAL[:1]
    assert guards.installed(table, connection)


def test_it_puts_the_guard_back_when_the_block_fails(table: str) -> None:
    def block() -> None:
        with guards.lifted([table], connection):
            execute(CHANGES["delete the last"])
            execute(FILL)

    with pytest.raises(IntegrityError):
        block()
    assert rows() == ORIGINAL
    assert guards.installed(table, connection)


def test_it_lifts_a_guard_while_foreign_keys_to_the_table_are_still_to_be_checked(table: str) -> None:
    """PostgreSQL alters no table with pending checks; a block that deletes referenced rows leaves some."""
    execute(
        f"CREATE TABLE scratch_child (event_id varchar(40) REFERENCES {NAME} (event_id) DEFERRABLE INITIALLY DEFERRED)"
    )
    execute("INSERT INTO scratch_child VALUES ('evt_1'), ('evt_2')")
    with guards.lifted([table], connection):
        execute("DELETE FROM scratch_child")
        execute(CHANGES["delete"])
    assert rows() == []
    assert guards.installed(table, connection)
    execute("DROP TABLE scratch_child")


def test_it_lifts_no_guard_that_was_not_there(table: str) -> None:
    guards.remove(table, connection=connection)
    with guards.lifted([table], connection):
        pass
    assert not guards.installed(table, connection)


if ON_SQLITE:

    @pytest.mark.parametrize("index", ["(what) WHERE seq > 1", "(lower(what))"])
    def test_it_refuses_a_table_that_replace_could_get_at(table: str, index: str) -> None:
        guards.remove(table, connection=connection)
        execute(f"CREATE UNIQUE INDEX scratch_odd ON {NAME} {index}")
        with pytest.raises(ImproperlyConfigured, match="scratch_odd"):
            guards.install(table, connection=connection)


def test_it_installs_every_registered_table_after_migrating_and_names_missing_ones(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scratch(guards.Guarded):
        table = TABLE
        model = apps.get_model("contenttypes", "ContentType")

    monkeypatch.setattr(guards, "APPEND_ONLY", [Scratch("core.Scratch")])
    assert guards.missing(connection) == []
    guards.remove(table, connection=connection)
    assert guards.missing(connection) == [table]
    guards.install_all(using="default", sender=apps.get_app_config("core"), signal=post_migrate, verbosity=0, plan=[])
    assert guards.missing(connection) == []
    monkeypatch.setattr(Scratch, "table", "not_migrated_yet")
    guards.install_all()
    assert guards.missing(connection) == []


def test_it_registers_a_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "APPEND_ONLY", [])
    guards.register("contenttypes.ContentType")
    guards.register("contenttypes.ContentType")
    assert [guarded.table for guarded in guards.APPEND_ONLY] == ["django_content_type"]


def test_it_says_so_on_a_database_that_it_cannot_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "mysql")
    with pytest.raises(NotSupportedError, match="mysql"):
        guards.installed("x", connection)
