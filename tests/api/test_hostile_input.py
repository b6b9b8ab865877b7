"""Whatever is sent, no answer is a 5xx, every refusal is a problem document with a documented code, and nothing that
got in breaks a later answer.

Here by hand: hostile values in every field and query parameter of every operation, hostile bodies, headers and paths.
By machine: test_fuzzing.py.
"""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client, RequestFactory
from rest_framework.parsers import JSONParser

from hitl.wsgi import application
from tasks_app import events
from tasks_app.api.base import TaskView
from tasks_app.models import HumanTask
from tests.api.conftest import TASKS, ClientFactory
from tests.api.test_mass_assignment import ALLOWED, VALID
from tests.api.test_schema import documented_codes
from tests.api.test_tasks import Opened

NUMBERS: Final = (
    "0", "-1", "-0.0", "1e-999", "5e-324", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
    "1e15", "1e18", "1e19", "1e25", "-1e300", "1.7976931348623157e308", "1e309", "NaN", "Infinity", "-Infinity",
    "9" * 5000, "0." + "1" * 5000,
)  # fmt: skip
TEXTS: Final = (
    r'""', r'" "', r'"\u0000"', r'"a\u0000b"', r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\ude00"', r'"\u202e\u2066"',
    r'"\r\nSet-Cookie: a=b"', r'"\u001b[31m"', r'"\uffff\ufffe\u0085\u2028"', '"' + "x" * 30_000 + '"',
    '"' + "é" * 401 + '"', '"' + "1" * 5_000 + '"', '"' + "a@b.co " * 2_000 + '"', r'"%00 %s %d {0} ${x} {{7*7}}"',
    r"""'"; DROP TABLE tasks_app_humantask; --'""", r'"../../etc/passwd"', r'"<script>alert(1)</script>"',
    '"NaN"', '"inf"', '"1e308"', '"true"', '"null"', '"0000-01-01T00:00:00Z"', '"10000-01-01T00:00:00Z"',
    '"9999-12-31T23:59:59-14:00"', '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59.999999Z"',
    '"2026-02-30T00:00:00Z"', '"2026-01-01T24:00:00Z"', '"2026-12-31T23:59:60Z"', '"2026-01-01T00:00:00+99:99"',
)  # fmt: skip
OTHERS: Final = (
    "null", "true", "false", "[]", "{}", "[[]]", '{"a": 1}', '["a", "b"]', '[{"a": 1}, {"b": 2}]', '{"": ""}',
    "[" * 31 + "]" * 31, "[" * 33 + "]" * 33, "[" * 50_000 + "]" * 50_000, '{"a":' * 40 + "1" + "}" * 40,
    r'{"\u0000": 1}', r'{"\ud800": 1}', '{"a": 1, "a": 2}', '{"__proto__": {"x": 1}}', '{"x": "' + "y" * 50_000 + '"}',
    "[" + ",".join(["0"] * 20_000) + "]", "{" + ",".join(f'"k{n}": {n}' for n in range(5_000)) + "}", "tru", "", "1 2",
)  # fmt: skip
VALUES: Final = (*NUMBERS, *TEXTS, *OTHERS)

