"""More than can be served, slow readers, and a stop in the middle of it: over the gunicorn worker that `up` runs."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hitl import overload
from tests import servers
from tests.system import wait_until

MAX_WAIT = 0.2
REPOSITORY = Path(__file__).resolve().parent.parent.parent


@contextlib.contextmanager
def served(max_wait: float, threads: int = 2) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """The slow application on one process with two threads: a hundred requests a second at most."""
    port = servers.free_port()
    command = [sys.executable, "-m", "gunicorn", "tests.faults.overloaded_app", "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "hitl.worker.Worker", "--threads", str(threads), "--no-control-socket"]
    command += ["--graceful-timeout", "10", "--log-level", "error"]
    process = subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, "MAX_WAIT": str(max_wait)})
    try:
        wait_until(lambda: answers(port), "the application answers")
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return ask(port, "/livez")[0] == 200
    return False


def ask(port: int, path: str = "/") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


@dataclass
class Crowd:
    """Clients who ask again and again, each time on a connection of its own, until told to stop."""

    port: int
    size: int = 40
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    refused: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Crowd":
        self.threads = [threading.Thread(target=self._ask) for _ in range(self.size)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _ask(self) -> None:
        while not self.stopped.is_set():
            try:
                self.answers.append(ask(self.port))
            except ConnectionRefusedError:  # nobody listens any more: nothing was promised
                self.refused += 1
                return
            except (OSError, http.client.HTTPException) as error:
                self.broken.append(repr(error))
                return


@pytest.mark.slow
def test_who_waited_too_long_is_told_to_come_again() -> None:
    with served(MAX_WAIT) as (port, _process):
        with Crowd(port) as crowd:
            wait_until(lambda: len(crowd.answers) > 300, "the crowd was answered")
            assert ask(port, "/livez")[0] == 200
        assert not crowd.broken
        shed = [answer for answer in crowd.answers if answer[0] != 200]
        taken = [float(body) for status, _headers, body in crowd.answers if status == 200]
        assert shed
        assert taken
        assert max(taken) <= MAX_WAIT
        for status, headers, body in shed:
            assert (status, headers["Content-Type"]) == (503, "application/problem+json")
            assert int(headers["Retry-After"]) > 0
            assert json.loads(body)["code"] == "overloaded"
        assert ask(port)[0] == 200  # back to normal as soon as the crowd has gone


@pytest.mark.slow
def test_a_connection_that_was_opened_early_is_not_shed() -> None:
    """Browsers open connections before they need them; the wait of an idle one is the client's own."""
    with served(MAX_WAIT) as (port, _process), socket.create_connection(("127.0.0.1", port)) as early:
        time.sleep(4 * MAX_WAIT)
        early.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert early.recv(15).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
def test_without_the_limit_everybody_waits() -> None:
    """Negative control."""
    with served(0) as (port, _process), Crowd(port) as crowd:
        wait_until(lambda: len(crowd.answers) > 150, "the crowd was answered")
    assert {status for status, _headers, _body in crowd.answers} == {200}
    assert max(float(body) for _status, _headers, body in crowd.answers) > MAX_WAIT


@pytest.mark.slow
def test_a_stop_in_the_middle_fails_no_request() -> None:
    with served(0) as (port, process), Crowd(port, size=20) as crowd:
        wait_until(lambda: len(crowd.answers) > 60, "the crowd was answered")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not crowd.broken
    assert crowd.refused == crowd.size
    assert {status for status, _headers, _body in crowd.answers} == {200}


@pytest.mark.slow
def test_two_slow_readers_do_not_stop_the_others() -> None:
    with served(0, threads=4) as (port, _process), contextlib.ExitStack() as stack:
        for _ in range(2):
            reader = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            assert reader.recv(10)  # and no more: the answer stays in the server's thread
        assert [ask(port)[0] for _ in range(10)] == [200] * 10


def test_a_trusted_proxy_tells_how_long_a_request_waited(settings: object) -> None:
    settings.HITL_TRUSTED_PROXIES = ["10.0.0.7"]  # type: ignore[attr-defined]
    told = {"HTTP_X_REQUEST_START": f"t={time.time() - 5:.3f}"}
    assert 4 < overload.waited({**told, "REMOTE_ADDR": "10.0.0.7"}) < 60
    assert overload.waited({**told, "REMOTE_ADDR": "203.0.113.9"}) < 1
    assert overload.waited({"HTTP_X_REQUEST_START": "t=soon", "REMOTE_ADDR": "10.0.0.7"}) < 1


def test_a_queue_that_stands_is_kept_short_and_a_burst_is_not() -> None:
    queue = overload.Queue()
    assert not queue.is_too_late(0.01, 1, 100)
    waits = [(0.9, 100 + number / 100) for number in range(90)]
    assert not any(queue.is_too_late(wait, 1, at) for wait, at in waits)  # a burst: younger than the limit
    assert queue.is_too_late(1.1, 1, 100.95)
    assert [queue.is_too_late(wait, 1, 101.1) for wait in (0.9, 0.3, 0.2)] == [True, True, False]
    assert not queue.is_too_late(0.05, 1, 101.2)  # it was empty
    assert not queue.is_too_late(0.9, 1, 101.3)


def test_a_few_who_waited_for_a_slow_answer_are_no_queue() -> None:
    queue = overload.Queue()
    assert not queue.is_too_late(0, 1, 100)
    assert not any(queue.is_too_late(0.9, 1, 105 + number) for number in range(overload.IN_TURN - 1))
    assert queue.is_too_late(0.9, 1, 200)
