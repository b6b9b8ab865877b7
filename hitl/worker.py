"""The gunicorn worker: threads, as `gthread`, which knows how long each request waited and loses none when it stops.

What `gthread` lacks under load: it takes one connection at a time, so that the others wait in the kernel, where nobody
measures their wait; and when it stops, connections that are still there are reset. This one takes what is there, a
handful at once, and empties the kernel's queue before it lets go of the socket. Kept connections stay where they are:
so that one process does not get them all while its sibling is idle, the one that has some hesitates.
"""

import sys
import time
from typing import Any, Final

from gunicorn.workers.gthread import TConn, ThreadWorker

from hitl import overload

AT_ONCE: Final = 16
# How much longer a process with one connection more hesitates, and how many count: the emptiest one takes the next.
HESITATION_SECONDS: Final = 0.0005
MOST_COUNTED: Final = 4
# Threads that compute hand over after this long: the thread that takes connections must not wait its turn for 5 ms.
SWITCH_SECONDS: Final = 0.001


class Worker(ThreadWorker):  # type: ignore[misc]  # untyped
    def init_process(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        conn.enqueued_at = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        overload.queued.set(time.monotonic() - conn.enqueued_at)
        return super().handle(conn)

    def accept(self, listener: Any) -> None:
        time.sleep(min(self.nr_conns, MOST_COUNTED) * HESITATION_SECONDS)
        for _ in range(AT_ONCE):
            if self.nr_conns >= self.worker_connections or not self._took_one(listener):
                return

    def set_accept_enabled(self, enabled: bool) -> None:
        if self._accepting and not enabled and not self.alive:
            for listener in self.sockets:
                while self._took_one(listener):
                    pass
            super().set_accept_enabled(False)
            for listener in self.sockets:
                listener.close()
            return
        super().set_accept_enabled(enabled)

    def _took_one(self, listener: Any) -> bool:
        before: int = self.nr_conns
        super().accept(listener)
        return bool(self.nr_conns > before)
