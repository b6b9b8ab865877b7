"""Events become deliveries: one row per event and endpoint that wants it, with the bytes that will be sent."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import orjson
from django.db import transaction
from django.db.models import Q, QuerySet

from core import clock
from core.errors import HitlError
from notifications import audience, echoes
from notifications.channels import CHANNELS
from notifications.models import Delivery, Endpoint
from notifications.payloads import TASK_COLUMNS, News
from notifications.relay import own_webhook, people
from tasks_app import events
from tasks_app.models import EventOutbox, HumanTask, TaskEvent

BATCH: Final = 500
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
        own_webhook.ensure(now)
        rows = list(
            EventOutbox.objects.filter(position__isnull=False, dispatched_at__isnull=True)
            .select_related("event")
            .order_by("position")[:limit]
        )
        _insert(read_news([row.event for row in rows]), listening(), now)
        EventOutbox.objects.filter(pk__in=[row.pk for row in rows]).update(dispatched_at=now)
    return len(rows)


def listening() -> list[Endpoint]:
    """The endpoints that get news: those switched on, and those that gave up, for which it is kept."""
    gave_up = Q(disabled_reason__in=[Endpoint.Disabled.GONE, Endpoint.Disabled.FAILING])
    active = (Q(owner__isnull=True) | Q(owner__is_active=True)) & ~Q(channel__person__is_active=False)
    found = Endpoint.objects.present().filter(Q(enabled=True) | gave_up, active)
    return list(found.select_related("channel__person"))


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


def _insert(all_news: Sequence[News], endpoints: Sequence[Endpoint], now: datetime) -> None:
    drafts = _drafts_for(all_news, endpoints, now)
    Delivery.objects.bulk_create(drafts, ignore_conflicts=True, batch_size=BATCH)


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
    draft = Delivery(
        event_id=news.event_id,
        endpoint=endpoint,
        event_type=news.type,
        task_id=news.task["task_id"],
        seq=news.seq,
        status=Delivery.Status.PENDING if endpoint.enabled else Delivery.Status.FAILED,
        next_attempt_at=now if endpoint.enabled else None,
        created_at=now,
    )
    draft.keep(channel.body(news, endpoint), sealed=channel.seals_body)
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
        rows = EventOutbox.objects.filter(dispatched_at__isnull=False, event__at__gte=since).exclude(
            event__in=Delivery.objects.filter(endpoint=endpoint).values("event")
        )
        missing = [row.event for row in rows.select_related("event").order_by("position")]
        drafts = _drafts_for(read_news(missing), [endpoint], now)
        Delivery.objects.bulk_create(drafts, ignore_conflicts=True, batch_size=BATCH)
        missed = Delivery.objects.filter(endpoint=endpoint, status__in=_STOPPED)
        occurred = TaskEvent.objects.filter(at__gte=since).values("event_id")
        return len(drafts) + _again(missed.filter(event__in=occurred))


def _again(deliveries: QuerySet[Delivery]) -> int:
    now = clock.now()
    free = deliveries.filter(Q(leased_until__isnull=True) | Q(leased_until__lte=now))
    return free.update(
        status=Delivery.Status.PENDING, attempts=0, next_attempt_at=now, delivered_at=None, leased_until=None, lease=""
    )
