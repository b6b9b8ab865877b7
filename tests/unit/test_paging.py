"""Cursor paging over a table with many ties: every row once, in order, forwards and backwards, through the index."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import Signer
from django.db import connection, models
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce
from django.test import Client
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.urls import path
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from core.api import JSONRenderer, KeysetPagination, problem_handler
from core.api.paging import rows_after

NEVER = datetime(9999, 12, 31, tzinfo=UTC)
START = datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)
ROWS = 137

with isolate_apps("core"):

    class Row(models.Model):
        key = models.CharField(max_length=20, primary_key=True)
        level = models.IntegerField()
        weight = models.IntegerField()
        start_by = models.DateTimeField()
        due_by = models.DateTimeField(null=True)
        objects: "models.Manager[Row]" = models.Manager()

        class Meta:
            app_label = "core"
            db_table = "scratch_row"

        def __str__(self) -> str:
            return self.key


QUEUE = ("-level", "start_by", "-weight", "key")
ORDERS: list[tuple[str, ...]] = [
    ("key",),
    ("-key",),
    ("weight", "key"),
    ("-weight", "-key"),
    ("-weight", "key"),
    ("level", "-weight", "key"),
    ("-level", "-weight", "start_by", "key"),
    QUEUE,
    ("due_or_never", "-weight", "-key"),
]


class List(APIView):
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    renderer_classes = (JSONRenderer,)
    ordering: Sequence[str] = QUEUE

    def get_exception_handler(self) -> Any:
        return problem_handler

    def get(self, request: Request) -> Response:
        paginator = KeysetPagination(self.ordering)
        page = paginator.paginate_queryset(everything().values(), request)
        return paginator.get_paginated_response(page, {"total_count": ROWS})


urlpatterns = [path("rows/", List.as_view())]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


def everything() -> "QuerySet[Any]":
    return Row.objects.annotate(due_or_never=Coalesce(F("due_by"), Value(NEVER)))


@pytest.fixture(autouse=True)
def table() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE scratch_row (key varchar(20) NOT NULL PRIMARY KEY, level integer NOT NULL, "
            "weight integer NOT NULL, start_by timestamp with time zone NOT NULL, due_by timestamp with time zone NULL)"
        )
        cursor.execute("CREATE INDEX scratch_queue ON scratch_row (level DESC, start_by ASC, weight DESC, key ASC)")
    Row.objects.bulk_create(
        Row(
            key=f"task_{n * 7919 % 1009:04d}",
            level=(n % 11) // 9,
            weight=n % 4,
            start_by=NEVER if n % 3 == 0 else START + timedelta(microseconds=n % 7),
            due_by=None if n % 2 else START + timedelta(hours=n % 5),
        )
        for n in range(ROWS)
    )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE scratch_row")


def walk(
    queryset: "QuerySet[Any]", ordering: Sequence[str], limit: int, direction: str = "next", start: str = ""
) -> list[list[Any]]:
    pages, url = [], start or f"/rows/?limit={limit}"
    while url:
        paginator = KeysetPagination(ordering)
        pages.append(paginator.paginate_queryset(queryset, Request(APIRequestFactory().get(url))))
        url = (paginator.next_url if direction == "next" else paginator.previous_url) or ""
        assert len(pages) < 500, "the walk does not end"
    return pages


def keys(pages: list[list[Any]]) -> list[str]:
    return [row["key"] if isinstance(row, dict) else row.key for page in pages for row in page]


def link(response: Any, name: str) -> str:
    url: str = json.loads(response.content)[name]
    return url.replace("http://testserver", "")


@pytest.mark.parametrize("ordering", ORDERS, ids=",".join)
@pytest.mark.parametrize("limit", [1, 7, 50, ROWS - 1, ROWS, 200])
def test_it_shows_every_row_once_and_in_order(ordering: tuple[str, ...], limit: int) -> None:
    pages = walk(everything().values(), ordering, limit)
    assert keys(pages) == [row.key for row in everything().order_by(*ordering)]
    assert all(len(page) == limit for page in pages[:-1])
    assert pages[-1], "no empty page at the end"


@pytest.mark.parametrize("ordering", ORDERS, ids=",".join)
def test_it_walks_back_the_way_it_came(ordering: tuple[str, ...]) -> None:
    forward = KeysetPagination(ordering)
    url, last = "/rows/?limit=10", ""
    while url:
        last = url
        forward = KeysetPagination(ordering)
        forward.paginate_queryset(everything(), Request(APIRequestFactory().get(url)))
        url = forward.next_url or ""
    pages = walk(everything(), ordering, 10, "previous", last)
    assert keys(pages[::-1]) == [row.key for row in everything().order_by(*ordering)]


def test_it_reads_instances_and_dicts_alike() -> None:
    assert keys(walk(everything(), QUEUE, 9)) == keys(
        walk(everything().values("key", "level", "weight", "start_by"), QUEUE, 9)
    )


def test_it_would_lose_or_repeat_rows_without_the_tie_breaker() -> None:
    """The control: the walk does notice when a position is ambiguous."""
    with pytest.raises(AssertionError):
        assert keys(walk(everything(), ("-weight",), 10)) == [row.key for row in everything().order_by("-weight")]


def test_it_misses_no_row_when_others_come_and_go_between_pages() -> None:
    expected = [row.key for row in everything().order_by(*QUEUE)]
    paginator = KeysetPagination(QUEUE)
    first = paginator.paginate_queryset(everything(), Request(APIRequestFactory().get("/rows/?limit=20")))
    Row.objects.filter(key__in=[first[-1].key, first[3].key]).delete()
    Row.objects.create(key="task_new", level=9, weight=9, start_by=START)
    rest = walk(everything(), QUEUE, 20, start=paginator.next_url or "")
    assert keys([first]) + keys(rest) == expected


def test_it_ends_quietly_when_the_last_rows_vanish() -> None:
    paginator = KeysetPagination(QUEUE)
    paginator.paginate_queryset(everything(), Request(APIRequestFactory().get("/rows/?limit=20")))
    url = paginator.next_url or ""
    Row.objects.all().delete()
    assert walk(everything(), QUEUE, 20, start=url) == [[]]


def test_it_answers_links_and_what_the_view_adds(client: Client) -> None:
    first = client.get("/rows/?limit=3&task_type=a%26b")
    answer = json.loads(first.content)
    assert answer.keys() == {"results", "next", "previous", "total_count"}
    assert len(answer["results"]) == 3
    assert answer["previous"] is None
    assert answer["next"].startswith("http://testserver/rows/?")
    assert parse_qs(urlsplit(answer["next"]).query).keys() == {"limit", "cursor", "task_type"}
    second = client.get(link(first, "next"))
    back = client.get(link(second, "previous"))
    assert json.loads(back.content)["results"] == answer["results"]
    assert json.loads(back.content)["previous"] is None
    assert json.loads(client.get("/rows/?limit=200").content)["next"] is None
    assert len(json.loads(client.get("/rows/").content)["results"]) == 50


@pytest.mark.parametrize(
    "limit",
    ["0", "201", "-1", "+5", "1.0", "1e2", "ten", "", " 5", "5 ", "٣", "９", "0x10", "9" * 5000, "5%00", "null"],
)
def test_it_refuses_a_limit_out_of_range(client: Client, limit: str) -> None:
    response = client.get(f"/rows/?limit={limit}")
    document = json.loads(response.content)
    assert (response.status_code, document["code"]) == (400, "invalid")
    assert document["detail"] == "limit: Give a whole number from 1 to 200."


def forged(*cells: Any, salt: str = "core.api.paging:other") -> str:
    return Signer(salt=salt, sep=".").sign_object(list(cells))


def test_it_refuses_a_cursor_that_it_did_not_write(client: Client) -> None:
    cursor = parse_qs(urlsplit(link(client.get("/rows/?limit=3"), "next")).query)["cursor"][0]
    payload, signature = cursor.rsplit(".", 1)
    bad = [
        "", "x", ".", "..", "...", "=", "%00", "%FF", "é", "null", "[]", "{}", "' OR 1=1 --", "a" * 5000, "." * 500,
        payload, f"{payload}.", f".{signature}", f"{payload}.{signature[:-1]}", f"{payload}.{signature}x", f".{cursor}",
        f"{payload}x.{signature}", f"{payload.swapcase()}.{signature}", f"{signature}.{payload}",
        cursor[:-2], cursor * 2,
        *(cursor[:i] + ("A" if cursor[i] != "A" else "B") + cursor[i + 1 :] for i in range(0, len(payload), 5)),
        forged("n", ["i", 0], ["t", START.isoformat()], ["i", 1], ["s", "task_1"]),
        forged("n"), forged("x", ["?", 1]), forged("n", ["t", "0000-00-00"]), forged("n", ["i", 10**30]),
    ]  # fmt: skip
    for text in bad:
        response = client.get("/rows/", {"cursor": text})
        document = json.loads(response.content)
        assert (response.status_code, document["errors"][0]["field"]) == (400, "cursor"), text
    assert client.get("/rows/", {"cursor": cursor}).status_code == 200


def test_it_refuses_the_cursor_of_another_order(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    url = link(client.get("/rows/?limit=3"), "next")
    monkeypatch.setattr(List, "ordering", ("-weight", "key"))
    assert client.get(url).status_code == 400


@pytest.mark.parametrize("query", ["limit=3&limit=4", "cursor=a&cursor=b"])
def test_it_refuses_a_repeated_parameter(client: Client, query: str) -> None:
    response = client.get(f"/rows/?{query}")
    assert response.status_code == 400
    assert json.loads(response.content)["errors"][0]["field"] == query.split("=")[0]


def test_it_tells_the_developer_what_an_order_needs() -> None:
    request = Request(APIRequestFactory().get("/rows/?limit=3"))
    with pytest.raises(ImproperlyConfigured, match="last key is unique"):
        KeysetPagination()
    with pytest.raises(ImproperlyConfigured, match="must hold the ordering key 'level'"):
        KeysetPagination(QUEUE).paginate_queryset(everything().values("key"), request)
    with pytest.raises(ImproperlyConfigured, match="Coalesce"):
        KeysetPagination(("due_by", "key")).paginate_queryset(everything().filter(due_by=None), request)


def test_it_needs_one_statement_for_one_direction_and_never_counts() -> None:
    for ordering, at_most in {
        ("-level", "-weight", "-key"): 1,
        ("-level", "-weight", "start_by", "key"): 2,
        QUEUE: 4,
    }.items():
        url = "/rows/?limit=5"
        while url:
            paginator = KeysetPagination(ordering)
            with CaptureQueriesContext(
                connection,
            ) as queries:
                paginator.paginate_queryset(everything(), Request(APIRequestFactory().get(url)))
            assert 1 <= len(queries) <= at_most
            assert "COUNT" not in str(queries.captured_queries).upper()
            url = paginator.next_url or ""


def plans(ordering: Sequence[str], position: list[Any]) -> list[str]:
    """How the database answers each statement of the page behind `position`."""
    with CaptureQueriesContext(connection) as queries:
        rows_after(Row.objects.all(), KeysetPagination(ordering).keys, position, 10_000)
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    texts = []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        for query in queries.captured_queries:
            cursor.execute(explain + query["sql"].replace("%", "%%"))
            texts.append(" ".join(str(cell) for line in cursor.fetchall() for cell in line))
    return texts


def test_it_reads_ranges_of_the_index_and_sorts_nothing() -> None:
    texts = plans(QUEUE, [0, START, 2, "task_0500"])
    assert len(texts) == 4
    for text in texts:
        assert "scratch_queue" in text
        assert "Sort" not in text
        assert "TEMP B-TREE" not in text
    if connection.vendor == "sqlite":
        assert [text.split("scratch_queue ")[1] for text in texts] == [
            "(level=? AND start_by=? AND weight=? AND key>?)",
            "(level=? AND start_by=? AND weight<?)",
            "(level=? AND start_by>?)",
            "(level<?)",
        ]
    else:
        assert all("Index Cond" in text and "Filter" not in text for text in texts)


def test_it_compares_whole_rows_in_the_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX scratch_uniform ON scratch_row (level, weight, key)")
    [text] = plans(("level", "weight", "key"), [0, 2, "task_0500"])
    assert "scratch_uniform" in text
    assert "Sort" not in text
    assert "TEMP B-TREE" not in text
    if connection.vendor == "postgresql":
        assert "ROW(level, weight" in text.split("Index Cond")[1]


def test_it_describes_itself_for_openapi() -> None:
    class Counted(KeysetPagination):
        ordering = ("key",)
        extra_schema = {"total_count": {"type": "integer"}}

    schema = Counted().get_paginated_response_schema({"type": "array", "items": {}})
    assert schema["required"] == ["results", "next", "previous", "total_count"]
    assert schema["properties"].keys() == set(schema["required"])
    names = [parameter["name"] for parameter in Counted().get_schema_operation_parameters(None)]
    assert names == ["limit", "cursor"]


def test_it_raises_validation_errors_only() -> None:
    with pytest.raises(ValidationError):
        KeysetPagination(("key",)).paginate_queryset(everything(), Request(APIRequestFactory().get("/rows/?cursor=x")))
