"""Load shedding: whoever has waited too long for his turn is told at once to come again, which costs next to nothing.

Without it, everybody waits longer and longer, until all that is answered is answered too late. A burst may wait for
HITL_MAX_WAIT_SECONDS. A queue that does not empty serves nobody sooner by being long: while it stands, a quarter of
that is the limit, and as many are answered. Liveness and readiness are never shed.

How long a request has waited is known to our gunicorn worker (hitl/worker.py), and to a proxy in front that writes
`X-Request-Start: t=<epoch seconds>`, which also sees the wait for a free process.
"""

import json
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final

from django.conf import settings

from core.requests import is_trusted_proxy

RETRY_SECONDS: Final = 2
# A queue stands when so many in turn have each waited for over a tenth of the limit, and that for as long as the limit.
IN_TURN: Final = 16
NEVER_SHED: Final = frozenset({"/livez", "/readyz"})
BODY: Final = json.dumps(
    {
        "type": "urn:hitl:problem:overloaded",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "More is asked than can be answered in time. Nothing was done; ask again in some seconds.",
        "code": "overloaded",
    }
).encode()

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]

# For how long the connection that this thread serves waited for a thread, in seconds. Not counted is how long the
# client then took to say what he wants: browsers open connections before they need them.
queued: ContextVar[float] = ContextVar("queued", default=0.0)


def waited(environ: Environ) -> float:
    """Seconds for which the request waited before anybody looked at it."""
    here = queued.get()
    told = environ.get("HTTP_X_REQUEST_START", "")
    if told.startswith("t=") and is_trusted_proxy(environ.get("REMOTE_ADDR", "")):
        try:
            return max(here, time.time() - float(told[2:]))
        except ValueError:
            return here
    return here


class Queue:
    """What the waits of one request after another tell of the queue in front of this process."""

    def __init__(self) -> None:
        self.in_turn = 0
        self.empty_at = 0.0

    def is_too_late(self, waited: float, limit: float, now: float) -> bool:
        """Whether a request that has its turn at `now` (monotonic seconds) has waited too long for an answer."""
        if waited <= limit / 10:
            self.in_turn, self.empty_at = 0, now
            return False
        self.in_turn += 1
        stands = self.in_turn >= IN_TURN and now - self.empty_at > limit
        return waited > (limit / 4 if stands else limit)


def shedding(application: Application) -> Application:
    """`application`, but for those who waited too long."""
    queue = Queue()

    def serve(environ: Environ, start_response: Any) -> Iterable[bytes]:
        limit: float = settings.HITL_MAX_WAIT_SECONDS
        is_shed = limit and queue.is_too_late(waited(environ), limit, time.monotonic())
        if not is_shed or environ.get("PATH_INFO") in NEVER_SHED:
            return application(environ, start_response)
        headers = [
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(BODY))),
            ("Retry-After", str(RETRY_SECONDS)),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        start_response("503 Service Unavailable", headers)
        return [BODY]

    return serve
