"""Append-only tables: triggers that refuse to change or remove a row, on both databases.

Guards are functions and not migrations: an ALTER on SQLite rebuilds the table and silently drops its triggers, so they
are installed after every `migrate` (post_migrate), and a system check asserts that they are there. They stop mistakes
and crafted statements; whoever may drop a trigger can lift them, and is found by the hash chain.

Both databases raise `django.db.IntegrityError` with the text `<table> is append-only`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, NotSupportedError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from core.tables import Declared


@dataclass(frozen=True)
class Guarded(Declared):
    """A model whose rows are only ever added."""


APPEND_ONLY: Final[list[Guarded]] = []


def register(model_label: str) -> None:
    """Declare `app.Model` append-only; called in `AppConfig.ready`."""
    guarded = Guarded(model_label)
    if guarded not in APPEND_ONLY:
        APPEND_ONLY.append(guarded)


def install(table: str, *, connection: BaseDatabaseWrapper) -> None:
    """Guard `table`. Does nothing where the very same guard stands, so that a second run takes no lock."""
    if installed(table, connection):
        return
    with transaction.atomic(using=connection.alias):
        remove(table, connection=connection)
        _run(connection, _VENDORS[connection.vendor].install(table, connection))


def remove(table: str, *, connection: BaseDatabaseWrapper) -> None:
    """Take the guard off `table`, if it has one."""
    _run(connection, _vendor(connection).remove(table, connection))


def installed(table: str, connection: BaseDatabaseWrapper) -> bool:
    """Whether `table` carries its whole guard, enabled and unaltered: a trigger of the same name is not enough."""
    return _vendor(connection).installed(table, connection)


def install_all(using: str = DEFAULT_DB_ALIAS, **kwargs: Any) -> None:
    """Guard every registered table that exists. A receiver of `post_migrate`."""
    connection = connections[using]
    for table in _tables(connection):
        install(table, connection=connection)


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """The registered tables that exist and are not guarded."""
    return [table for table in _tables(connection) if not installed(table, connection)]


@contextmanager
def lifted(tables: Iterable[str], connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Run the block without the guards of `tables`. For test flushes and retention only.

    The block is one transaction, so no other session ever sees the tables unguarded, and a failure brings the guards
    back together with the rows.
    """
    lifted_tables = [table for table in tables if installed(table, connection)]
    with transaction.atomic(using=connection.alias):
        for table in lifted_tables:
            _settle(connection)
            remove(table, connection=connection)
        yield
        for table in lifted_tables:
            _settle(connection)
            install(table, connection=connection)


def _settle(connection: BaseDatabaseWrapper) -> None:
    """Check deferred foreign keys now: PostgreSQL alters no table while a check of it is pending."""
    if connection.vendor == "postgresql":
        connection.check_constraints()


def _tables(connection: BaseDatabaseWrapper) -> list[str]:
    existing = set(connection.introspection.table_names())
    return [
        guarded.table
        for guarded in APPEND_ONLY
        if guarded.table in existing and router.allow_migrate_model(connection.alias, guarded.model)
    ]


