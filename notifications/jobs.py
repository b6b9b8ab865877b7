"""Background jobs: a shell around the relay, and the nudge that wakes a worker after a commit."""

import logging
from typing import Any, Final

from celery import Celery, current_app, shared_task

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
    relay.drain()


def publish_drain(app: Celery = current_app) -> None:
    options = {**app.conf.broker_transport_options, **_IMPATIENT}
    with app.connection_for_write(transport_options=options) as connection:
        app.send_task(drain.name, connection=connection, retry=False, expires=60)


nudge = Nudger(publish_drain)
