"""`python -m bench.delivery`: webhooks a second to a receiver that answers after 100 ms, three ways, in one run.

- per POST: one Celery job per request, sent with `requests` by two prefork workers, with Redis as the broker.
- bare: aiohttp with 100 connections and signed bodies made beforehand, without any database: what the network gives.
- ours: the drain, from the outbox of committed events to the written outcome of each: dispatch, lease, send, settle.

They meet the same receiver on the same machine within seconds of each other, round after round in turning order; the
ratios are taken within a round. The receiver counts distinct ids, and a run in which one did not arrive is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.ours import FOLDER, Ours, redis
from bench.per_post import post, signed
from bench.postgres import Cluster, NoPostgresError, cluster, free_port
from bench.serve import ServerFailedError, run_python

ANSWERS_AFTER = 0.1
CONNECTIONS = 100
PATIENCE = 120.0
SLOW = 60  # so many POSTs for the opponent, which sends about 19 a second
FAST = 2000  # and for the two others
ROUNDS = 3


# -- the receiver ------------------------------------------------------------------------------------------------------


class Sink(asyncio.Protocol):
    """As little HTTP as it takes: it must not be what is measured."""

    ids: set[bytes] = set()
    posts = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            if head.startswith(b"get"):
                body = json.dumps({"ids": len(Sink.ids), "posts": Sink.posts}).encode()
                Sink.ids, Sink.posts = (set(), 0) if b"/reset" in head[:20] else (Sink.ids, Sink.posts)
                self.answer(body)
                continue
            Sink.ids.add(head.partition(b"webhook-id:")[2].partition(b"\r\n")[0].strip())
            Sink.posts += 1
            asyncio.get_running_loop().call_later(ANSWERS_AFTER, self.answer, b"ok")

    def answer(self, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


def seen(port: int, *, reset: bool = False) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{'reset' if reset else 'count'}", timeout=5) as answer:
        return dict(json.load(answer))


@contextlib.contextmanager
def sink() -> Iterator[int]:
    port = free_port()
    with process([sys.executable, "-m", "bench.delivery", "--sink", str(port)], {}):
        deadline = time.monotonic() + 20
        while True:
            try:
                seen(port)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise ServerFailedError("The receiver did not start.") from None
                time.sleep(0.05)
        yield port


@contextlib.contextmanager
def process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(command, cwd=FOLDER, env={**os.environ, **environment}, start_new_session=True)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


# -- the three ways ----------------------------------------------------------------------------------------------------


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}/hook"


def body_of(number: int) -> bytes:
    """As long as our envelope."""
    return json.dumps(
        {"type": "task.completed", "data": {"task_id": f"task_{number:032}", "padding": "x" * 600}}
    ).encode()


def per_post(port: int) -> float:
    """POSTs a second of the running workers."""
    begin = time.perf_counter()
    for number in range(SLOW):
        post.delay(url_of(port), f"msg_{number}", body_of(number).decode())
    while seen(port)["ids"] < SLOW:
        if time.perf_counter() - begin > PATIENCE:
            raise ServerFailedError("The Celery jobs did not come to an end.")
        time.sleep(0.02)
    return SLOW / (time.perf_counter() - begin)


async def send_bare(url: str) -> float:
    import aiohttp

    ready = [(body, signed(b"bench", f"msg_{n}", body)) for n, body in enumerate(map(body_of, range(FAST)))]
    begin = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:

        async def send(body: bytes, headers: dict[str, str]) -> None:
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()

        await asyncio.gather(*(send(*one) for one in ready))
    return FAST / (time.perf_counter() - begin)


def prepare(url: str) -> None:
    """In a process with Django: FAST committed events and one endpoint that wants them."""
    import django

    django.setup()
    from django.db import transaction

    from core import clock
    from hitl.celery import app
    from notifications import signing
    from notifications.models import Endpoint
    from tasks_app import events
    from tasks_app.actors import Actor
    from tasks_app.models import Principal, User
    from tasks_app.models.access import default_scopes
    from tasks_app.services import NewTask, open_task

    app.set_default()  # so that the nudges go to its own broker, a folder here
    Principal.objects.create(pk="acme_corp")
    user = User.objects.create(username="bench", kind="service", password="!")
    bot = Actor(user=user, scopes=frozenset(default_scopes()), principals=frozenset(["acme_corp"]))
    for first in range(0, FAST, 500):
        with transaction.atomic():
            for number in range(first, first + 500):
                open_task(NewTask("creative_approval", "acme_corp", operation=f"create_creative_{number}"), bot)
            events.assign_positions(500)
    endpoint = Endpoint(url=url, created_at=clock.now(), event_types=["task.created"])
    endpoint.add_secret(signing.new_secret(), now=clock.now())
    endpoint.save()


def drain() -> None:
    """In a process with Django: make every event new again, then send them all; print how many a second."""
    import django

    django.setup()
    from django.db import connection

    from notifications import relay
    from notifications.models import Attempt, Delivery
    from tasks_app.models import EventOutbox

    Attempt.objects.all().delete()
    Delivery.objects.all().delete()
    EventOutbox.objects.update(dispatched_at=None)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
    begin = time.perf_counter()
    written = relay.drain()
    seconds = time.perf_counter() - begin
    sent = Delivery.objects.filter(status="sent").count()
    if (written, sent, Attempt.objects.count()) != (FAST, FAST, FAST):
        raise ServerFailedError(f"{written} outcomes and {sent} sent of {FAST}")
    print(FAST / seconds)


# -- the run -----------------------------------------------------------------------------------------------------------


def run(rounds: int) -> None:
    with contextlib.ExitStack() as stack:
        server: Cluster = stack.enter_context(cluster())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        broker = stack.enter_context(redis())
        if not broker:
            raise ServerFailedError("The opponent needs Redis: install redis-server, or set BENCH_REDIS_URL.")
        port = stack.enter_context(sink())
        ours = Ours(folder / "home", "")
        database = server.create("bench_delivery")
        stack.callback(server.drop, "bench_delivery")
        environment = {**ours.at(database), "HITL_ALLOW_PRIVATE_HOSTS": "127.0.0.1"}
        run_python(["manage.py", "migrate", "--verbosity", "0"], FOLDER, environment)
        run_python(["-m", "bench.delivery", "--prepare", url_of(port)], FOLDER, environment)
        server.settle()
        os.environ["BENCH_BROKER"] = post.app.conf.broker_url = broker
        command = [sys.executable, "-m", "celery", "-A", "bench.per_post", "worker", "--pool", "prefork"]
        command += ["--concurrency", "2", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
        stack.enter_context(process(command, {}))
        post.delay(url_of(port), "warm", "{}")
        while not seen(port)["ids"]:
            time.sleep(0.1)
        ways: dict[str, Callable[[], float]] = {
            "per POST": lambda: per_post(port),
            "bare": lambda: float(run_python(["-m", "bench.delivery", "--bare", url_of(port)], FOLDER, {})),
            "ours": lambda: float(run_python(["-m", "bench.delivery", "--drain"], FOLDER, environment)),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        names = list(ways)
        for turn in range(rounds):
            for name in names[turn % 3 :] + names[: turn % 3]:
                seen(port, reset=True)
                rates[name].append(ways[name]())
                expected, arrived = SLOW if name == "per POST" else FAST, seen(port)
                if arrived["ids"] != expected:
                    raise ServerFailedError(f"{name}: {arrived} of {expected} arrived")
    print(f"{server.description}; a receiver that answers after {ANSWERS_AFTER * 1000:.0f} ms; {rounds} rounds")
    for name, figures in rates.items():
        print(f"{name:9} {statistics.median(figures):7.1f}/s  [{min(figures):.1f} to {max(figures):.1f}]")
    for other in ("per POST", "bare"):
        ratios = [mine / theirs for mine, theirs in zip(rates["ours"], rates[other], strict=True)]
        print(f"ours / {other}: {statistics.median(ratios):.2f}  [{min(ratios):.2f} to {max(ratios):.2f}]")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.delivery", description="Webhooks a second, three ways.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sink", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--bare", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--prepare", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--drain", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    # As Ctrl-C does: unwind, so that no server of the run is left behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        if given.sink:
            asyncio.run(serve(given.sink))
        elif given.bare:
            print(asyncio.run(send_bare(given.bare)))
        elif given.prepare:
            prepare(given.prepare)
        elif given.drain:
            drain()
        else:
            run(given.rounds)
    except (NoPostgresError, ServerFailedError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
