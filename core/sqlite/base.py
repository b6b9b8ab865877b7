"""Django's SQLite backend with a fair wait for the one who may write."""

import random
import time
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

LOOK_AGAIN_SECONDS = 0.002


class DatabaseWrapper(base.DatabaseWrapper):
    """Transactions that begin with the write lock ask for it often, and equally often however long they have waited.

    SQLite's own wait asks ever more seldom, up to ten times a second: whoever has waited long is passed by those who
    have just come, and beside a few busy writers one request in fifty took more than a second.
    """

    def _start_transaction_under_autocommit(self) -> None:
        if not self._begins_with_the_lock():
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # Django's own
            return
        patience: float = self.settings_dict["OPTIONS"].get("timeout", 5.0)
        deadline = time.monotonic() + patience
        self._wait_at_most(0)
        try:
            while not self._began(last_try=time.monotonic() > deadline):
                time.sleep(random.uniform(0.5, 1.5) * LOOK_AGAIN_SECONDS)  # noqa: S311  (so that two do not keep step)
        finally:
            self._wait_at_most(patience)

    def _begins_with_the_lock(self) -> bool:
        mode: str | None = self.transaction_mode  # type: ignore[attr-defined]  # Django's own
        return mode == "IMMEDIATE" and not self.is_in_memory_db()

    def _wait_at_most(self, seconds: float) -> None:
        """How long SQLite itself waits for a lock before it says that there is one."""
        connection: Any = self.connection
        connection.execute(f"PRAGMA busy_timeout={int(seconds * 1000)}")

    def _began(self, *, last_try: bool) -> bool:
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # Django's own
        except OperationalError as error:
            if last_try or "locked" not in str(error):
                raise
            return False
        return True
