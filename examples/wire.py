"""One HTTP call with the standard library: what goes out is what was asked for, and every failure has one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

MAX_ANSWER_BYTES = 5_000_000


class Unreachable(Exception):
    """The other side could not be reached, or broke off before it had answered."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, headers under lower-case names, and the raw bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def send(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 10.0,
) -> Reply:
    """Send one request and read its answer, whatever its status.

    `http.client` and not `urllib.request`: it follows no redirect (which would hand the token to another host), turns
    no POST into a GET and believes no proxy variable. `timeout` is in seconds and holds for each read.

    Raises `Unreachable` if there is no complete answer, `ValueError` if the address is not http or https.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is not an http or https address")
    connection_class = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connection_class(parts.hostname, parts.port, timeout=timeout)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        received = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, received, answer.read(MAX_ANSWER_BYTES))
    except (OSError, HTTPException) as error:
        raise Unreachable(f"no answer from {parts.scheme}://{parts.netloc}: {error or type(error).__name__}") from error
    finally:
        connection.close()
