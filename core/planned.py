"""Statements that the database plans once a connection, where it can."""

from contextlib import AbstractContextManager, nullcontext

from django.db import connection


def planned_once(*, binary: bool = False) -> AbstractContextManager[None]:
    """Within the block the ORM's statements are kept prepared on the server (core/postgresql).

    For the few that run with every request and whose shape does not vary: planning took PostgreSQL six times as long as
    finding the next task. SQLite keeps its statements anyway. `binary`: answers come in the server's own form, for
    bytes, which are written out as two digits each otherwise.
    """
    preparing = getattr(connection, "preparing", None)
    return nullcontext() if preparing is None else preparing(binary=binary)
