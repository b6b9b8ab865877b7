"""Django's SQLite backend with a fair wait for the one who may write."""

import random
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

from django.db.backends.sqlite3 import base

LOOK_AGAIN_SECONDS: Final = 0.002
PATIENCE_SECONDS: Final = 5.0
"""For how long a lock is waited for where the settings name no `timeout`; SQLite's own figure."""


class PatientCursor(base.SQLiteCursorWrapper):
    """Tries again while another connection writes: at short intervals, however long that takes."""

    patience: float = PATIENCE_SECONDS

    def execute(self, query: Any, params: Any = None) -> Any:
        return self._patiently(lambda: super(PatientCursor, self).execute(query, params))

    def executemany(self, query: Any, param_list: Any) -> Any:
        again = list(param_list)
        return self._patiently(lambda: super(PatientCursor, self).executemany(query, again))

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return ask()
            except sqlite3.OperationalError as error:
                if not _may_pass(error.sqlite_errorcode) or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0.5, 1.5) * LOOK_AGAIN_SECONDS)  # noqa: S311  (so that two do not keep step)


def _may_pass(code: int) -> bool:
    """Whether somebody writes now. A transaction that has read before another one wrote never gets its turn."""
    return code & 0xFF == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT


class DatabaseWrapper(base.DatabaseWrapper):
    """Whoever waits for the write lock asks for it often, and equally often however long it has been.

    SQLite's own wait asks ever more seldom, up to ten times a second: whoever has waited long is passed by those who
    have just come. Beside a few busy writers one request in fifty took more than a second, and single statements five.
    """

    def get_new_connection(self, conn_params: Any) -> Any:
        connection = super().get_new_connection(conn_params)
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    def create_cursor(self, name: str | None = None) -> Any:
        cursor = self.connection.cursor(factory=PatientCursor)
        cursor.patience = self.settings_dict["OPTIONS"].get("timeout", PATIENCE_SECONDS)
        return cursor
