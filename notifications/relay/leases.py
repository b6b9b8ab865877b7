"""Taking deliveries for a while, so that nobody else sends them meanwhile, and so that a crash gives them back."""

import logging
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from core import clock
from core.bulk import update_columns
from notifications.channels import CHANNELS, Channel, Parcel, Unwritten
from notifications.models import Delivery, Endpoint
from notifications.relay import people

log = logging.getLogger(__name__)

BREAKER: Final = 5
"""After so many failures in a row an endpoint is paused, and gets one delivery at a time until one succeeds."""

ORDERED_TRIES: Final = 2
"""An event is held back while an earlier one of its task waits for the same endpoint and has had fewer tries than this.

So the events of a task arrive in order through the first try and the retry after five seconds. An endpoint that refuses
one event for longer does not lose the outcome behind it: `seq` tells the receiver what came out of turn.
"""

UNWRITTEN: Final = Unwritten()

SPARE: Final = 20
"""So many rows more are looked at than are taken, as some may be held back."""

Room = Callable[[str], int]
"""Given an origin: how many more requests may go there now."""


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery that is ours until the lease ends. Nothing in it needs the database."""

    delivery_id: str
    endpoint_id: str
    lease: str
    attempt: int
    """Which try this is; the first is 1."""
    at: datetime
    begin_by: float
    """By when, of `clock.ticks()`, it has to be on its way: so that its answer comes within the lease."""
    origin: str
    destination: str
    """Where the endpoint was then: what an old address answers is not held against a new one."""
    channel: Channel
    parcel: Parcel


def lease_time() -> timedelta:
    """How long a lease holds. What is not on its way by its half is given back; from then on there is more than the
    deadline of a request left, so that nobody else sends what is on its way."""
    return timedelta(seconds=max(60.0, 3 * settings.HITL_WEBHOOK_TIMEOUT + 30))


def origin_of(url: str) -> str:
    """The host and port of a URL: what hangs together, hangs by these. Empty for mail: there is one server for all."""
    return urlsplit(url).netloc.lower()


def plenty(origin: str) -> int:
    """Room without end, for callers that send one after the other."""
    return 1_000_000


def lease_due(limit: int = 100, room: Room = plenty) -> list[Leased]:
    """Take up to `limit` due deliveries, and at most `room(origin)` for each receiver.

    Endpoints come in random order with a fair share each, so that one with a long queue does not keep the others
    waiting. Rows that another drain is just taking are skipped.
    """
    now = clock.now()
    due = Delivery.objects.due(now).filter(endpoint=OuterRef("pk"))
    waiting = list(Endpoint.objects.callable(now).filter(Exists(due)).select_related("channel__person"))
    if not waiting or limit <= 0:
        return []
    random.shuffle(waiting)
    share = -(-limit // len(waiting))
    leased: list[Leased] = []
    taken: Counter[str] = Counter()
    lease = secrets.token_hex(16)
    with transaction.atomic():
        for endpoint in waiting:
            origin = origin_of(endpoint.url)
            places = min(share, limit - len(leased), room(origin) - taken[origin])
            if endpoint.failures_in_a_row >= BREAKER:
                places = min(places, 1)
            keys = _keys(endpoint, now) if places > 0 else None
            if keys is not None:
                batch = _lock(endpoint, places, keys, lease, now)
                taken[origin] += len(batch)
                leased += batch
        update_columns(
            Delivery,
            [{"delivery_id": one.delivery_id} for one in leased],
            where=("delivery_id",),
            also={"lease": lease, "leased_until": now + lease_time()},
        )
    return leased


def _keys(endpoint: Endpoint, now: datetime) -> list[str] | None:
    """What messages are signed with (nothing, for mail); None where it cannot be read."""
    try:
        return endpoint.live_secrets(now)
    except InvalidToken:
        log.error("the secret of %s cannot be read: HITL_ENCRYPTION_KEYS lacks its key; deliveries wait", endpoint.pk)
        return None


def _lock(endpoint: Endpoint, places: int, keys: Sequence[str], lease: str, now: datetime) -> list[Leased]:
    rows = list(
        Delivery.objects.due(now)
        .filter(endpoint=endpoint)
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("next_attempt_at", "delivery_id")[: places + SPARE]
    )
    channel = CHANNELS[endpoint.format]
    ready = _in_turn(endpoint, rows, now)[:places]
    unwritten: set[str] = set()
    if channel.for_people:
        ready, unwritten = people.write(endpoint, ready, now)
    return [_leased(row, endpoint, UNWRITTEN if row.pk in unwritten else channel, keys, lease, now) for row in ready]


def _leased(
    row: Delivery, endpoint: Endpoint, channel: Channel, keys: Sequence[str], lease: str, now: datetime
) -> Leased:
    """The row as it goes out. One whose message cannot be made is a failed try, and is in no other's way."""
    parcel = Parcel(row.message_id, b"", endpoint.url, {})
    if channel is not UNWRITTEN:
        try:
            parcel = channel.parcel(row.message_id, row.content, endpoint, list(keys), now)
        except Exception:
            log.exception("the message of %s cannot be made", row.pk)
            channel = UNWRITTEN
    return Leased(
        delivery_id=row.pk,
        endpoint_id=endpoint.pk,
        lease=lease,
        attempt=row.attempts + 1,
        at=now,
        begin_by=clock.ticks() + lease_time().total_seconds() / 2,
        origin=origin_of(endpoint.url),
        destination=CHANNELS[endpoint.format].destination(endpoint),
        channel=channel,
        parcel=parcel,
    )


def _in_turn(endpoint: Endpoint, rows: Sequence[Delivery], now: datetime) -> list[Delivery]:
    """The rows that are not held back. One behind a later retry is put off until then, so that it is in nobody's way.

    A query of its own: as a condition of the one that takes the rows, PostgreSQL compared every waiting row with every
    other one (12 s for 3,000) as long as it had no statistics, which is how it meets a fresh queue. For the same reason
    the endpoint is compared here: the index by task is then the only one that fits.
    """
    first: dict[str, tuple[int, datetime | None]] = {}
    waiting = Delivery.objects.filter(status=Delivery.Status.PENDING, attempts__lt=ORDERED_TRIES)
    for column, thread in (("task_id", {row.task_id for row in rows}), ("alert_id", {row.alert_id for row in rows})):
        known = thread - {"", None}
        earlier = waiting.filter(**{f"{column}__in": known}) if known else waiting.none()
        for key, seq, at, endpoint_id in earlier.values_list(column, "seq", "next_attempt_at", "endpoint_id"):
            if endpoint_id == endpoint.pk and seq < first.get(key, (seq + 1, None))[0]:
                first[key] = (seq, at)
    in_turn: list[Delivery] = []
    put_off: dict[datetime, list[str]] = defaultdict(list)
    for row in rows:
        seq, at = first.get(row.task_id or row.alert_id or "", (row.seq, None))
        if seq >= row.seq:
            in_turn.append(row)
        elif at is not None and at > now:
            put_off[at].append(row.pk)
    for at, keys in put_off.items():
        Delivery.objects.filter(pk__in=keys).update(next_attempt_at=at)
    return in_turn
