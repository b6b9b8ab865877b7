"""Django's PostgreSQL backend with a health check that costs no round trip, and statements that the server keeps."""

import re
import select
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from typing import Any, Final

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base, operations
from psycopg.pq import Format
from psycopg.types.datetime import TimestamptzLoader

from core.postgresql.schema import SchemaEditor

# Of statements that do not ask to be prepared at once; Django's own are written out by the client and never are.
PREPARED_FROM: Final = 5
MOST_NUMBERED: Final = 1_000


class PreparedCursor(psycopg.RawCursor[Any]):
    """Has its statements parsed and planned once a connection; values travel beside them.

    It numbers the placeholders itself, once a statement: the driver reads a statement of more than 4,096 characters
    anew at every call, which took longer than sending it.
    """

    def execute(self, query: Any, params: Any = None, **options: Any) -> "PreparedCursor":
        statement = query if params is None else _numbered(query)
        return super().execute(statement, params, prepare=settings.HITL_PREPARED_STATEMENTS, **options)


@lru_cache(maxsize=MOST_NUMBERED)
def _numbered(query: str) -> str:
    """The same with `$1`, `$2` ... for `%s`, and `%` for `%%`."""
    numbers = count(1)
    return re.sub("%[s%]", lambda found: f"${next(numbers)}" if found[0] == "%s" else "%", query)


class DatabaseOperations(operations.DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> str:
        """For whoever counts and reads queries: a statement that the server keeps has no text with values in it."""
        return super().last_executed_query(cursor, sql, params) or sql


class DatabaseWrapper(base.DatabaseWrapper):
    """A kept connection is looked at before each request (`CONN_HEALTH_CHECKS`), but not asked.

    A server that has ended the connection, has been restarted or has gone away with its machine's knowledge leaves
    something to read on the socket: its last words or the end of the stream. An idle connection has nothing to read,
    and is used as it is: `SELECT 1` before every request was a sixth of the time of opening a task.
    """

    SchemaEditorClass = SchemaEditor
    ops_class = DatabaseOperations

    def is_usable(self) -> bool:
        connection = self.connection
        if connection is None or connection.closed:
            return False
        if self.errors_occurred:
            return super().is_usable()
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        # Something to read: a notice, which the question below passes over, or the end, which makes it fail.
        return super().is_usable() if poll.poll(0) else True

    def get_connection_params(self) -> dict[str, Any]:
        """With a threshold: without one, which is Django's way, the driver prepares nothing, whatever a cursor asks."""
        params: dict[str, Any] = super().get_connection_params()
        if settings.HITL_PREPARED_STATEMENTS and params.get("prepare_threshold") is None:
            params["prepare_threshold"] = PREPARED_FROM
        return params

    _prepares, _binary = False, False

    @contextmanager
    def preparing(self, *, binary: bool = False) -> Iterator[None]:
        """Within the block the ORM's statements are kept prepared, too: for those that run with every request.

        `binary`: their answers come in the server's own form.
        """
        self._prepares, self._binary = True, binary
        try:
            yield
        finally:
            self._prepares, self._binary = False, False

    def create_cursor(self, name: str | None = None) -> Any:
        if not self._prepares or name is not None:
            return self._reading_moments(super().create_cursor(name))
        cursor = PreparedCursor(self.connection)
        cursor.format = Format.BINARY if self._binary else Format.TEXT
        return self._reading_moments(cursor)

    def prepared_cursor(self) -> Any:
        """A cursor for the few statements that run with every request; counted and logged as any other."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            return self._prepare_cursor(self._reading_moments(PreparedCursor(self.connection)))  # type: ignore[attr-defined]  # Django's own

    def _reading_moments(self, cursor: Any) -> Any:
        """Moments are read by the driver's compiled loader where the session's zone is UTC, as ours is.

        Django's own loader only puts the zone in, for which it reads each moment by a regular expression: that was a
        tenth of a sweep, whose tasks have a dozen moments each.
        """
        if self.timezone_name == "UTC":
            cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        return cursor
