"""The strict JSON parser: what gets past it can be stored, hashed and shown again on both databases.

Stock parsers let through what breaks later: NUL is refused by PostgreSQL, a lone surrogate cannot be encoded in the
next answer, NaN is no JSON, of two equal keys one vanishes silently, deep nesting exhausts the stack, and a huge
number fits no column. Here each is a 400 that says what and where; no text repeats a value that was sent.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from itertools import accumulate
from typing import IO, Any, Final, NoReturn

import orjson
from django.http import HttpRequest, UnreadablePostError
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**63 - 1

# A refused body is read and dropped up to here: a server that closes the socket with unread bytes in it resets the
# connection, and the caller never sees the answer.
_DRAIN_BYTES: Final = 8 * MAX_BYTES
_DRAIN_CHUNK: Final = 65_536

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEP: Final = {**dict.fromkeys(b"[{", 1), **dict.fromkeys(b"]}", -1)}
_SHOWN = 60


class MalformedJSON(ParseError):
    """The body is not the JSON that this API accepts."""

    default_code = "malformed_json"


class BodyTooLarge(APIException):
    """The body is larger than this API accepts."""

    status_code = 413
    default_code = "body_too_large"
    default_detail = f"The body is over {MAX_BYTES:,} bytes."


class UnsupportedEncoding(UnsupportedMediaType):
    """The body is compressed or not in UTF-8."""


class StrictJSONParser(BaseParser):
    """Parse a JSON object; refuse everything that means trouble later (see the module's text). No body counts as {}."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Raises MalformedJSON, UnreadablePostError (400), BodyTooLarge (413) or UnsupportedEncoding (415)."""
        request = (parser_context or {}).get("request")
        _check_headers(media_type or "", request.META if request is not None else {})
        return loads(_read(stream, request.META if request is not None else {}))


def loads(body: bytes) -> dict[str, Any]:
    """Parse `body` (UTF-8, at most MAX_BYTES) into a dict under all the rules but those on headers.

    Two parsers read it. orjson comes first: it keeps no stack of ours busy, knows no NaN or infinity, refuses lone
    surrogates, and says where it stopped. The standard library's comes second, on a text whose syntax and depth are
    known to be sound, because only its hooks see every key of an object and every digit of an integer.
    """
    if not body:
        return {}
    if len(body) > MAX_BYTES:
        raise BodyTooLarge
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"byte 0x{body[error.start]:02x} at offset {error.start}"
        raise MalformedJSON(f"The body is not UTF-8: {where}.") from error
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise MalformedJSON(f"The body is not valid JSON: {error.msg} at {where}.") from error
    _check_depth(body)
    value = _decoder().decode(text)
    if not isinstance(value, dict):
        raise MalformedJSON("The body must be a JSON object: {...}.")
    # NUL can only come as an escape: raw control characters are a syntax error. The same digits behind an escaped
    # backslash are harmless text, hence the second look at the parsed strings.
    if "\\u0000" in text:
        _check_nul(value)
    return value


def _check_headers(media_type: str, meta: Mapping[str, Any]) -> None:
    charset = parse_header_parameters(media_type)[1].get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedEncoding(media_type, "JSON is sent in UTF-8: leave the charset out of the Content-Type.")
    if meta.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedEncoding(media_type, "Send the body uncompressed, without Content-Encoding.")


def _read(stream: IO[Any], meta: Mapping[str, Any]) -> bytes:
    try:
        declared = int(meta.get("CONTENT_LENGTH") or 0)
    except ValueError as error:
        raise MalformedJSON("The Content-Length is not a number.") from error
    if declared > MAX_BYTES:
        _drain(stream)
        raise BodyTooLarge
    if isinstance(stream, HttpRequest):
        # `body` keeps the bytes for whoever hashes them later; reading is bounded by the length just checked.
        body: bytes = stream.body
    else:
        body = stream.read(MAX_BYTES + 1)
    if len(body) < declared:
        raise UnreadablePostError("the connection ended before the body did")
    return body


def _drain(stream: IO[Any]) -> None:
    for _ in range(_DRAIN_BYTES // _DRAIN_CHUNK):
        if not stream.read(_DRAIN_CHUNK):
            return


def _check_depth(body: bytes) -> None:
    """Count brackets outside strings, without recursion; `body` is known to be sound JSON."""
    brackets = _STRING.sub(b"", body).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise MalformedJSON(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise MalformedJSON(f"The key {shown(twice)} is given twice in one object.")
    return result


def _integer(digits: str) -> int:
    # Judged by its length first: int() takes quadratic time on thousands of digits.
    length = len(digits) - digits.startswith("-")
    if length > 19 or not -MAX_INTEGER - 1 <= (number := int(digits)) <= MAX_INTEGER:
        raise MalformedJSON(f"An integer of {length} digits is beyond 64 bits (signed): send it as a string.")
    return number


def _number(digits: str) -> float:
    number = float(digits)
    # Written with an exponent it fits a double, but PostgreSQL keeps its digits and gives an integer back.
    if abs(number) > MAX_INTEGER:
        raise MalformedJSON("A number is beyond 64 bits: send it as a string.")
    return number


@cache
def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_no_constant
    )


def _no_constant(name: str) -> NoReturn:
    raise MalformedJSON(f"{name} is not valid JSON.")


def _check_nul(value: dict[str, Any]) -> None:
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, str) and "\0" in item:
            raise MalformedJSON(f"The text at {shown(path)} contains a NUL character.")
        if isinstance(item, dict):
            for key, child in item.items():
                if "\0" in key:
                    raise MalformedJSON(f"The key {shown(key)} contains a NUL character.")
                waiting.append((f"{path}.{key}" if path else key, child))
        elif isinstance(item, list):
            waiting.extend((f"{path}.{index}", child) for index, child in enumerate(item))


def shown(name: str) -> str:
    """A caller's key or path as it may stand in a message: in backticks, printable, and short."""
    short = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
    return "`" + "".join(c if c.isprintable() and c != "`" else "�" for c in short) + "`"