BODIES: Final[tuple[bytes, ...]] = (
    b"", b" ", b"null", b"true", b"0", b'"x"', b"[]", b"[{}]", b"{", b"}", b"{}{}", b"{]", b'{"a"}', b'{"a":}',
    b'{"a":1,}', b"{'a':1}", b"{a:1}", b"/*x*/{}", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"\x00", b"{}\x00",
    b'{"a":"\xc3\x28"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf5\x80\x80\x80"}', b'{"a":"\x01"}', b'{"a":"\n"}',
    b'{"a":"\\x"}', b'{"a":"\\u12"}', b'{"a":01}', b'{"a":+1}', b'{"a":.5}', b'{"a":0x1}', b'{"a":1e}', b'{"a":--1}',
    b'{"a":' * 100_000, b"[" * 500_000, b'{"a":"' + b"x" * 1_100_000 + b'"}', b"<xml/>", b"a=1&b=2",
    b"--x\r\n\r\n--x--",
)  # fmt: skip
HEADERS: Final[tuple[dict[str, str], ...]] = (
    *({"HTTP_IF_MATCH": value} for value in (
        '""', "1", '"-1"', '"0"', '"1', '"1", "2"', 'W/"1"', '"99999999999"', '"²"', '"١"', "*", '"a\x00"',
        "x" * 9_000,
    )),
    *({"HTTP_IDEMPOTENCY_KEY": value} for value in ("", " ", "a b", "é", "x" * 256, "x" * 9_000, "\x00", "a\tb")),
    *({"HTTP_ACCEPT": value} for value in (
        "", "text/html", "x", "*/*;q=x", "application/xml", "application/json;version=2;q=0", "/", "a/b/c", "x" * 9_000,
    )),
    *({"CONTENT_TYPE": value} for value in (
        "", "text/plain", "application/xml", "application/json; charset=utf-16", "application/json; charset=é", "/",
        "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=", "json",
        "application/json;" * 500, "application/jsonx", "APPLICATION/JSON",
    )),
    *({"HTTP_X_CORRELATION_ID": value} for value in ("\r\nx: y", "x" * 300, "é", "\x00")),
    *({"HTTP_X_FORWARDED_FOR": value} for value in ("1.2.3.4, evil", "\x00", "::ffff:1.2.3.4%eth0", "x" * 9_000)),
    *({"HTTP_HOST": value} for value in ("evil.example", "a b", "", "[::1", "127.0.0.1:99999", "\x00", "x" * 300)),
    *({"HTTP_CONTENT_ENCODING": value} for value in ("gzip", "br, gzip", "x" * 999)),
    *({"CONTENT_LENGTH": value} for value in ("-1", "x", "1.5")),
    {"HTTP_COOKIE": 'sessionid="' + r"\000" * 12 + '"'}, {"HTTP_COOKIE": "sessionid=" + "x" * 500},
    {"HTTP_COOKIE": ";;==;sessionid"}, {"HTTP_COOKIE": "csrftoken=é"}, {"HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE"},
    {"HTTP_X_FORWARDED_HOST": "evil.example"}, {"HTTP_ACCEPT_LANGUAGE": "x" * 9_000}, {"HTTP_RANGE": "bytes=0-1"},
    {"HTTP_EXPECT": "100-continue"}, {"HTTP_ORIGIN": "null"}, {"HTTP_REFERER": "javascript:1"},
)  # fmt: skip
CREDENTIALS: Final = (
    "",
    " ",
    "Bearer",
    "Bearer ",
    "Bearer  x",
    "bearer hitl_",
    "Bearer hitl__",
    "Bearer hitl_a_b",
    "Bearer hitl_a_b_c",
    "Bearer hitl_\x00_b",
    "Bearer hitl_a_\x00",
    "Bearer é",
    "Bearer " + "x" * 9_000,
    "Basic YTpi",
    "Basic",
    "Token x",
    "Bearer null",
    "Bearer hitl_' OR 1=1--_x",
    "Digest username=x",
    "Bearer a, Bearer b",
    "\x00",
    "Bearer \r\nx: y",
)
IDS: Final = (
    "%00", "a%00b", "%ED%A0%80", "%FF", "%C0%80", "..%2f", "%2e%2e", "x" * 4_000, "%E2%80%AE", "'", "%22", "%0d%0aX:y",
    "-1", "1e999", "task_", "task_%00", "*", "%25%30%30", ";", "&", "a%20b", "%F0%9F%98%80",
)  # fmt: skip
QUERY_VALUES: Final = (
    "", "%00", "a%00b", "%ED%A0%80", "%FF", "0", "-1", "1e3", "1.5", "9" * 30, "9223372036854775808", "true", "NaN",
    "é", "x" * 5_000, "'", "%27%20OR%201=1--", "[]", "a&{name}=b", "%0a", "١", "²", "null", "../x", "$ne",
    "%F0%9F%98%80",
)  # fmt: skip
LISTS: Final[dict[str, tuple[str, ...]]] = {
    TASKS: (
        *("status", "task_type", "principal_id", "priority", "adapter_name", "assigned_to", "media_buy_id"),
        *("creative_id", "limit", "cursor", "priority__gte", "status[]", "team", "page", "unknown"),
    ),
    f"{TASKS}pending/": (
        *("principal_id", "task_type", "priority", "assigned_to", "overdue", "include_overdue", "limit", "cursor"),
        "unknown",
    ),
    "/api/v1/events/": ("after", "limit", "cursor", "unknown"),
    "/api/v1/deliveries/": ("endpoint", "task_id", "status", "limit", "cursor", "unknown"),
    "/api/v1/webhook-endpoints/": ("limit", "cursor", "unknown"),
}


