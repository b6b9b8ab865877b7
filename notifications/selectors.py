"""Questions about what is on its way. None of them reads deliveries that arrived."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Exists, Min, OuterRef, Q, QuerySet

from notifications.models import Alert, Channel, Delivery, Endpoint
from notifications.models import DeliveryQuerySet as Deliveries
from notifications.models import EndpointQuerySet as Endpoints
from tasks_app.actors import Actor
from tasks_app.models import EventOutbox, HumanTask
from tasks_app.permissions import led_by

COUNTED_TO: Final = 100
"""A figure for people says '99+' beyond this, and costs the same however bad things are."""


@dataclass(frozen=True)
class Backlog:
    """What waits, and since when."""

    undispatched: int
    pending: int
    oldest: datetime | None


def undelivered_outcomes_of(task_id: str) -> Deliveries:
    """The outcomes of one task that did not arrive and that nobody tries any more."""
    return Delivery.objects.undelivered_outcomes().filter(task_id=task_id).select_related("endpoint")


def count_undelivered_outcomes() -> int:
    """How many outcomes did not arrive, counted to `COUNTED_TO`."""
    return len(Delivery.objects.undelivered_outcomes().values_list("pk", flat=True)[:COUNTED_TO])


def count_open_alerts(actor: Actor) -> int:
    """How many alerts in the actor's sight are open, counted to `COUNTED_TO`."""
    return len(alerts_in_sight(actor).filter(closed_at__isnull=True).order_by().values_list("pk")[:COUNTED_TO])


def channels_to_name() -> list[str]:
    """The channels that a step of a deadline policy may name: those of teams and of the operator, no person's own."""
    present = Channel.objects.filter(endpoint__removed_at__isnull=True, person__isnull=True)
    return list(present.values_list("slug", flat=True))


def alerts_in_sight(actor: Actor) -> QuerySet[Alert]:
    """All alerts for those who oversee; for leads those about tasks of which they are a lead; else none."""
    if not actor.is_person:
        return Alert.objects.none()
    if actor.grants.sees_everything:
        return Alert.objects.all()
    if not actor.grants.led:
        return Alert.objects.none()
    # Alert by alert, by the task's key: as a list of the tasks that a lead leads, closed ones would be read, too.
    led = HumanTask.objects.filter(led_by(actor), pk=OuterRef("task_id"))
    return Alert.objects.filter(Exists(led))


def troubled_endpoints() -> Endpoints:
    """Endpoints that fail now, and those switched off because they did."""
    gave_up = Q(disabled_reason__in=[Endpoint.Disabled.GONE, Endpoint.Disabled.FAILING])
    return Endpoint.objects.present().filter(Q(enabled=True, failing_since__isnull=False) | gave_up)


def backlog() -> Backlog:
    """Events not dispatched and deliveries not sent, for metrics."""
    pending = Delivery.objects.filter(status=Delivery.Status.PENDING)
    return Backlog(
        undispatched=EventOutbox.objects.filter(dispatched_at__isnull=True).count(),
        pending=pending.count(),
        oldest=pending.aggregate(oldest=Min("created_at"))["oldest"],
    )
