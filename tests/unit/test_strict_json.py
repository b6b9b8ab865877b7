"""Hostile bodies against a real view: each is a 400 or 413 as problem+json, and what is merely odd passes."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api import JSONRenderer, StrictJSONParser, problem_handler
from core.api.parser import MAX_BYTES, MAX_DEPTH


class Echo(APIView):
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes: tuple[type[BaseParser], ...] = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)

    def get_exception_handler(self) -> Callable[..., Response | None]:
        return problem_handler

    def post(self, request: Request) -> Response:
        return Response({"echo": request.data})


class BodyThenData(Echo):
    """As an idempotency layer works: the raw bytes are needed before and after parsing."""

    def post(self, request: Request) -> Response:
        return Response({"same": request.body == request.body, "echo": request.data, "bytes": len(request.body)})


class DataThenBody(Echo):
    def post(self, request: Request) -> Response:
        return Response({"echo": request.data, "bytes": len(request.body)})


urlpatterns = [
    path("echo/", Echo.as_view()),
    path("body-then-data/", BodyThenData.as_view()),
    path("data-then-body/", DataThenBody.as_view()),
]
pytestmark = pytest.mark.urls(__name__)


def value(raw: bytes) -> bytes:
    return b'{"context_data": ' + raw + b"}"


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """An object that is `depth` levels deep, itself included."""
    return value(opening * (depth - 1) + closing * (depth - 1))


def objects(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


TEXT = '{"error_detail": "PermissionError.PERMISSION_DENIED é"}'

NUL = [
    value(rb'"\u0000"'), value(rb'"a\u0000b"'), value(rb'["x", "\u0000"]'), value(rb'{"size": {"w": "\u0000"}}'),
    value(rb'[[[["\u0000"]]]]'), value(rb'"\\\u0000"'), value(rb'"\\\\\u0000"'), value(rb'"\u0000\u0000\u0000"'),
    rb'{"\u0000": 1}', rb'{"a\u0000": 1}', value(rb'{"\u0000": 1}'), value(rb'[{"x": {"\u0000key": null}}]'),
    value(b'"\x00"'), value(b'"a\x00b"'), b'{"\x00": 1}', b"\x00", b"\x00{}", b"{}\x00", b"{\x00}", value(b"\x00"),
]  # fmt: skip
SURROGATES = [
    value(rb'"\ud800"'), value(rb'"\udbff"'), value(rb'"\udc00"'), value(rb'"\udfff"'), value(rb'"\uD83D"'),
    value(rb'"\ud83d "'), value(rb'"\ud83d\ud83d"'), value(rb'"\ude00\ud83d"'), value(rb'"\ud83d\u0041"'),
    value(rb'"\ud83dx\ude00"'), value(rb'"\ud83d\\ude00"'), value(rb'["ok", "\udead"]'), value(rb'{"\ud800": 1}'),
    rb'{"\udfff": 1}', value(b'"\xed\xa0\x80"'), value(b'"\xed\xbf\xbf"'), value(b'"\xed\xa0\xbd\xed\xb8\x80"'),
]  # fmt: skip
NUMBERS = [
    *(
        value(raw)
        for raw in (
            b"NaN", b"-NaN", b"nan", b"Infinity", b"-Infinity", b"+Infinity", b"infinity", b"Inf", b"-inf",
            b"1e999", b"-1e999", b"1E+400", b"1e309", b"-1.8e308", b"1e19", b"1.797e308", b"[1e999]",
            b'{"x": [1, 2, 1e999]}',
            b"[NaN]", b'{"x": Infinity}', b"9" * 400 + b".0", b"1" + b"0" * 309,
            b"9" * 5000, b"-" + b"9" * 5000, b"1" + b"0" * 4999,
            b"[" + b"7" * 5000 + b"]", b'{"n": ' + b"8" * 5000 + b"}",
            b"9" * 4301, b"9" * 100_000, b"9" * 900_000,
            b"9223372036854775808", b"-9223372036854775809", b"18446744073709551615", b"18446744073709551616",
            b"99999999999999999999", b"10000000000000000000", b"[0, 9223372036854775808]", b"1" + b"0" * 30,
            b"01", b"-01", b"00", b"+1", b".5", b"-.5", b"1.", b"1.e5", b"1e", b"1e+", b"-", b"--1", b"0x1F", b"0b1",
            b"0o7", b"1_000", b"1,000", b"1 000", b"1f", b"1L", b"1n", "１".encode(), "٣".encode(), "½".encode(),
        )
    ),
]  # fmt: skip
DUPLICATES = [
    b'{"a": 1, "a": 2}',
    b'{"a": 1, "a": 1}',
    b'{"a": 1, "b": 2, "a": 3}',
    rb'{"a": 1, "\u0061": 2}',
    rb'{"task_type": 1, "task\u005ftype": 2}',
    b'{"": 1, "": 2}',
    value(b'{"x": 1, "x": 2}'),
    value(b'[{"x": 1, "x": 2}]'),
    value(b'[[{"y": {"x": 1, "x": 2}}]]'),
    value(b'{"x": {"a": 1, "a": {"b": 2}}}'),
    b'{"a": ' + b"[" * 900 + b"]" * 900 + b', "a": 1}',
    b'{"a": ' + b"9" * 5000 + b', "a": 1}',
    rb'{"a": "\u0000", "a": 1}',
    '{"é": 1, "\\u00e9": 2}'.encode(),
]
DEEP = [
    nested(MAX_DEPTH + 1), nested(MAX_DEPTH + 1, b'{"a":', b"}").replace(b":}", b":1}"), objects(MAX_DEPTH + 1),
    nested(64), nested(500), nested(990), nested(1000), nested(1024), nested(1025), nested(5_000), nested(100_000),
    nested(490_000), objects(1_000), objects(100_000), b"[" * 100_000, b"[" * 999_999, b'{"a":' * 100_000,
    b"[{" * 50_000, b'[{"a":' * 100_000, value(b"[" * 100_000), value(b"]" * 100_000),
    value(b'["]]]]", ' + b"[" * 32 + b"]" * 33), value(rb'["\"", ' + b"[" * 32 + b"]" * 33),
]  # fmt: skip
ENCODINGS = [
    b"\xef\xbb\xbf{}", b"\xef\xbb\xbf" + TEXT.encode(), b"\xef\xbb\xbf", b" \xef\xbb\xbf{}", TEXT.encode("utf-16"),
    TEXT.encode("utf-16-le"), TEXT.encode("utf-16-be"), TEXT.encode("utf-32"), TEXT.encode("utf-32-le"),
    TEXT.encode("utf-32-be"), b"{}".decode().encode("utf-16"), b"{}".decode().encode("utf-16-le"),
    TEXT.encode("latin-1"), TEXT.encode("cp500"), b"+AHsAfQ-", b"\xff\xfe", b"\xff", b"\x80", value(b'"\xff"'),
    value(b'"\xc3"'), value(b'"\xc3("'), value(b'"\xc0\x80"'), value(b'"\xc0\xaf"'), value(b'"\xe0\x80\xaf"'),
    value(b'"\xf0\x80\x80\xaf"'), value(b'"\xf4\x90\x80\x80"'), value(b'"\xf5\x80\x80\x80"'),
    value(b'"\xf8\x88\x80\x80\x80"'), value(b'"\xe2\x82"'), value(b'"\xa0\xa1"'), b'{"\xff": 1}',
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00C\xbf\xa6\xa3\x02\x00\x00\x00",
]  # fmt: skip
CONTROL = [value(b'"a' + bytes([code]) + b'b"') for code in range(1, 0x20)] + [
    b'{"a\nb": 1}',
    b"\x0b{}",
    b"\x0c{}",
    b"{}\x1b",
    "\u00a0{}".encode(),
    "\u2028{}".encode(),
    "{}\u3000".encode(),
]
SYNTAX = [
    *(
        b" ", b"\n\t ", b"{", b"}", b"{]", b"[}", b'{"a"}', b'{"a":}', b'{"a": 1,}', b'{,}', b'{"a": 1 "b": 2}',
        b'{"a" 1}', b"{a: 1}", b"{'a': 1}", b'{"a": \'x\'}', b'{"a": "x}', b'{"a": "x\\"}', b'{"a": x}', b'{1: 2}',
        b'{null: 1}', b'{"a": True}', b'{"a": None}', b'{"a": undefined}', b'{"a": TRUE}', b'{"a": [1,]}',
        b'{"a": [,1]}',
        b'{"a": [1 2]}', b"{} {}", b"{}{}", b"{}x", b"{},", b"{}]", b'{"a": 1}//', b'/* c */{}', b'{"a": 1 /* c */}',
        b"#\n{}",
        b"<xml/>", b"a=1&b=2", b"--x\r\nContent-Disposition: form-data\r\n", rb'{"a": "\x41"}', rb'{"a": "\u12"}',
        rb'{"a": "\u12G4"}', rb'{"a": "\U00000041"}', rb'{"a": "\'"}', rb'{"a": "\0"}', rb'{"a": "\a"}', b'{"a": "\\',
        rb'{"a": "\u"}', b")]}',\n{}", b"while(1);{}", b"\x1e{}", b'{"a": 1}\n{"a": 2}', b'{"a": tru}', b'{"a": nul}',
    ),
]  # fmt: skip
NOT_AN_OBJECT = [
    b"[]",
    b"[{}]",
    b'"text"',
    b"1",
    b"-0",
    b"1.5",
    b"true",
    b"false",
    b"null",
    b'[{"task_type": "x"}]',
    b" [] ",
]
TOO_LARGE = [
    value(b'"' + b"x" * MAX_BYTES + b'"'),
    b"{}" + b" " * MAX_BYTES,
    b" " * (MAX_BYTES + 1),
    b"[" * (MAX_BYTES + 1),
    value(b"9" * 1_500_000),
    value(b'"' + b"\xff" * 3_000_000 + b'"'),
    b"{" + b",".join(b'"%d":1' % n for n in range(101_500)) + b"}",
]
MALFORMED: list[bytes] = [
    *NUL, *SURROGATES, *NUMBERS, *DUPLICATES, *DEEP, *ENCODINGS, *CONTROL, *SYNTAX, *NOT_AN_OBJECT,
]  # fmt: skip

HARMLESS: list[bytes] = [
    b"{}",
    b" {} \r\n\t",
    TEXT.encode(),
    value(rb'"\\u0000"'),
    value(rb'"\\\\u0000"'),
    rb'{"\\u0000": "C:\\u0000"}',
    value(rb'"\ud83d\ude00"'),
    value('"😀 é 漢字 ‮ \ufffe"'.encode()),
    value(rb'"\u001b[31m \u0001 \u007f"'),
    value(rb'"\/ \" \\ \b \f \n \r \t"'),
    value(b"9223372036854775807"),
    value(b"-9223372036854775808"),
    value(b"-0"),
    value(b"9e18"),
    value(b"1e-999"),
    value(b"0." + b"1" * 5000),
    value(b'"' + b"9" * 5000 + b'"'),
    nested(MAX_DEPTH),
    objects(MAX_DEPTH),
    value(b'"' + b"[" * 5000 + b'"'),
    value(rb'"\"[[[[' + b"{" * 100 + b'"'),
    value(b"[" + b"[]," * 1000 + b"{}]"),
    value(b'[{"x": 1}, {"x": 2}]'),
    value(b'{"context_data": {"context_data": 1}}'),
    b'{"": 1, " ": 2, "A": 3, "a": 4}',
    value(b'"' + b"x" * (MAX_BYTES - 20) + b'"'),
    value(b'[true, false, null, 0.1, ""]'),
]


def post(
    client: Client, body: bytes, content_type: str = "application/json", url: str = "/echo/", **headers: str
) -> HttpResponse:
    # `generic` sends the bytes as they are; `post` would re-encode them for some charsets.
    response: HttpResponse = client.generic("POST", url, body, content_type, headers=headers)  # type: ignore[assignment]
    return response


def problem(response: HttpResponse) -> dict[str, Any]:
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert {"type", "title", "status", "detail", "code"} <= document.keys()
    assert document["status"] == response.status_code
    assert document["type"].endswith(document["code"])
    return document


def test_it_has_enough_hostile_bodies() -> None:
    assert len(set(MALFORMED)) == len(MALFORMED)
    assert len(MALFORMED) + len(TOO_LARGE) >= 150


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:40]))
def test_it_refuses_the_malformed_body(client: Client, body: bytes) -> None:
    document = problem(post(client, body))
    assert (document["status"], document["code"]) == (400, "malformed_json")
    assert 10 < len(document["detail"]) < 250
    assert document["detail"].isprintable()


@pytest.mark.parametrize("body", TOO_LARGE, ids=lambda body: f"{body[:12]!r}-{len(body)}")
def test_it_refuses_the_large_body(client: Client, body: bytes) -> None:
    document = problem(post(client, body))
    assert (document["status"], document["code"]) == (413, "body_too_large")
    assert "1,000,000" in document["detail"]


@pytest.mark.parametrize("body", HARMLESS, ids=lambda body: repr(body[:40]))
def test_it_reads_the_odd_but_harmless_body(client: Client, body: bytes) -> None:
    response = post(client, body)
    assert response.status_code == 200
    assert json.loads(response.content)["echo"] == json.loads(body)


def test_it_reads_no_body_as_an_empty_object(client: Client) -> None:
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        response = post(client, b"", content_type)
        assert (response.status_code, json.loads(response.content)["echo"]) == (200, {})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": 1,}', "line 1, column 8"),
        (b'{\n  "a": x}', "line 2, column 8"),
        (value(b'"\xff"'), "byte 0xff at offset 18"),
        (b'{"task_type": 1, "task_type": 2}', "`task_type`"),
        (value(rb'[{"note": "\u0000"}]'), "`context_data.0.note`"),
        (value(b"9" * 5000), "infinity"),
        (value(b"9" * 25), "25 digits"),
        (nested(33), "32 levels"),
        (b"[]", "object"),
        (b"\xef\xbb\xbf{}", "BOM"),
    ],
)
def test_it_says_what_is_wrong_and_where(client: Client, body: bytes, said: str) -> None:
    assert said in problem(post(client, body))["detail"]


def test_it_never_repeats_a_value(client: Client) -> None:
    for body in (
        value(b'"4111111111111111\xff"'),
        value(b"4111111111111111 4"),
        value(rb'["4111111111111111", "\u0000"]'),
    ):
        assert "4111" not in problem(post(client, body))["detail"]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json-patch+json",
        "application/problem+json",
        "text/json",
        "",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=bz2",
    ],
)
def test_it_refuses_another_media_type_or_charset(client: Client, content_type: str) -> None:
    document = problem(post(client, b'{"a": 1}', content_type))
    assert (document["status"], document["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=UTF-8", 'application/json;charset="utf-8"', "Application/JSON"]
)
def test_it_takes_its_own_media_type_in_every_spelling(client: Client, content_type: str) -> None:
    assert post(client, b'{"a": "\xc3\xa9"}', content_type).status_code == 200


def test_it_refuses_a_compressed_body(client: Client) -> None:
    document = problem(post(client, b'{"a": 1}', **{"Content-Encoding": "gzip"}))
    assert (document["status"], document["code"]) == (415, "unsupported_media_type")
    assert "uncompressed" in document["detail"]


@pytest.mark.parametrize("url", ["/body-then-data/", "/data-then-body/"])
def test_it_leaves_the_bytes_for_whoever_hashes_them(client: Client, url: str) -> None:
    answer = json.loads(post(client, b'{"a": 1}', url=url).content)
    assert (answer["echo"], answer["bytes"]) == ({"a": 1}, 8)


def test_it_answers_413_also_where_django_reads_the_body_first(client: Client) -> None:
    document = problem(post(client, b" " * 3_000_000, url="/body-then-data/"))
    assert (document["status"], document["code"]) == (413, "body_too_large")


def test_it_believes_no_content_length_that_is_too_small() -> None:
    class Endless(io.BytesIO):
        given = 0

        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert size >= 0, "read without a cap"
            self.given += size
            return b" " * size

    stream = Endless()
    with pytest.raises(Exception, match="1,000,000 bytes") as caught:
        StrictJSONParser().parse(stream, "application/json", {})
    assert caught.value.status_code == 413  # type: ignore[attr-defined]
    assert stream.given == MAX_BYTES + 1


def test_it_shows_what_the_stock_parser_would_have_passed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same bodies, the same view, REST framework's own parser."""
    client.raise_request_exception = False
    monkeypatch.setattr(Echo, "parser_classes", (JSONParser,))
    dangerous = {"NUL": NUL, "surrogates": SURROGATES, "numbers": NUMBERS, "duplicates": DUPLICATES, "deep": DEEP}
    harmed = {
        kind: sum(post(client, body).status_code in (200, 500) for body in bodies) for kind, bodies in dangerous.items()
    }
    assert harmed["NUL"] >= 10
    assert harmed["surrogates"] >= 10
    assert harmed["numbers"] >= 10
    assert harmed["duplicates"] >= 10
    assert harmed["deep"] >= 5
    assert post(client, b"[]").status_code == 200
