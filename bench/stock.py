"""The opponent's side of the bench: the stock project of bench/naive, filled, served and asked over HTTP."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import psycopg

from bench import fill
from bench.load import Request
from bench.postgres import Cluster
from bench.serve import Server, gunicorn, run_python

FOLDER = Path(__file__).parent / "naive"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
TABLE = "work_task"

SET_UP = f"""
from django.contrib.auth import get_user_model
from rest_framework.authtoken.models import Token
Token.objects.create(key="{TOKEN}", user=get_user_model().objects.create(username="ana"))
"""

DECISION = json.dumps(
    {"resolution": "cannot_complete", "resolution_detail": "The role cannot be granted; the advertiser was told."}
).encode()
FEED_FROM = range(600, 5_000, 20)
"""How far behind the newest event the pages of the feed begin."""


def column(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(query)]


def create_body(number: int) -> bytes:
    """A task as an adapter opens it. Both projects get the very same bytes."""
    body = {
        "task_type": fill.TASK_TYPES[number % 4],
        "principal_id": f"principal_{number * 7 % fill.PRINCIPALS}",
        "adapter_name": "google_ad_manager",
        "media_buy_id": "mb_@@@@@@@@@@",
        "creative_id": "cr_@@@@@@@@@@",
        "operation": "add_creative",
        "error_detail": f"{fill.ERROR_TEXTS[number % 5]} (request @@@@@@@@@@){fill.DETAIL_TAIL}",
        "context_data": fill.context(number),
    }
    return json.dumps(body).encode()


def prepare(cluster: Cluster, name: str, closed: int) -> str:
    """A migrated and filled database of the stock project."""
    url = cluster.create(name)
    run_python(["manage.py", "migrate", "--verbosity", "0"], FOLDER, {"DATABASE_URL": url})
    run_python(["manage.py", "shell", "--verbosity", "0", "-c", SET_UP], FOLDER, {"DATABASE_URL": url})
    fill.fill(url, fill.SQL / "fill_naive.sql", 1, fill.OPEN_TASKS, closed=False)
    grow(url, 0, closed)
    return url


def grow(url: str, closed_before: int, closed: int) -> None:
    first = fill.OPEN_TASKS + closed_before + 1
    with fill.indexed_afterwards(url):
        fill.fill(url, fill.SQL / "fill_naive.sql", first, closed - closed_before, closed=True)
    fill.tidy(url)


def requests(url: str) -> dict[str, list[Request]]:
    """What is asked of the stock project, by the name of the work."""
    headers = {"Authorization": f"Token {TOKEN}"}
    some = column(url, f"SELECT id FROM {TABLE} TABLESAMPLE BERNOULLI (2) ORDER BY random() LIMIT 500")
    held = column(url, f"SELECT id FROM {TABLE} WHERE status = 'in_progress' ORDER BY id")
    last = column(url, "SELECT max(id) FROM work_event")[0]
    return {
        "create": [Request("POST", "/api/tasks/", headers, create_body(number), 201) for number in range(200)],
        "claim": [Request("POST", "/api/tasks/claim-next/", headers, b"{}")],
        "complete": [Request("POST", f"/api/tasks/{pk}/complete/", headers, DECISION) for pk in held],
        "queue": [Request("GET", "/api/tasks/", headers)],
        "task": [Request("GET", f"/api/tasks/{pk}/", headers) for pk in some],
        "feed": [Request("GET", f"/api/events/?after={last - back}", headers) for back in FEED_FROM],
    }


def serve(url: str, log: Path) -> contextlib.AbstractContextManager[Server]:
    probe = Request("GET", "/api/tasks/", {"Authorization": f"Token {TOKEN}"})
    return gunicorn("naive.wsgi", FOLDER, {"DATABASE_URL": url}, probe, log)
