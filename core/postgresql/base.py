"""Django's PostgreSQL backend with a health check that costs no round trip, and statements that the server keeps."""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base

# Of statements that do not ask to be prepared at once; Django's own are written out by the client and never are.
PREPARED_FROM: Final = 5


class PreparedCursor(psycopg.Cursor[Any]):
    """Has its statements parsed and planned once a connection; values travel beside them."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> "PreparedCursor":
        return super().execute(query, params, prepare=settings.HITL_PREPARED_STATEMENTS, **options)


class DatabaseWrapper(base.DatabaseWrapper):
    """A kept connection is looked at before each request (`CONN_HEALTH_CHECKS`), but not asked.

    A server that has ended the connection, has been restarted or has gone away with its machine's knowledge leaves
    something to read on the socket: its last words or the end of the stream. An idle connection has nothing to read,
    and is used as it is: `SELECT 1` before every request was a sixth of the time of opening a task.
    """

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

    _prepares = False

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Within the block the ORM's statements are kept prepared, too: for those that run with every request."""
        self._prepares = True
        try:
            yield
        finally:
            self._prepares = False

    def create_cursor(self, name: str | None = None) -> Any:
        if self._prepares and name is None:
            return PreparedCursor(self.connection)
        return super().create_cursor(name)

    def prepared_cursor(self) -> Any:
        """A cursor for the few statements that run with every request; counted and logged as any other."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            return self._prepare_cursor(PreparedCursor(self.connection))  # type: ignore[attr-defined]  # Django's own
