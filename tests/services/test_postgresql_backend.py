"""A kept connection that has died is noticed before it is used, without asking it before every request."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from tests.system import wait_until


@pytest.fixture
def kept(transactional_db: None) -> Iterator[Any]:
    """A connection as a web process keeps it between two requests."""
    kept: Any = connections.create_connection("default")
    kept.ensure_connection()
    kept.health_check_enabled = True
    yield kept
    kept.close()


def ask(kept: Any) -> tuple[int, int]:
    """One request: the server process that answered it, and the number of statements that it took."""
    kept.health_check_done = False
    kept.close_if_unusable_or_obsolete()
    kept.force_debug_cursor, before = True, len(kept.queries_log)
    with kept.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return pid, len(kept.queries_log) - before


def end_session(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    wait_until(lambda: pid not in _sessions(), "the session's end")


def _sessions() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity")
        return {pid for (pid,) in cursor.fetchall()}


@pytest.mark.postgresql_alone
def test_it_replaces_a_connection_that_was_ended(kept: Any) -> None:
    first, statements = ask(kept)
    assert ask(kept)[0] == first, "it is kept"
    assert statements == 1
    end_session(first)
    assert ask(kept)[0] != first


@pytest.mark.postgresql_alone
def test_it_would_fail_without_the_look(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the dead connection is in use, and only the look tells."""
    first, _statements = ask(kept)
    monkeypatch.setattr(type(kept), "is_usable", lambda self: True)
    end_session(first)
    with pytest.raises(OperationalError):
        ask(kept)


@pytest.mark.postgresql_alone
def test_it_keeps_a_connection_that_was_only_told_something(kept: Any) -> None:
    first, _statements = ask(kept)
    with kept.cursor() as cursor:
        cursor.execute("LISTEN gossip")
    with connection.cursor() as cursor:
        cursor.execute("NOTIFY gossip, 'hello'")
    assert ask(kept)[0] == first


@pytest.mark.postgresql_alone
def test_it_keeps_prepared_what_asks_for_it_and_nothing_else(kept: Any) -> None:
    """The driver takes no heed of a cursor that asks while the connection has no threshold, as Django leaves it."""
    with kept.prepared_cursor() as cursor:
        cursor.execute("SELECT %s::int + 1, '100 %%', %s::text", [1, "%s"])
        assert cursor.fetchall() == [(2, "100 %", "%s")]
    with kept.preparing(), kept.cursor() as cursor:
        cursor.execute("SELECT %s::int + 2", [1])
    with kept.cursor() as cursor:
        for _again in range(10):
            cursor.execute("SELECT %s::int + 3", [1])
        cursor.execute("SELECT statement FROM pg_prepared_statements ORDER BY prepare_time")
        assert cursor.fetchall() == [("SELECT $1::int + 1, '100 %', $2::text",), ("SELECT $1::int + 2",)]


@pytest.mark.postgresql_alone
def test_it_gives_a_key_one_index(db: None) -> None:
    """Not a second one for LIKE, which Django makes for other text: the first serves it, where bytes are compared."""
    twins = "SELECT indexdef FROM pg_indexes WHERE tablename LIKE %s AND indexdef LIKE '%%varchar_pattern_ops%%'"
    with connection.cursor() as cursor:
        cursor.execute(twins, ["tasks_app_%"])
        found = [definition for (definition,) in cursor.fetchall()]
        assert [one for one in found if "tasks_app_user" not in one and "_groups" not in one] == []
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT 1 FROM tasks_app_humantask WHERE task_id LIKE 'task_01%'")
        # Whichever index of the key it takes: it looks between two keys, and does not read all.
        assert "(task_id >= 'task'::text) AND (task_id < 'tasl'::text)" in str(cursor.fetchall())


@pytest.mark.postgresql_alone
def test_it_reads_moments_in_utc_to_the_microsecond(kept: Any) -> None:
    moments = ["2026-03-29 01:30:00.000001+02", "1999-12-31 23:59:59-05"]
    with kept.cursor() as cursor:
        cursor.execute("SELECT unnest(%s::timestamptz[])", [moments])
        found = [moment for (moment,) in cursor.fetchall()]
        assert [moment.tzinfo for moment in found] == [UTC, UTC]
        assert found == [datetime.fromisoformat(moment) for moment in moments]
        cursor.execute("SELECT %s::timestamptz", [found[0]])
        assert cursor.fetchone() == (found[0],)
