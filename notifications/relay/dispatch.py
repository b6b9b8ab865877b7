"""Events become deliveries: one row per event and endpoint that wants it, with the bytes that will be sent."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from core import clock
from core.bulk import insert_columns
from core.errors import HitlError
from core.ids import EVENT_PREFIX
from notifications import audience, echoes
from notifications.channels import CHANNELS
from notifications.models import Delivery, Endpoint
from notifications.payloads import TASK_COLUMNS, News
from notifications.relay import people
from tasks_app import events
from tasks_app.models import EventOutbox, HumanTask, TaskEvent

log = logging.getLogger(__name__)

BATCH: Final = 500
CLOCKS_DIFFER: Final = timedelta(minutes=1)
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_STOPPED: Final = (Delivery.Status.FAILED, Delivery.Status.CANCELLED)


class EndpointOff(HitlError):
    """The endpoint is disabled or removed. Enable it first; then send again."""

    code = "wrong_state"
    status = 409


def fan_out(limit: int = BATCH) -> int:
    """Dispatch up to `limit` events, in the order of their positions; return how many.

    Positions, deliveries and the stamp are one transaction: interrupted, all of it is done again. The lock on the
    feed's head lets one fan-out run at a time; the unique pair of event and endpoint stops a double in any case.
    """
    if not EventOutbox.objects.filter(dispatched_at__isnull=True).exists():
        return 0
    now = clock.now()
    with transaction.atomic():
        events.assign_positions(limit)
        waiting = TaskEvent.objects.filter(outbox__position__isnull=False, outbox__dispatched_at__isnull=True)
        found = list(waiting.order_by("outbox__position")[:limit])
        _insert(read_news(found), listening(), now)
        EventOutbox.objects.filter(event__in=[event.pk for event in found]).update(dispatched_at=now)
    return len(found)


def listening() -> list[Endpoint]:
    """The endpoints that get news: those switched on, and those that gave up, for which it is kept."""
    gave_up = Q(disabled_reason__in=[Endpoint.Disabled.GONE, Endpoint.Disabled.FAILING])
    found = Endpoint.objects.present().of_the_active().filter(Q(enabled=True) | gave_up)
    return list(found.select_related("channel__person"))


def give_back() -> int:
    """Give up what waits for receivers that are not in use; return how many messages that were.

    A receiver may be switched off in the very moment in which news is dispatched to it, and its adapter or person be
    deactivated: what waits then would wait for ever, or go out long after.
    """
    waiting = Delivery.objects.filter(status=Delivery.Status.PENDING)
    unused = Endpoint.objects.exclude(pk__in=Endpoint.objects.in_use().values("pk"))
    left = unused.filter(Exists(waiting.filter(endpoint=OuterRef("pk"))))
    done = 0
    for key in left.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            endpoint = Endpoint.objects.select_for_update(no_key=True).get(pk=key)
            if Endpoint.objects.in_use().filter(pk=key).exists():
                continue
            kept = Delivery.Status.FAILED if endpoint.gave_up else Delivery.Status.CANCELLED
            done += waiting.filter(endpoint=key).update(status=kept, next_attempt_at=None, leased_until=None, lease="")
    return done


def read_news(found: Sequence[TaskEvent]) -> list[News]:
    """The events with their tasks' columns, in two queries. An event whose task has left by retention is no news."""
    task_ids = {event.task_id for event in found}
    tasks = {row["task_id"]: row for row in HumanTask.objects.filter(pk__in=task_ids).values(*TASK_COLUMNS)}
    return [
        News(
            event_id=event.event_id,
            type=str(event.type),
            seq=event.seq,
            at=event.at,
            snapshot=orjson.loads(bytes(event.snapshot)),
            task=tasks[event.task_id],
            actor_id=event.actor_id,
            reason=event.reason,
        )
        for event in found
        if event.task_id in tasks
    ]


def wants(endpoint: Endpoint, news: News) -> bool:
    """Whether the endpoint hears of this: its filters, and for an adapter's own, who opened the task."""
    task = news.task
    return (
        (endpoint.owner_id is None or endpoint.owner_id == task["requested_by_id"])
        and (not endpoint.event_types or news.type in endpoint.event_types)
        and news.priority >= endpoint.min_priority
        and (not endpoint.task_types or task["task_type_id"] in endpoint.task_types)
        and (not endpoint.principals or task["principal_id"] in endpoint.principals)
        and (not endpoint.adapter_name or task["adapter_name"] == endpoint.adapter_name)
    )


def _insert(all_news: Sequence[News], endpoints: Sequence[Endpoint], now: datetime) -> int:
    drafts = _drafts_for(all_news, endpoints, now)
    for first in range(0, len(drafts), BATCH):
        rows = [draft.columns() for draft in drafts[first : first + BATCH]]
        insert_columns(Delivery, rows, skip_known=True)
    return len(drafts)


def _drafts_for(all_news: Sequence[News], endpoints: Sequence[Endpoint], now: datetime) -> list[Delivery]:
    """For programs with their bytes, for people without: those are written when they are sent."""
    programs = [endpoint for endpoint in endpoints if not CHANNELS[endpoint.format].for_people]
    channels = [endpoint for endpoint in endpoints if CHANNELS[endpoint.format].for_people]
    wanted = [(endpoint, news) for news in all_news for endpoint in programs if wants(endpoint, news)]
    return _drafts(wanted, now) + people.drafts(audience.wanted(channels, all_news), now)