def wrong(response: Any) -> str | None:
    """What is wrong with an answer, or None."""
    status, media = response.status_code, response.headers.get("Content-Type") or response.headers.get("content-type")
    media = media[0] if isinstance(media, list) else media
    if status >= 500:
        return f"{status}: {response.content[:300]!r}"
    if status >= 400:
        if media != "application/problem+json":
            return f"{status} as {media}"
        document = json.loads(response.content)
        if document["status"] != status or document["code"] not in documented_codes():
            return f"undocumented: {document}"
    return None


Sender = Callable[[str], Any]  # who -> an APIClient


@contextmanager
def connection_kept() -> Iterator[None]:
    """As Django's own test client does: the test's transaction is on a connection that requests must not close."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def task(opened: Opened) -> str:
    return str(opened(error_detail="ask ops@acme.example")["task_id"])


@pytest.fixture
def sender(api: ClientFactory, settings: Any) -> Sender:
    settings.HITL_RATE_LIMIT = 0

    def make(who: str) -> Any:
        client = api(who)
        client.raise_request_exception = False
        return client

    return make


def path_of(operation: str, task: str) -> str:
    return {"create": TASKS, "claim-next": f"{TASKS}claim-next/"}.get(operation, f"{TASKS}{task}/{operation}/")


def hostile_calls(client: Any, task: str) -> Iterator[tuple[str, Any]]:
    """A hostile value in each field of each operation; a sixth of the values for each field, in turn."""
    number = 0
    for operation, fields in ALLOWED.items():
        for name in sorted(fields):
            others = {key: value for key, value in VALID.get(operation, {}).items() if key != name}
            start = json.dumps(others)[:-1] + (", " if others else "")
            for value in VALUES:
                number += 1
                if number % 6 == 0:
                    body = f'{start}"{name}": {value}}}'.encode("utf-8", "surrogatepass")
                    response = client.generic("POST", path_of(operation, task), body, content_type="application/json")
                    yield f"{operation} {name}={value[:60]}", response


def test_it_has_enough_hostile_input() -> None:
    assert len(set(VALUES)) + len(set(BODIES)) >= 100
    assert sum(map(len, ALLOWED.values())) * len(VALUES) // 6 >= 300
    assert sum(map(len, LISTS.values())) * len(QUERY_VALUES) // 3 >= 300


@pytest.mark.django_db
def test_it_survives_a_hostile_value_in_every_field(sender: Sender, task: str) -> None:
    found = [f"{what}: {fault}" for what, response in hostile_calls(sender("root"), task) if (fault := wrong(response))]
    assert found == []
    still_readable(sender("root"))


def still_readable(client: Any) -> None:
    """What got in can be shown again: each task, its timeline, and the lists."""
    events.assign_positions(limit=5_000)
    stored = list(HumanTask.objects.values_list("pk", flat=True))
    for pk in stored:
        assert wrong(client.get(f"{TASKS}{pk}/")) is None
    for path in LISTS:
        following: str | None = f"{path}?limit=100"
        while following:
            response: Any = client.get(following)
            assert response.status_code == 200, response.content
            following = response.json()["next"]
    for pk in stored[:3]:
        assert client.get(f"{TASKS}{pk}/events/").status_code == 200


@pytest.mark.django_db
def test_it_stores_only_numbers_that_both_databases_give_back(sender: Sender) -> None:
    """PostgreSQL keeps the digits of 1e25 and gives back an integer, which no JSON answer of ours can carry."""
    bot, stored = sender("bot"), 0
    for number in NUMBERS:
        body = f'{{"task_type": "creative_approval", "principal_id": "acme_corp", "context_data": {{"n": {number}}}}}'
        created: Any = bot.generic("POST", TASKS, body.encode(), content_type="application/json")
        assert created.status_code in (201, 400), number
        if created.status_code == 201:
            stored += 1
            again: Any = bot.get(f"{TASKS}{created.json()['task_id']}/")
            assert again.json()["context_data"] == created.json()["context_data"], number
    assert stored >= 8
    still_readable(bot)


@pytest.mark.django_db
@pytest.mark.parametrize("operation", ALLOWED)
def test_it_survives_hostile_bodies(operation: str, sender: Sender, task: str) -> None:
    client, found = sender("sam"), []
    for body in BODIES:
        response = client.generic("POST", path_of(operation, task), body, content_type="application/json")
        if fault := wrong(response):
            found.append(f"{body[:60]!r}: {fault}")
    assert found == []


@pytest.mark.django_db
def test_it_survives_hostile_headers(sender: Sender, task: str) -> None:
    bot, found = sender("bot"), []
    for headers in HEADERS:
        content_type = headers.get("CONTENT_TYPE", "application/json")
        rest = {name: value for name, value in headers.items() if name != "CONTENT_TYPE"}
        for path in (TASKS, f"{TASKS}{task}/comment/"):
            for response in (
                bot.generic("POST", path, b'{"text": "x"}', content_type=content_type, **rest),
                bot.get(path.replace("comment", "events"), **rest),
            ):
                if fault := wrong(response):
                    found.append(f"{headers}: {fault}")
    assert found == []


@pytest.mark.django_db
@pytest.mark.parametrize("text", CREDENTIALS)
def test_it_asks_again_for_hostile_credentials(text: str, client: Client) -> None:
    client.raise_request_exception = False
    response: Any = client.get(TASKS, HTTP_AUTHORIZATION=text)
    assert wrong(response) is None
    assert response.status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("length", ["1000001", "99999999999999999999"])
def test_it_refuses_a_declared_length_before_it_reads(length: str, sender: Sender) -> None:
    token = sender("bot")._credentials["HTTP_AUTHORIZATION"]
    environ = RequestFactory().post(TASKS, content_type="application/json", HTTP_AUTHORIZATION=token).environ
    statuses: list[str] = []
    with connection_kept():
        application(
            {**environ, "CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(b"{}")},
            lambda status, headers, *rest: statuses.append(status),
        )
    assert statuses[0][:3] == "413"


class CutOff(io.BytesIO):
    """A body whose sender goes away."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError("no more data")


