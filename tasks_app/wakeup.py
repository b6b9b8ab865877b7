"""One nudge per transaction, after commit: there is something to send.

`notifications` registers its nudge here in `AppConfig.ready`, since the domain knows nothing of its neighbours. A
nudge that fails or is lost harms nothing: the sweep finds what was missed.
"""

import logging
from collections.abc import Callable

from django.db import transaction

log = logging.getLogger(__name__)

_nudges: list[Callable[[], None]] = []


def register(nudge: Callable[[], None]) -> None:
    """Add a nudge: quick, without retries."""
    if nudge not in _nudges:
        _nudges.append(nudge)


def after_commit() -> None:
    """Called with every recorded event; the transaction nudges once."""
    connection = transaction.get_connection()
    if not any(hook[1] is _wake for hook in connection.run_on_commit):
        transaction.on_commit(_wake)


def _wake() -> None:
    for nudge in _nudges:
        try:
            nudge()
        except Exception as error:
            # Any broker fault: the change is committed, and the sweep delivers it a few seconds later.
            log.warning("nudge failed, the sweep will find the event: %s", error)
