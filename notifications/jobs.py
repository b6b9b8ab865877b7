"""Background jobs: a shell around the relay, and the nudge that wakes a worker after a commit."""

import logging
from contextlib import suppress
from typing import Any, Final

from celery import Celery, current_app, shared_task
from kombu import Connection

from notifications import alerts, relay
from notifications.nudge import Nudger

log = logging.getLogger(__name__)

# A broker that is away or hangs costs one short try: the sweep finds what a nudge missed.
_IMPATIENT: Final[dict[str, Any]] = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "max_retries": 0}


@shared_task(ignore_result=True)
def drain() -> None:
    try:
        alerts.watch()
    except Exception:
        # The watch must not stop the mail: what it wanted to say is said by the next one.
        log.exception("the alert rules could not be looked at")
    relay.drain(breath=relay.BREATH_SECONDS)


class DrainCall:
    """Ask a worker for a drain, over a connection to the broker that is kept: to open one costs as much as a request.

    Called by one thread. A kept connection that the broker has left meanwhile is replaced once, without a word.
    """

    def __init__(self, app: Celery = current_app) -> None:
        self._app = app
        self._kept: Connection | None = None

    def __call__(self) -> None:
        """Raises whatever the broker does."""
        if self._kept is not None:
            with suppress(Exception):
                self._send(self._kept)
                return
            self.close()
        options = {**self._app.conf.broker_transport_options, **_IMPATIENT}
        self._kept = self._app.connection_for_write(transport_options=options)
        try:
            self._send(self._kept)
        except Exception:
            self.close()
            raise

    def _send(self, connection: Connection) -> None:
        self._app.send_task(drain.name, connection=connection, retry=False, expires=60)

    def close(self) -> None:
        """Leave the broker."""
        if self._kept is not None:
            self._kept.release()
        self._kept = None


nudge = Nudger(DrainCall())
