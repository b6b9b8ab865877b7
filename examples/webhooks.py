"""A webhook receiver as Standard Webhooks asks for: verify the raw bytes, answer at once, work later and once.

The outcome itself is thin (ids and status); the texts are fetched from the queue by whoever takes it from the inbox.
"""

from __future__ import annotations

import json
import queue
import threading
from collections import OrderedDict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError

Json = dict[str, Any]

MAX_BODY_BYTES = 64_000
REMEMBERED_IDS = 10_000


class BadSignature(Exception):
    """The bytes are not what the queue signed, or were signed more than five minutes ago. They must not be believed."""


def verify(secret: str, body: bytes, headers: Mapping[str, str]) -> Json:
    """Return the message if its signature holds over exactly these bytes; verify before parsing, never after.

    Raises `BadSignature`. The library lets `ValueError` through for a header that is not even well-formed.
    """
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
        message = json.loads(body)
    except (WebhookVerificationError, ValueError) as error:
        raise BadSignature(str(error)) from error
    if not isinstance(message, dict):
        raise BadSignature("the body is not a JSON object")
    return message


class Handler(BaseHTTPRequestHandler):
    """One delivery: 204 taken (or seen before), 401 not signed by the queue, 503 not ready."""

    server: Receiver
    timeout = 10

    def do_POST(self) -> None:
        """Verify, put into the inbox, answer."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self._answer(413)
            return
        body = self.rfile.read(int(length))
        self._answer(self.server.take(body, {name.lower(): value for name, value in self.headers.items()}))

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: whoever runs the receiver prints its own story."""


class Receiver(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1 and keeps verified messages in `inbox`; a context manager.

    `secret` is set once the endpoint is registered, for which its address must already be known; until then every
    delivery is answered 503, and the queue tries it again. The ids seen are in memory here: an adapter that survives a
    restart keeps them in its database, in the transaction that does the work.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.secret = ""
        self.inbox: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self.duplicates = 0
        self.refused = 0
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Where the queue should send."""
        return f"http://127.0.0.1:{self.server_address[1]}/hitl"

    def take(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Return the status for one delivery; a message that was not seen before goes into the inbox."""
        if not self.secret:
            return 503
        try:
            message = verify(self.secret, body, headers)
        except BadSignature:
            with self._lock:
                self.refused += 1
            return 401
        message_id = headers["webhook-id"]
        with self._lock:
            if message_id in self._seen:
                self.duplicates += 1
                return 204
            self._seen[message_id] = None
            if len(self._seen) > REMEMBERED_IDS:
                self._seen.popitem(last=False)
            self.inbox.put(message)
        return 204

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()
