"""The clients: processes with one plain socket each, so that measuring costs little of the cores that are measured.

A client offers keep-alive and reuses its connection for as long as the server leaves it open. Requests are prepared
bytes in which the marker @@@@@@@@@@ is replaced by a fresh number of the same length, so that no two bodies are equal.
`ceiling()` measures the clients alone against a server that does nothing.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

MARKER = b"@@@@@@@@@@"
SOCKET_SECONDS = 120.0
WARM_UP_SECONDS = 0.2


@dataclass(frozen=True)
class Request:
    """One prepared request. `body` may hold the marker; `expected` is the only status that counts as an answer."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    expected: int = 200

    def render(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1", "Connection: keep-alive"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Outcome:
    """What a round of requests gave: answers per second, latencies in milliseconds, and what went wrong.

    `answers` counts those after the warm-up, up to the last that was begun in time, however long it took; `right` all
    that had the expected status.
    """

    per_s: float
    p50_ms: float
    p99_ms: float
    answers: int
    right: int
    unexpected: dict[int, int]
    sample: str


class Client:
    """One connection at a time; opened when needed, reused while the server allows it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None

    def send(self, payload: bytes) -> tuple[int, bytes]:
        reused = self.socket is not None
        try:
            return self._exchange(payload)
        except ConnectionError:
            self.close()
            if not reused:
                raise
            return self._exchange(payload)

    def _exchange(self, payload: bytes) -> tuple[int, bytes]:
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), SOCKET_SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(payload)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive()
        head, body = received[:end].lower(), received[end + 4 :]
        status = int(head[9:12])
        length = content_length(head)
        if b"\r\ntransfer-encoding: chunked" in head:
            while not body.endswith(b"0\r\n\r\n"):
                body += self._receive()
        while len(body) < length:
            body += self._receive()
        if b"\r\nconnection: close" in head:
            self.close()
        return status, body

    def _receive(self) -> bytes:
        assert self.socket is not None
        chunk = self.socket.recv(262144)
        if not chunk:
            raise ConnectionResetError("the server closed the connection")
        return chunk

    def close(self) -> None:
        if self.socket:
            self.socket.close()
        self.socket = None


def content_length(head: bytes) -> int:
    start = head.find(b"\r\ncontent-length:")
    return int(head[start + 17 : (head + b"\r\n").find(b"\r\n", start + 2)]) if start >= 0 else 0


def exchange(port: int, request: Request) -> tuple[int, bytes]:
    """One request on a connection of its own: for setting up and probing, outside any measurement."""
    client = Client(port)
    try:
        return client.send(request.render())
    finally:
        client.close()


@dataclass
class _Share:
    """What one client did."""

    latencies: list[float] = field(default_factory=list)
    right: int = 0
    last: float = 0.0
    unexpected: Counter[int] = field(default_factory=Counter)
    sample: str = ""


def _work(
    port: int, payloads: Iterator[bytes], expected: int, number: int, begin: float, end: float, out: Connection
) -> None:
    client, share = Client(port), _Share()
    count = number * 100_000_000 + int(begin * 1000) % 100_000_000
    while (started := time.monotonic()) < end and (payload := next(payloads, None)) is not None:
        count += 1
        payload = payload.replace(MARKER, b"%010d" % (count % 10_000_000_000))
        try:
            status, body = client.send(payload)
        except OSError as error:
            client.close()
            status, body = 0, repr(error).encode()
        finished = time.monotonic()
        if status != expected:
            share.unexpected[status] += 1
            share.sample = share.sample or body[:400].decode(errors="replace")
            if share.unexpected.total() > 20:
                break
            continue
        share.right += 1
        if finished >= begin:
            share.latencies.append(finished - started)
            share.last = finished
    client.close()
    out.send(share)


def measure(port: int, requests: Sequence[Request], clients: int, seconds: float, *, once: bool = False) -> Outcome:
    """Send the requests in turn from `clients` processes for `seconds` after a short warm-up, which is not counted.

    `once`: no request is sent twice, and the round ends early if there are none left.
    """
    context = multiprocessing.get_context("fork")
    payloads, expected = [request.render() for request in requests], requests[0].expected
    begin = time.monotonic() + 0.1 + WARM_UP_SECONDS
    end = begin + seconds
    workers = []
    for number in range(clients):
        receiver, sender = context.Pipe(duplex=False)
        own = payloads[number::clients] or payloads
        turns = iter(own) if once else itertools.cycle(own)
        worker = context.Process(target=_work, args=(port, turns, expected, number, begin, end, sender), daemon=True)
        worker.start()
        sender.close()
        workers.append((worker, receiver))
    shares = []
    for worker, receiver in workers:
        shares.append(receiver.recv())
        worker.join()
    return _sum(shares, begin)


def _sum(shares: list[_Share], begin: float) -> Outcome:
    latencies = sorted(latency for share in shares for latency in share.latencies)
    unexpected = sum((share.unexpected for share in shares), Counter[int]())
    sample = next((share.sample for share in shares if share.sample), "")
    right = sum(share.right for share in shares)
    if not latencies:
        return Outcome(0.0, 0.0, 0.0, 0, right, dict(unexpected), sample)
    p50, p99 = (latencies[int(len(latencies) * part)] * 1000 for part in (0.5, 0.99))
    per_s = len(latencies) / max(0.01, max(share.last for share in shares) - begin)
    return Outcome(per_s, p50, p99, len(latencies), right, dict(unexpected), sample)


def _answer_at_once(listener: socket.socket, answer: bytes) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)


def ceiling(clients: int, seconds: float, size: int = 2000) -> float:
    """Answers per second that the clients manage when the server costs next to nothing and closes as gunicorn does."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        pids = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                # Without the run's own handler: the copy would unwind the run's stack and take its servers with it.
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                _answer_at_once(listener, answer)
                os._exit(0)
            pids.append(pid)
        try:
            return measure(listener.getsockname()[1], [Request("GET", "/")], clients, seconds).per_s
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)