def _drafts(wanted: Sequence[tuple[Endpoint, News]], now: datetime) -> list[Delivery]:
    """The deliveries with their bytes. What a buyer gave goes back to the endpoint of the adapter that brought it."""
    echoing = {news.task["task_id"] for endpoint, news in wanted if endpoint.format == Endpoint.Format.ADCP}
    found = echoes.read(echoing) if echoing else {}
    drafts = []
    for endpoint, news in wanted:
        as_it_came, as_stored = found.get(news.task["task_id"], ({}, {}))
        if endpoint.format == Endpoint.Format.ADCP:
            news = replace(news, echo=as_it_came if endpoint.owner_id is not None else as_stored)
        drafts.append(_draft(endpoint, news, now))
    return drafts


def _draft(endpoint: Endpoint, news: News, now: datetime) -> Delivery:
    channel = CHANNELS[endpoint.format]
    told = {
        "event_id": news.event_id,
        "endpoint_id": endpoint.pk,
        "event_type": news.type,
        "task_id": news.task["task_id"],
        "seq": news.seq,
        "status": str(Delivery.Status.PENDING if endpoint.enabled else Delivery.Status.FAILED),
        "next_attempt_at": now if endpoint.enabled else None,
        "created_at": now,
    }
    draft = Delivery.of_columns({**Delivery.defaults(), **told}.items())
    try:
        draft.keep(channel.body(news, endpoint), sealed=channel.seals_body)
    except Exception:
        # One message that cannot be written is kept as undelivered, where it is seen; all others go on.
        log.exception("the message of %s for endpoint %s cannot be written", news.event_id, endpoint.pk)
        draft.status, draft.next_attempt_at, draft.body = Delivery.Status.FAILED, None, b""
    return draft


def redeliver(delivery_ids: Sequence[str]) -> int:
    """Send deliveries again, with the same id and bytes and the whole schedule before them; return how many.

    One that is being sent at this moment is left alone. Raises `EndpointOff` if an endpoint of theirs is switched off.
    """
    with transaction.atomic():
        found = Delivery.objects.filter(pk__in=delivery_ids)
        endpoint_ids = sorted(set(found.values_list("endpoint_id", flat=True)))
        endpoints = Endpoint.objects.select_for_update(no_key=True).filter(pk__in=endpoint_ids).order_by("pk")
        if any(not endpoint.enabled or endpoint.removed_at for endpoint in endpoints):
            raise EndpointOff
        return _again(found)


def _write_missing(deliveries: QuerySet[Delivery], now: datetime) -> None:
    """Write the bytes of those for programs that could not be written when they were dispatched."""
    unwritten = deliveries.filter(body=b"", event__isnull=False, endpoint__channel__isnull=True)
    for row in unwritten.select_related("event", "endpoint"):
        news = read_news([row.event] if row.event else [])
        for draft in _drafts([(row.endpoint, one) for one in news], now):
            row.body, row.is_sealed = draft.body, draft.is_sealed
            row.save(update_fields=["body", "is_sealed"])


def recover_since(endpoint_id: str, since: datetime) -> int:
    """Send an endpoint everything that it missed since a moment (aware); return how many deliveries that is.

    That is what failed or was cancelled, and what happened while the endpoint was switched off by hand. What it got
    stays as it is. Raises `EndpointOff`.
    """
    now = clock.now()
    with transaction.atomic():
        endpoint = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint_id)
        if not endpoint.enabled or endpoint.removed_at:
            raise EndpointOff
        made, last = 0, ""
        while batch := list(_missing(endpoint, since).filter(event_id__gt=last)[:BATCH]):
            last = batch[-1].event_id
            made += _insert(read_news(batch), [endpoint], now)
        missed = Delivery.objects.filter(endpoint=endpoint, status__in=_STOPPED, event_id__gte=_first_id(since))
        occurred = TaskEvent.objects.filter(at__gte=since).values("event_id")
        return made + _again(missed.filter(event__in=occurred))


def _missing(endpoint: Endpoint, since: datetime) -> QuerySet[TaskEvent]:
    """The dispatched events since a moment that may concern an endpoint and of which it has nothing, the oldest first.

    What can be said in SQL is: an adapter that asks for a year must not have all the others' events read.
    """
    theirs = Delivery.objects.filter(endpoint=endpoint, event=OuterRef("pk"))
    found = TaskEvent.objects.filter(event_id__gte=_first_id(since), at__gte=since, outbox__dispatched_at__isnull=False)
    if endpoint.owner_id is not None:
        found = found.filter(task__requested_by=endpoint.owner_id)
    if endpoint.event_types and not CHANNELS[endpoint.format].for_people:
        found = found.filter(type__in=endpoint.event_types)
    return found.filter(~Exists(theirs)).order_by("event_id")


def _first_id(since: datetime) -> str:
    """The least id that an event of this moment may have: ids begin with their time, so their index is one by time.

    A minute is taken off for clocks that differ.
    """
    begun = max(since, _LONG_AGO) - CLOCKS_DIFFER
    return f"{EVENT_PREFIX}{int(begun.timestamp() * 1000):012x}"


def _again(deliveries: QuerySet[Delivery]) -> int:
    now = clock.now()
    free = deliveries.filter(Q(leased_until__isnull=True) | Q(leased_until__lte=now))
    _write_missing(free, now)
    return free.update(
        status=Delivery.Status.PENDING, attempts=0, next_attempt_at=now, delivered_at=None, leased_until=None, lease=""
    )