def _run(connection: BaseDatabaseWrapper, statements: Iterable[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class _SQLite:
    """Three triggers. BEFORE INSERT is for REPLACE INTO, which removes the old row without firing a DELETE trigger
    unless recursive_triggers is on, a setting of each connection."""

    EVENTS: Final = ("update", "delete", "insert")

    def triggers(self, table: str, connection: BaseDatabaseWrapper) -> dict[str, str]:
        quote = connection.ops.quote_name
        refuse = f"BEGIN SELECT RAISE(ABORT, {_literal(f'{table} is append-only')}); END"
        # REPLACE removes whatever holds the new row's place in any unique index, and its rowid, not just its key.
        places = [
            " AND ".join(f"{quote(column)} = NEW.{quote(column)}" for column in columns)
            for columns in [["rowid"], *self._unique(table, connection)]
        ]
        taken = " OR ".join(f"EXISTS (SELECT 1 FROM {quote(table)} WHERE {place})" for place in places)  # noqa: S608
        when = {"insert": f"WHEN {taken} "}
        return {
            f"{table}_append_only_{event}": (
                f"CREATE TRIGGER {quote(f'{table}_append_only_{event}')} BEFORE {event.upper()} ON {quote(table)} "
                f"FOR EACH ROW {when.get(event, '')}{refuse}"
            )
            for event in self.EVENTS
        }

    def install(self, table: str, connection: BaseDatabaseWrapper) -> list[str]:
        return list(self.triggers(table, connection).values())

    def remove(self, table: str, connection: BaseDatabaseWrapper) -> list[str]:
        names = [connection.ops.quote_name(f"{table}_append_only_{event}") for event in self.EVENTS]
        return [f"DROP TRIGGER IF EXISTS {name}" for name in names]

    def installed(self, table: str, connection: BaseDatabaseWrapper) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [table])
            found = dict(cursor.fetchall())
        return self.triggers(table, connection).items() <= found.items()

    def _unique(self, table: str, connection: BaseDatabaseWrapper) -> list[list[str]]:
        with connection.cursor() as cursor:
            cursor.execute('SELECT name, partial FROM pragma_index_list(%s) WHERE "unique" ORDER BY name', [table])
            unique: list[list[str]] = []
            for name, partial in cursor.fetchall():
                cursor.execute("SELECT name FROM pragma_index_info(%s) ORDER BY seqno", [name])
                columns = [column for (column,) in cursor.fetchall()]
                if partial or None in columns:
                    raise ImproperlyConfigured(
                        f"{table} cannot be append-only: REPLACE could remove rows through {name}, which is unique "
                        "under a condition or on an expression. Make it unique on plain columns."
                    )
                unique.append(columns)
        return unique


class _PostgreSQL:
    """One function, two triggers. ENABLE ALWAYS keeps them awake under `session_replication_role = replica`."""

    FUNCTION: Final = "hitl_append_only"
    BODY: Final = (
        "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END"
    )
    # Name: what it fires on, and that as pg_trigger.tgtype (1 row, 2 before, 8 delete, 16 update, 32 truncate).
    TRIGGERS: Final = {
        "append_only_row": ("UPDATE OR DELETE", "ROW", 1 | 2 | 8 | 16),
        "append_only_truncate": ("TRUNCATE", "STATEMENT", 2 | 32),
    }

    def install(self, table: str, connection: BaseDatabaseWrapper) -> list[str]:
        name = connection.ops.quote_name(table)
        function = f"{self.FUNCTION}()"
        statements = [f"CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql AS $${self.BODY}$$"]
        for trigger, (events, level, _) in self.TRIGGERS.items():
            statements += [
                f"CREATE TRIGGER {trigger} BEFORE {events} ON {name} FOR EACH {level} EXECUTE FUNCTION {function}",
                f"ALTER TABLE {name} ENABLE ALWAYS TRIGGER {trigger}",
            ]
        return statements

    def remove(self, table: str, connection: BaseDatabaseWrapper) -> list[str]:
        return [f"DROP TRIGGER IF EXISTS {t} ON {connection.ops.quote_name(table)}" for t in self.TRIGGERS]

    def installed(self, table: str, connection: BaseDatabaseWrapper) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT t.tgname, t.tgtype, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
                "WHERE t.tgrelid = to_regclass(%s) AND t.tgenabled = 'A' AND p.proname = %s "
                "AND t.tgqual IS NULL AND t.tgattr::text = ''",
                [connection.ops.quote_name(table), self.FUNCTION],
            )
            found = {(name, kind, body) for name, kind, body in cursor.fetchall()}
        return {(name, kind, self.BODY) for name, (_, _, kind) in self.TRIGGERS.items()} <= found


_VENDORS: Final[dict[str, _SQLite | _PostgreSQL]] = {"sqlite": _SQLite(), "postgresql": _PostgreSQL()}


def _vendor(connection: BaseDatabaseWrapper) -> _SQLite | _PostgreSQL:
    try:
        return _VENDORS[connection.vendor]
    except KeyError:
        raise NotSupportedError(f"no append-only guard for {connection.vendor}") from None
