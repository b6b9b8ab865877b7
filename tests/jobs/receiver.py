"""Webhook receivers for tests: real servers on loopback that answer as told and keep what reaches them."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


@dataclass(frozen=True)
class Message:
    """One request as it came."""

    headers: Mapping[str, str]
    body: bytes
    at: float
    path: str = "/"

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What to answer, and after how many seconds."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    after: float = 0.0


class Receiver(ThreadingHTTPServer):
    """Answers one after the other of `script`, and then `otherwise`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *script: Answer, otherwise: Answer = Answer()) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.otherwise = list(script), otherwise
        self.messages: list[Message] = []
        self.released = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def take(self, message: Message) -> Answer:
        with self._lock:
            self.messages.append(message)
            return self.script.pop(0) if self.script else self.otherwise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Senders that are killed in mid-request are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.take(Message(headers, body, time.monotonic(), self.path))
        if answer.after:
            self.server.released.wait(answer.after)
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@contextmanager
def receiving(*script: Answer, otherwise: Answer = Answer()) -> Iterator[Receiver]:
    """A receiver that runs during the block."""
    with Receiver(*script, otherwise=otherwise) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            receiver.shutdown()
            thread.join()