IN_PIECES: Final = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}  # as gunicorn says it


def send(sender: Sender, path: str, body: io.BytesIO, **said: Any) -> tuple[int, dict[str, Any]]:
    """Post as bot, below the test client, which insists on sound bodies."""
    environ = RequestFactory().post(path, content_type="application/json").environ
    del environ["CONTENT_LENGTH"]
    environ |= {"HTTP_AUTHORIZATION": sender("bot")._credentials["HTTP_AUTHORIZATION"], "wsgi.input": body, **said}
    statuses: list[str] = []
    with connection_kept():
        answer = b"".join(application(environ, lambda status, headers, *rest: statuses.append(status)))
    return int(statuses[0][:3]), json.loads(answer)


@pytest.mark.django_db
def test_it_reads_a_body_without_a_length(sender: Sender, task: str) -> None:
    """Django takes it for an empty one, so that a reason was lost and the call succeeded."""

    def in_pieces(path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        return send(sender, path, io.BytesIO(body), **IN_PIECES)

    assert in_pieces(f"{TASKS}{task}/comment/", b'{"text": "x", "nope": 1}')[1]["errors"][0]["field"] == "nope"
    status, withdrawn = in_pieces(f"{TASKS}{task}/withdraw/", b'{"reason": "moot"}')
    assert (status, withdrawn["resolution_detail"]) == (200, "moot")
    for size in (1_200_000, 3_000_000):
        assert in_pieces(TASKS, b'{"a": "' + b"x" * size + b'"}')[1]["code"] == "body_too_large"


@pytest.mark.django_db
def test_it_refuses_a_body_that_did_not_arrive_whole(sender: Sender, task: str) -> None:
    """What came may be sound by itself; it is not what was sent."""
    path = f"{TASKS}{task}/withdraw/"
    for answer in (
        send(sender, path, io.BytesIO(b"{} "), CONTENT_LENGTH="900"),
        send(sender, path, CutOff(), **IN_PIECES),
    ):
        assert (answer[0], answer[1]["code"]) == (400, "incomplete_body")
    assert HumanTask.objects.get(pk=task).is_open


@pytest.mark.django_db
@pytest.mark.parametrize("charset", ["charset*=utf-8''%00", "charset*=bogus''%41"])
def test_it_survives_a_charset_that_cannot_be_read(charset: str) -> None:
    # Set behind the factory's back: it builds a request itself, and would fall over the header before we do.
    environ = RequestFactory().get("/api/v1/tasks/").environ | {"CONTENT_TYPE": f"application/json; {charset}"}
    statuses: list[str] = []
    with connection_kept():
        application(environ, lambda status, headers, *rest: statuses.append(status))
    assert statuses[0][:3] in ("400", "401", "415")


@pytest.mark.django_db
def test_it_survives_hostile_paths_and_methods(sender: Sender, task: str) -> None:
    client, found = sender("root"), []
    for pk in IDS:
        for rest in ("", "events/", "claim/"):
            method = "POST" if rest == "claim/" else "GET"
            response: Any = client.generic(method, f"{TASKS}{pk}/{rest}", b"", content_type="application/json")
            if fault := wrong(response):
                found.append(f"{pk[:40]} {rest}: {fault}")
            assert response.status_code in (400, 404), pk
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "OPTIONS", "HEAD", "get", "X" * 100, "é"):
        for path in (TASKS, f"{TASKS}{task}/", f"{TASKS}{task}/claim/"):
            if method == "HEAD" and path.endswith("claim/"):
                continue  # a HEAD has no body, so its 405 has none either
            if fault := wrong(client.generic(method, path, b"{}", content_type="application/json")):
                found.append(f"{method} {path}: {fault}")
    assert found == []


