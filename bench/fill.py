"""Fill the databases of the limit and of the stock project with the same realistic rows, by SQL alone.

15,000 open tasks stand beside however many closed ones. Rows are about 1 kB. A closed task has four events, a waiting
one has one; every event has its outbox row, dispatched. Numbers run on, so that a database of 100,000 closed tasks is
a copy of the one of 10,000 with 90,000 added. `bench/ours.py` fills this project's own tables with the same texts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg

SQL = Path(__file__).parent / "sql"
OPEN_TASKS = 15_000
PRINCIPALS = 40
TASK_TYPES = (
    "creative_approval",
    "permission_exception",
    "configuration_required",
    "compliance_review",
    "manual_approval",
)
ERROR_TEXTS = (
    "PermissionError.PERMISSION_DENIED @ lineItems[0].creatives; trigger: the user lacks the role needed here",
    "AuthenticationError.NETWORK_API_ACCESS_DISABLED @ ; trigger: the network has not switched on access",
    "CreativeError.FORMAT_NOT_AUTO_APPROVED @ creatives[2].size; trigger: video_outstream waits for a reviewer",
    "LineItemError.TARGETING_RESTRICTED @ targeting.geo; trigger: political advertising in a restricted region",
    "ConfigurationError.MISSING_CREDENTIALS @ adapter.oauth; trigger: no refresh token for this advertiser",
)
DETAIL_TAIL = (
    ". The ad server answered after 412 ms. The line item is booked and waits for this step; the advertiser asked "
    "for a start on Monday. Grant the role, or hand the task to the account team when that cannot be done in a day."
)


def context(number: int) -> dict[str, object]:
    """The context_data of task `number`, as an adapter would send it."""
    return {
        "request": {
            "line_item": 5550000000 + number,
            "order": 2230000000 + number,
            "format": "display_300x250",
            "advertiser": f"Advertiser {number % PRINCIPALS}",
            "currency": "EUR",
            "budget_micros": 25000000000,
            "flight": ["2025-03-01", "2025-03-31"],
        },
        "attempt": 1,
        "response": {"status": 403, "server": "ads.example.net", "path": "lineItems[0]"},
        "notes": ["first try", "credentials valid", "role missing"],
    }


def fill(url: str, inserts: Path, first: int, count: int, *, closed: bool) -> None:
    """Insert `count` tasks, numbered from `first`, with their events and outbox rows, through the INSERTs of a file."""
    if not count:
        return
    values = {
        "first": first, "count": count, "closed": closed, "principals": PRINCIPALS, "task_types": list(TASK_TYPES),
        "texts": list(ERROR_TEXTS), "tail": DETAIL_TAIL,
    }  # fmt: skip
    with psycopg.connect(url) as connection:
        psycopg.ClientCursor(connection).execute((SQL / "fill_batch.sql").read_text(), values)
        connection.execute(inserts.read_text())
        connection.execute("DROP TABLE batch")


READ_BY: str = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'public' AND NOT indisunique AND indpred IS NULL ORDER BY 1
"""


@contextlib.contextmanager
def indexed_afterwards(url: str) -> Iterator[None]:
    """Without the indexes that only help to find closed rows, which are built anew at the end: in one go is faster."""
    with psycopg.connect(url) as connection:
        found = list(connection.execute(READ_BY))
        for name, _statement in found:
            connection.execute(f"DROP INDEX {name}")
    yield
    with psycopg.connect(url) as connection:
        for _name, statement in found:
            connection.execute(statement)


def tidy(url: str) -> None:
    """Collect statistics and set the visibility map, as a database that has run for a while would have."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def open_tasks(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            f"SELECT count(*) FROM {table} WHERE status IN ('pending', 'assigned', 'in_progress', 'escalated')"
        ).fetchone()
    return int(row[0]) if row else 0
