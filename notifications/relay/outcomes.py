"""Writing down what came of tries: on the delivery, where its lease is still ours, and on the endpoint."""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction

from core import clock
from core.bulk import insert_columns, update_columns
from notifications import backoff
from notifications.backoff import Decision, Outcome
from notifications.channels import CHANNELS
from notifications.models import Attempt, Delivery, Endpoint
from notifications.relay.leases import BREAKER, Leased

log = logging.getLogger(__name__)

DISABLED_AFTER: Final = timedelta(days=5)
WARNED_AFTER: Final = timedelta(days=3)
NOTICE: Final = timedelta(days=1)
"""So long before it is disabled an endpoint is warned of, also where nothing was tried when the warning was due."""
PAUSE: Final = timedelta(seconds=30)
"""How long an endpoint is left alone that failed `BREAKER` times in a row."""

_RECORD: Final = (
    "enabled",
    "disabled_reason",
    "disabled_at",
    "failing_since",
    "failures_in_a_row",
    "warned_at",
    "paused_until",
)
_rng = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Try:
    """One try: an answer's status, or the kind of error that kept it from coming."""

    leased: Leased
    duration: float
    status: int | None = None
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    answer: str = ""
    error: str = ""
    detail: str = ""

    def decision(self, now: datetime) -> Decision:
        after = self.answer_headers.get("retry-after")
        return backoff.next_attempt(self.leased.attempt, now, status=self.status, retry_after=after, rng=_rng)


def settle(tries: Sequence[Try]) -> int:
    """Write the outcomes; return how many counted. One whose lease has passed to another drain is only logged as a try.

    The endpoints are locked first, in order of their keys, so that two drains never wait for each other in a circle.
    """
    late = [one for one in tries if one.error == "late"]
    if late:
        _release(late)
        tries = [one for one in tries if one.error != "late"]
    if not tries:
        return 0
    now = clock.now()
    decided = [(one, one.decision(now)) for one in tries]
    with transaction.atomic():
        keys = {one.leased.endpoint_id for one in tries}
        endpoints = list(Endpoint.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk"))
        insert_columns(Attempt, [_attempt(one) for one in tries])
        counted = _write(decided, now)
        for endpoint in endpoints:
            _judge(endpoint, [pair for pair in decided if _tells_of(endpoint, pair[0])], now)
    if counted < len(tries):
        log.warning("%d outcomes came after their lease had ended; they do not count", len(tries) - counted)
    return counted


def _attempt(one: Try) -> dict[str, Any]:
    return {
        "delivery_id": one.leased.delivery_id,
        "started_at": one.leased.at,
        "duration_ms": int(one.duration * 1000),
        "headers": one.leased.parcel.shown_headers,
        "status": one.status,
        "answer_headers": dict(one.answer_headers),
        "answer": one.answer,
        "error": one.error,
        "detail": one.detail,
    }


def _release(late: Sequence[Try]) -> None:
    """Give back what was not sent, as its lease might have ended before the answer came."""
    rows = [{"delivery_id": one.leased.delivery_id, "lease": one.leased.lease} for one in late]
    update_columns(Delivery, rows, where=("delivery_id", "lease"), also={"lease": "", "leased_until": None})


_STATUS: Final = {Outcome.DELIVERED: Delivery.Status.SENT, Outcome.RETRY: Delivery.Status.PENDING}


def _write(decided: Sequence[tuple[Try, Decision]], now: datetime) -> int:
    """The outcomes on their deliveries, where the lease is still ours; how many that were."""
    rows = [
        {
            "delivery_id": one.leased.delivery_id,
            "lease": one.leased.lease,
            "status": str(_STATUS.get(decision.outcome, Delivery.Status.FAILED)),
            "attempts": one.leased.attempt,
            "delivered_at": now if _arrived(decision) else None,
            "next_attempt_at": decision.next_at,
        }
        for one, decision in decided
    ]
    return update_columns(Delivery, rows, where=("delivery_id", "lease"), also={"lease": "", "leased_until": None})


def _tells_of(endpoint: Endpoint, one: Try) -> bool:
    """Whether a try tells how the receiver fares: not one to an address of before a change, nor a fault of ours."""
    leased = one.leased
    if leased.endpoint_id != endpoint.pk or one.error == "internal":
        return False
    return leased.destination == CHANNELS[endpoint.format].destination(endpoint)


def _judge(endpoint: Endpoint, decided: Sequence[tuple[Try, Decision]], now: datetime) -> None:
    """Keep the endpoint's record: a success clears it; failures pause it, warn, and after five days switch it off."""
    before = _record(endpoint)
    for _one, decision in decided:
        if _arrived(decision):
            # A pause stays: the success may have been on its way when the receiver asked to be left alone.
            endpoint.failing_since = endpoint.warned_at = None
            endpoint.failures_in_a_row = 0
            continue
        endpoint.failing_since = endpoint.failing_since or now
        endpoint.failures_in_a_row += 1
        _pause(endpoint, decision.throttle_until)
    if endpoint.failures_in_a_row >= BREAKER:
        _pause(endpoint, now + PAUSE)
    failing_for = timedelta(0) if endpoint.failing_since is None else now - endpoint.failing_since
    if any(decision.outcome is Outcome.DISABLE for _one, decision in decided):
        _give_up(endpoint, Endpoint.Disabled.GONE, now)
    elif failing_for >= DISABLED_AFTER and endpoint.warned_at is not None and now - endpoint.warned_at >= NOTICE:
        _give_up(endpoint, Endpoint.Disabled.FAILING, now)
    elif failing_for >= WARNED_AFTER and endpoint.warned_at is None:
        endpoint.warned_at = now
        log.warning("nothing reached endpoint %s for %d days; after five it is disabled", endpoint.pk, failing_for.days)
    if _record(endpoint) != before:
        endpoint.save(update_fields=list(before))


def _record(endpoint: Endpoint) -> dict[str, Any]:
    return {name: getattr(endpoint, name) for name in _RECORD}


def _arrived(decision: Decision) -> bool:
    return decision.outcome is Outcome.DELIVERED


def _pause(endpoint: Endpoint, until: datetime | None) -> None:
    if until is not None and (endpoint.paused_until is None or endpoint.paused_until < until):
        endpoint.paused_until = until


def _give_up(endpoint: Endpoint, reason: str, now: datetime) -> None:
    """Switch the endpoint off; its deliveries stand as failed, where they are seen, until somebody recovers them."""
    if endpoint.enabled:
        endpoint.disable(reason, now=now)
        log.error("endpoint %s is disabled: %s", endpoint.pk, endpoint.get_disabled_reason_display())
    Delivery.objects.filter(endpoint=endpoint, status=Delivery.Status.PENDING).update(
        status=Delivery.Status.FAILED, next_attempt_at=None, leased_until=None, lease=""
    )
