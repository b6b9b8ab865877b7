"""One revision for all that is configured: a random token, new with whatever statement changes a row of it.

Processes remember what they read under a token, and ask for the token alone (core/recent.py). Triggers give the new
one, so that no change is missed: not an update of many rows, not one that somebody types into the database. They are
installed as the guards are (core/guards.py): after every `migrate`, and a system check misses them aloud.

On PostgreSQL they act at the commit: the one row of the token is the last lock that a change takes, so that two changes
neither wait for each other nor lock each other out. On SQLite there is one writer anyway.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from core import prepared
from core.tables import Declared


@dataclass(frozen=True)
class Watched(Declared):
    """A model whose changes give a new token, but for those of the columns named in `ignoring`."""

    ignoring: tuple[str, ...] = ()


WATCHED: Final[dict[str, Watched]] = {}
_kept_in: list[str] = []


def keep_in(model_label: str) -> None:
    """Declare the model with the one row (id 1, `token`); called in `AppConfig.ready`."""
    _kept_in[:] = [model_label]


def watch(model_label: str, *, ignoring: Collection[str] = ()) -> None:
    """Declare `app.Model` watched; called in `AppConfig.ready`."""
    WATCHED[model_label] = Watched(model_label, tuple(sorted(ignoring)))


def token() -> str:
    """The revision as it stands; empty where there is none: then nothing is known of changes."""
    found = prepared.rows("revision", lambda: _keeper()._default_manager.filter(pk=1).values_list("token"))
    return str(found[0][0]) if found else ""


def install_all(using: str = DEFAULT_DB_ALIAS, **kwargs: Any) -> None:
    """Watch every table that exists, where it is not watched yet. A receiver of `post_migrate`."""
    connection = connections[using]
    if not (unwatched := missing(connection)):
        return
    vendor, keeper = _VENDORS[connection.vendor], _keeper()
    with transaction.atomic(using=using):
        # The row is new, and so is its token: what changed while a table was not watched is read again.
        keeper._default_manager.using(using).filter(pk=1).delete()
        keeper._default_manager.using(using).create(pk=1)
        with connection.cursor() as cursor:
            for watched in _existing(connection):
                if watched.table in unwatched:
                    for statement in vendor.install(watched, keeper._meta.db_table):
                        cursor.execute(statement)


def remove_all(using: str = DEFAULT_DB_ALIAS, **kwargs: Any) -> None:
    """Take SQLite's triggers away before a migration: it drops no column that one of them names. For `pre_migrate`."""
    connection = connections[using]
    if connection.vendor != "sqlite" or not connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        for watched in _existing(connection):
            for name in _SQLite.names(watched.table):
                cursor.execute(f"DROP TRIGGER IF EXISTS {connection.ops.quote_name(name)}")


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """The tables that exist and are not watched, or not as they should be."""
    existing = _existing(connection)
    if not existing:
        return []
    keeper = _keeper()._meta.db_table
    vendor = _VENDORS[connection.vendor]
    found = vendor.found(connection)
    return [one.table for one in existing if not vendor.wanted(one, keeper).items() <= found.get(one.table, {}).items()]


def _keeper() -> type[Model]:
    return apps.get_model(_kept_in[0])


def _existing(connection: BaseDatabaseWrapper) -> list[Watched]:
    """The watched tables that exist; none where the token's own does not."""
    tables = set(connection.introspection.table_names())
    if _keeper()._meta.db_table not in tables:
        return []
    return [
        watched
        for watched in WATCHED.values()
        if watched.table in tables and router.allow_migrate_model(connection.alias, watched.model)
    ]


