"""A thread with one event loop and one session: it sends, and never touches the database."""

import asyncio
import logging
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from time import perf_counter
from types import TracebackType
from typing import Final, Self

from django.conf import settings

from core.addresses import allow_hosts_from
from core.http import OutboundError, OutboundSession
from notifications.relay.leases import Leased
from notifications.relay.outcomes import Try

log = logging.getLogger(__name__)

CONNECTIONS: Final = 100
PER_RECEIVER: Final = 80
_START_SECONDS: Final = 10.0
_LINGER_SECONDS: Final = 0.1


class Sender:
    """`submit` what was leased, `collect` what came of it. The thread starts with the first submission.

    The calling thread keeps the database; the loop keeps the network. So neither does a slow statement stop the
    sending, nor a slow receiver hold a connection to the database.
    """

    def __init__(self) -> None:
        self._results: queue.SimpleQueue[Try] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ready: Future[None] = Future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._closing: asyncio.Event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop. What is still on its way is cut off, and goes out again when its lease has ended."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
            self._thread = None

    def submit(self, batch: Sequence[Leased]) -> None:
        """Send all of `batch` at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=asyncio.run, args=(self._main(),), name="webhooks", daemon=True)
            self._thread.start()
            self._ready.result(_START_SECONDS)
        self._loop.call_soon_threadsafe(self._spawn, batch)

    def collect(self, wait: float, enough: int = 1) -> list[Try]:
        """What has come of submissions: nothing after `wait` seconds without any, else `enough`, or those of a moment.

        Outcomes are written in one go, which costs the same for one as for fifty.
        """
        found: list[Try] = []
        end = perf_counter() + wait
        while len(found) < enough or not self._results.empty():
            try:
                found.append(self._results.get(timeout=max(0.0, end - perf_counter())))
            except queue.Empty:
                break
            if len(found) == 1:
                end = perf_counter() + _LINGER_SECONDS
        return found

    async def _main(self) -> None:
        try:
            self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
            allowed = allow_hosts_from(settings.HITL_ALLOW_PRIVATE_HOSTS)
            async with OutboundSession(
                limit=CONNECTIONS,
                limit_per_host=PER_RECEIVER,
                total_timeout=settings.HITL_WEBHOOK_TIMEOUT,
                allow_hosts=allowed,
            ) as session:
                self._session = session
                self._ready.set_result(None)
                await self._closing.wait()
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
        except Exception as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            log.exception("the sender has stopped")

    def _spawn(self, batch: Sequence[Leased]) -> None:
        for leased in batch:
            task = self._loop.create_task(self._send(leased))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, leased: Leased) -> None:
        begin = perf_counter()
        try:
            answer = await leased.channel.send(self._session, leased.parcel)
            result = Try(leased, answer.duration, answer.status, answer.headers, answer.excerpt())
        except OutboundError as error:
            result = Try(leased, perf_counter() - begin, error=error.kind, detail=error.detail)
        except Exception as error:
            # A fault of ours counts as a failed try, so that it is seen and the other deliveries go on.
            log.exception("sending %s failed", leased.delivery_id)
            result = Try(leased, perf_counter() - begin, error="internal", detail=type(error).__name__)
        self._results.put(result)
