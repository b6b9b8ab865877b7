"""Callers who do not wait for one another: requests that arrive when they arrive, each on a connection of its own.

`flood()` begins so many a second whatever the server does, as the public would, and takes each one's time from the
moment at which it was to begin; `crowd()` keeps so many going, which tells what can be served. One process with one
epoll loop does it, some thousand a second; what it really offered, and how late, is told with the rest.
"""

from __future__ import annotations

import errno
import itertools
import math
import random
import select
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.load import Request, content_length

PATIENCE_SECONDS = 30.0
ADDRESSES = 200
CONNECTING = (0, errno.EINPROGRESS)


@dataclass
class Call:
    """One request on its way. `status` is 0 as long as, or if, no whole answer has come."""

    due: float
    begun: float
    payload: bytes
    socket: socket.socket
    is_connected: bool = False
    head: bytes = b""
    length: int = -1
    received: int = 0
    status: int = 0
    tells_when: bool = False
    took: float = 0.0
    failure: str = ""


@dataclass
class Told:
    """What came of the calls of a round."""

    seconds: float
    calls: list[Call] = field(default_factory=list)

    @property
    def statuses(self) -> dict[str, int]:
        return dict(sorted(Counter(str(call.status or call.failure) for call in self.calls).items()))

    @property
    def offered_per_s(self) -> float:
        return len(self.calls) / self.seconds

    @property
    def accepted(self) -> list[Call]:
        return [call for call in self.calls if 200 <= call.status < 400]

    @property
    def put_off(self) -> list[Call]:
        return [call for call in self.calls if call.status in {429, 503} and call.tells_when]

    @property
    def failed(self) -> list[Call]:
        """Neither accepted nor told to come again: errors, broken off, never answered. Who found nobody is apart."""
        fine = {id(call) for call in (*self.accepted, *self.put_off)}
        return [call for call in self.calls if id(call) not in fine and call.failure != "refused"]

    def late_ms(self, part: float = 0.99) -> float:
        """How late the generator was with its calls: its own fault, and part of their time."""
        return 1000 * quantile([call.begun - call.due for call in self.calls], part)


def quantile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else math.nan


def flood(port: int, requests: Sequence[Request], per_s: float, seconds: float, *, addresses: int = ADDRESSES) -> Told:
    """`per_s` calls a second at random moments for `seconds`, from so many addresses, then wait for their answers."""
    return _Loop(port, requests, addresses).run(seconds, per_s=per_s)


def crowd(port: int, requests: Sequence[Request], size: int, seconds: float) -> Told:
    """`size` callers, each of whom asks again as soon as he is answered."""
    return _Loop(port, requests, ADDRESSES).run(seconds, size=size)


class _Loop:
    def __init__(self, port: int, requests: Sequence[Request], addresses: int) -> None:
        self.port = port
        self.payloads = itertools.cycle([_closing(request) for request in requests])
        self.numbers = itertools.count(int(time.monotonic() * 1000))
        self.sources = itertools.cycle([f"127.0.{1 + number // 200}.{1 + number % 200}" for number in range(addresses)])
        self.epoll = select.epoll()
        self.calls: dict[int, Call] = {}

    def run(self, seconds: float, *, per_s: float = 0.0, size: int = 0) -> Told:
        told, chance = Told(seconds), random.Random(7)
        due = time.monotonic()
        end, look_again = due + seconds, due
        while self.calls or due < end:
            now = time.monotonic()
            if per_s:
                while due <= now and due < end:
                    told.calls.append(self._begin(due, now))
                    due += chance.expovariate(per_s)
            elif now < end:
                told.calls.extend(self._begin(now, now) for _ in range(size - len(self.calls)))
            else:
                due = end
            for descriptor, event in self.epoll.poll(max(0.0, min(0.05, due - now)) if per_s else 0.05):
                self._go_on(descriptor, event)
            if now > look_again:
                look_again = now + 1
                for call in [call for call in self.calls.values() if now - call.due > PATIENCE_SECONDS]:
                    self._end(call, "no answer")
        self.epoll.close()
        return told

    def _begin(self, due: float, now: float) -> Call:
        own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        own.setblocking(False)
        own.bind((next(self.sources), 0))
        payload = next(self.payloads).replace(b"@" * 10, b"%010d" % next(self.numbers))
        call = Call(due, now, payload, own)
        if (error := own.connect_ex(("127.0.0.1", self.port))) not in CONNECTING:
            call.failure = errno.errorcode[error]
            own.close()
            return call
        self.calls[own.fileno()] = call
        self.epoll.register(own.fileno(), select.EPOLLOUT)
        return call

    def _go_on(self, descriptor: int, event: int) -> None:
        call = self.calls[descriptor]
        try:
            if not call.is_connected:
                if error := call.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._end(call, "refused" if error == errno.ECONNREFUSED else errno.errorcode[error])
                    return
                call.is_connected = True
            if event & select.EPOLLOUT:
                call.payload = call.payload[call.socket.send(call.payload) :]
                if not call.payload:
                    self.epoll.modify(descriptor, select.EPOLLIN)
                return
            chunk = call.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(call, "broken off" if call.is_connected else errno.errorcode[error.errno or 0])
            return
        if not chunk:
            self._end(call, "broken off")
        elif _is_whole(call, chunk):
            self._end(call, "")

    def _end(self, call: Call, failure: str) -> None:
        del self.calls[call.socket.fileno()]
        self.epoll.unregister(call.socket.fileno())
        call.socket.close()
        call.took, call.failure = time.monotonic() - call.due, failure
        if failure:
            call.status = 0


def _closing(request: Request) -> bytes:
    return request.render().replace(b"Connection: keep-alive", b"Connection: close", 1)


def _is_whole(call: Call, chunk: bytes) -> bool:
    """Take note of a piece of the answer; whether it was the last."""
    call.received += len(chunk)
    if call.length < 0:
        call.head += chunk
        if (end := call.head.find(b"\r\n\r\n")) < 0:
            return False
        head = call.head[:end].lower()
        call.status, call.tells_when = int(head[9:12]), b"\r\nretry-after: " in head
        call.length = end + 4 + content_length(head)
        call.head = b""
        assert b"\r\ntransfer-encoding" not in head, "every answer says how long it is"
    return call.received >= call.length