class _SQLite:
    """Three triggers a table; what is wanted and what is there are compared by their text."""

    @staticmethod
    def names(table: str) -> list[str]:
        return [f"{table}_revised_{event}" for event in ("insert", "update", "delete")]

    def wanted(self, watched: Watched, keeper: str) -> dict[str, Any]:
        columns = [field.column for field in watched.model._meta.concrete_fields]
        changed = " OR ".join(f'OLD."{name}" IS NOT NEW."{name}"' for name in columns if name not in watched.ignoring)
        renew = f'BEGIN UPDATE "{keeper}" SET token = lower(hex(randomblob(16))) WHERE id = 1; END'  # noqa: S608
        found = {}
        for name in self.names(watched.table):
            event = name.rpartition("_")[2]
            when = f"WHEN {changed} " if event == "update" else ""
            found[name] = f'CREATE TRIGGER "{name}" AFTER {event.upper()} ON "{watched.table}" {when}{renew}'
        return found

    def install(self, watched: Watched, keeper: str) -> list[str]:
        drops = [f'DROP TRIGGER IF EXISTS "{name}"' for name in self.names(watched.table)]
        return [*drops, *self.wanted(watched, keeper).values()]

    def found(self, connection: BaseDatabaseWrapper) -> Mapping[str, Mapping[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        with connection.cursor() as cursor:
            cursor.execute("SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger'")
            for table, name, sql in cursor.fetchall():
                found.setdefault(table, {})[name] = sql
        return found


class _PostgreSQL:
    """One function, two triggers a table, awake under `session_replication_role = replica` too.

    A transaction gives one new token, however many rows it changes: the row that it wrote itself stays.
    """

    FUNCTION: Final = "hitl_revised"
    BODY: Final = """
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF to_jsonb(OLD) - coalesce(TG_ARGV, '{{}}') = to_jsonb(NEW) - coalesce(TG_ARGV, '{{}}') THEN
            RETURN NULL;
        END IF;
    END IF;
    UPDATE "{keeper}" SET token = gen_random_uuid() WHERE id = 1 AND xmin <> pg_current_xact_id()::xid;
    RETURN NULL;
END"""
    # Name: what it fires on, and that as pg_trigger.tgtype (1 row, 4 insert, 8 delete, 16 update, 32 truncate).
    ROW: Final = ("revised", 1 | 4 | 8 | 16)
    TRUNCATE: Final = ("revised_truncate", 32)

    def wanted(self, watched: Watched, keeper: str) -> dict[str, Any]:
        body, arguments = self.BODY.format(keeper=keeper), "".join(f"{name}\0" for name in watched.ignoring).encode()
        return {
            self.ROW[0]: (self.ROW[1], body, arguments, True),
            self.TRUNCATE[0]: (self.TRUNCATE[1], body, b"", False),
        }

    def install(self, watched: Watched, keeper: str) -> list[str]:
        table, ignoring = f'"{watched.table}"', ", ".join(f"'{name}'" for name in watched.ignoring)
        (row, _), (truncate, _) = self.ROW, self.TRUNCATE
        return [
            f"CREATE OR REPLACE FUNCTION {self.FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$${self.BODY.format(keeper=keeper)}$$",
            *(f"DROP TRIGGER IF EXISTS {name} ON {table}" for name in (row, truncate)),
            f"CREATE CONSTRAINT TRIGGER {row} AFTER INSERT OR UPDATE OR DELETE ON {table} "
            f"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {self.FUNCTION}({ignoring})",
            f"CREATE TRIGGER {truncate} AFTER TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {self.FUNCTION}()",
            *(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}" for name in (row, truncate)),
        ]

    def found(self, connection: BaseDatabaseWrapper) -> Mapping[str, Mapping[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.relname, t.tgname, t.tgtype, p.prosrc, t.tgargs, t.tginitdeferred FROM pg_trigger t "
                "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = %s "
                "AND t.tgenabled = 'A' AND t.tgqual IS NULL AND t.tgattr::text = '' AND pg_table_is_visible(c.oid)",
                [self.FUNCTION],
            )
            for table, name, kind, body, arguments, is_deferred in cursor.fetchall():
                found.setdefault(table, {})[name] = (kind, body, bytes(arguments), is_deferred)
        return found


_VENDORS: Final[dict[str, _SQLite | _PostgreSQL]] = {"sqlite": _SQLite(), "postgresql": _PostgreSQL()}
