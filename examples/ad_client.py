"""The adapter's side of the ad server: calls an operation, and reads a refusal out of XML, JSON or plain text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from examples.queue_client import retry_after
from examples.wire import Reply, send

Json = dict[str, Any]

LONGEST_DETAIL = 2_000


class Refused(Exception):
    """The ad server said no. `error_string` is empty where the server sends none; `detail` is for a person to read."""

    def __init__(self, status: int, error_string: str, detail: str, wait: float = 0.0) -> None:
        self.status = status
        self.error_string = error_string
        self.detail = detail
        self.wait = wait
        super().__init__(detail)


@dataclass(slots=True)
class AdServerClient:
    """One network of an ad server. `token` is the adapter's credential there, None as long as nobody has set it."""

    url: str
    network: str
    token: str | None = None

    def call(self, operation: str, params: Json) -> Json:
        """Carry an operation out and return what was made. Raises `Refused`."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        reply = send(
            "POST", f"{self.url}/{self.network}/{operation}", body=json.dumps(params).encode(), headers=headers
        )
        if reply.status == 200:
            made: Json = json.loads(reply.body)
            return made
        raise read_refusal(reply)


def read_refusal(reply: Reply) -> Refused:
    """Read a refusal as it came; what is not understood is passed on as text, never dropped."""
    text = reply.body.decode("utf-8", errors="replace").strip()
    wait = retry_after(reply, default=0.0)
    if "xml" in reply.headers.get("content-type", ""):
        error_string, message = _read_soap_fault(text)
        return Refused(reply.status, error_string, (message or text)[:LONGEST_DETAIL], wait)
    return Refused(reply.status, "", f"HTTP {reply.status}: {text}"[:LONGEST_DETAIL], wait)


def _read_soap_fault(text: str) -> tuple[str, str]:
    """Return errorString and message. A document type is refused unread: that is where entity bombs live."""
    if "<!DOCTYPE" in text:
        return "", ""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no document type, so no entities to expand
    except ElementTree.ParseError:
        return "", ""
    return root.findtext(".//{*}errorString") or "", root.findtext(".//{*}message") or ""