@pytest.mark.django_db
def test_it_survives_hostile_query_strings(sender: Sender, task: str) -> None:
    client, found = sender("root"), []
    for path, names in LISTS.items():
        for number, name in enumerate(names):
            for value in QUERY_VALUES[number % 3 :: 3]:
                response: Any = client.get(f"{path}?{name}={value.replace('{name}', name)}")
                if fault := wrong(response):
                    found.append(f"{path}?{name}={value[:40]}: {fault}")
                if (name == "unknown" or "%00" in value) and path != "/api/v1/webhook-endpoints/":
                    assert response.status_code == 400, f"{path}?{name}={value}"
    for query in ("&&&", "=", "?", "%", "a=%", ";".join("abc"), "&".join(f"p{n}=1" for n in range(2_000)), "é=é"):
        if fault := wrong(client.get(f"{TASKS}?{query}")):
            found.append(f"{query[:40]}: {fault}")
    assert found == []


@pytest.mark.django_db
def test_it_refuses_every_tampered_cursor(sender: Sender, opened: Opened) -> None:
    opened(), opened()
    bot = sender("bot")
    cursor, other = (
        parse_qs(urlsplit(bot.get(f"{path}?limit=1").json()["next"]).query)["cursor"][0]
        for path in (TASKS, f"{TASKS}pending/")
    )
    tampered = {other, cursor[::-1], cursor + "A", cursor[:-1], cursor.replace(".", ""), "." + cursor, cursor.upper()}
    tampered |= {
        cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :] for at in range(0, len(cursor) - 1, 3)
    }
    for text in tampered:
        response: Any = bot.get(TASKS, {"cursor": text})
        assert response.status_code == 400, text
        assert response.json()["errors"][0]["field"] == "cursor"
    assert bot.get(TASKS, {"cursor": cursor}).status_code == 200


@pytest.mark.django_db
def test_it_takes_no_truth_for_a_number_of_hours(sender: Sender) -> None:
    body = {"task_type": "creative_approval", "principal_id": "acme_corp", "due_in_hours": True}
    response: Any = sender("bot").post(TASKS, body)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == "due_in_hours"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    ["/admin/", "/admin/login/", "/admin/tasks_app/humantask/", "/admin/tasks_app/humantask/x/change/", "/livez"],
)
def test_its_console_survives_nul(path: str, client: Client, people: Any) -> None:
    client.raise_request_exception = False
    nul = {"HTTP_COOKIE": 'sessionid="' + r"\000" * 12 + '"'}
    assert client.get(path, **nul).status_code < 500  # type: ignore[arg-type]
    client.force_login(people["root"], backend="django.contrib.auth.backends.ModelBackend")
    for url in (
        f"{path}?q=%00",
        f"{path}?status__exact=a%00",
        f"{path}?%00=1",
        path.replace("/x/", "/%00/"),
        f"{path}%00/",
    ):
        assert client.get(url).status_code < 500, url


@pytest.mark.django_db
def test_its_check_finds_the_faults_of_a_stock_parser(
    sender: Sender, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stock(JSONParser):
        strict = False

    monkeypatch.setattr(TaskView, "parser_classes", [Stock])
    client = sender("root")
    assert any(wrong(response) for _what, response in hostile_calls(client, task))
