"""A thread with one event loop and one session: it sends, and never touches the database."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
MAILS: Final = 8
"""So many mails at once, each in a thread: smtplib waits."""
_START_SECONDS: Final = 10.0
_LINGER_SECONDS: Final = 0.1


class Sender:
    """`submit` what was leased, `collect` what came of it. The thread starts with the first submission.

    The calling thread keeps the database; the loop keeps the network. So neither does a slow statement stop the
    sending, nor a slow receiver hold a connection to the database.
    """

    def __init__(self) -> None:
        self._results: deque[Try] = deque()
        self._enough = 1
        self._arrived = threading.Event()
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
        if self._await(1, wait):
            self._await(enough, _LINGER_SECONDS)
        return [self._results.popleft() for _ in range(len(self._results))]

    def _await(self, enough: int, seconds: float) -> bool:
        """Wait for so many results. The loop wakes us once: to wake for each of them cost it as much as sending."""
        self._arrived.clear()
        self._enough = enough
        return len(self._results) >= enough or self._arrived.wait(seconds)

    async def _main(self) -> None:
        try:
            self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
            self._loop.set_default_executor(ThreadPoolExecutor(MAILS, "mail"))
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
            answer = await leased.channel.send(self._session, leased.parcel, leased.begin_by)
            result = Try(leased, answer.duration, answer.status, answer.headers, answer.excerpt())
        except OutboundError as error:
            result = Try(leased, perf_counter() - begin, error=error.kind, detail=error.detail)
        except Exception as error:
            # A fault of ours counts as a failed try, so that it is seen and the other deliveries go on.
            log.exception("sending %s failed", leased.delivery_id)
            result = Try(leased, perf_counter() - begin, error="internal", detail=type(error).__name__)
        self._results.append(result)
        if len(self._results) >= self._enough:
            self._arrived.set()
