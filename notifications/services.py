"""Managing endpoints: what API and console both call."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from auditlog.context import set_extra_data
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from core import clock
from core.addresses import allow_hosts_from
from core.errors import HitlError
from core.http import OutboundError, Response, check_destination, post_once
from core.ids import new_id
from notifications import payloads, signing
from notifications.channels import CHANNELS
from notifications.models import Delivery, Endpoint, outcomes
from notifications.models import EndpointQuerySet as Endpoints
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput, NotAllowed
from tasks_app.models import Principal, Scope, TaskType, User
from tasks_app.states import EventType, Priority

MOST_PER_OWNER: Final = 50
TEST_SECONDS: Final = 10.0


class EndpointNotFound(HitlError):
    """There is no webhook endpoint with this id, or it is not yours to see."""

    code = "not_found"
    status = 404


class EndpointOfSettings(HitlError):
    """This endpoint comes from HITL_WEBHOOK_URL. Unset that variable to remove it."""

    code = "wrong_state"
    status = 409


@dataclass(frozen=True)
class NewEndpoint:
    """What a caller wants to hear, and where. Empty filters leave nothing out."""

    url: str
    description: str = ""
    format: str = Endpoint.Format.STANDARD
    event_types: Sequence[str] = field(default_factory=outcomes)
    min_priority: int = Priority.LOW
    task_types: Sequence[str] = ()
    principals: Sequence[str] = ()
    adapter_name: str = ""


@dataclass(frozen=True)
class Tested:
    """What came of a test message."""

    delivered: bool
    status: int | None = None
    answer: str = ""
    error: str = ""


def manages_all(actor: Actor) -> bool:
    """Administrators see every endpoint, and make the operator's."""
    return actor.is_person and actor.grants.manages_everything


def visible_endpoints(actor: Actor) -> Endpoints:
    """The endpoints that the actor manages. Raises NotAllowed where that is none of his or her business."""
    if manages_all(actor):
        return Endpoint.objects.present()
    if actor.is_adapter and actor.has_scope(Scope.ENDPOINTS):
        return Endpoint.objects.present().filter(owner=actor.user)
    raise NotAllowed(_("Webhook endpoints are managed by administrators, and by adapters with endpoints:manage."))


def endpoint_of(actor: Actor, endpoint_id: str, *, lock: bool = False) -> Endpoint:
    """One endpoint. Raises EndpointNotFound for unknown and foreign ones alike."""
    endpoints = visible_endpoints(actor)
    if lock:
        endpoints = endpoints.select_for_update(no_key=True)
    endpoint = endpoints.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise EndpointNotFound
    return endpoint


def check_reachable(url: str) -> None:
    """Judge what is written and what it resolves to now; each request judges it again. Raises InvalidInput.

    It may wait for a name server: call it outside any transaction.
    """
    try:
        check_destination(url, allow_hosts=allow_hosts_from(settings.HITL_ALLOW_PRIVATE_HOSTS))
    except OutboundError as error:
        raise InvalidInput("url", error.detail) from error


def create_endpoint(new: NewEndpoint, actor: Actor, *, owner: User | None = None) -> tuple[Endpoint, str]:
    """Add an endpoint whose URL passed `check_reachable`; return it and its secret, which nobody can read again.

    An adapter's belongs to it and hears of the tasks that it opened; an administrator's belongs to the operator, unless
    an `owner` is named.
    """
    mine = visible_endpoints(actor)
    owner = actor.user if actor.is_adapter else owner
    if mine.filter(owner=owner).count() >= MOST_PER_OWNER:
        raise InvalidInput("url", _("%(n)d endpoints are the most; remove one first.") % {"n": MOST_PER_OWNER})
    _check_filters(new, actor)
    now, secret = clock.now(), signing.new_secret()
    endpoint = Endpoint(
        url=new.url,
        description=new.description,
        owner=owner,
        format=new.format,
        event_types=list(new.event_types),
        min_priority=new.min_priority,
        task_types=list(new.task_types),
        principals=list(new.principals),
        adapter_name=new.adapter_name,
        created_at=now,
    )
    endpoint.add_secret(secret, now=now)
    with audited(actor):
        endpoint.save(force_insert=True)
    return endpoint, secret


def _check_filters(new: NewEndpoint, actor: Actor) -> None:
    known_events = EventType.values
    known_types = set(TaskType.objects.values_list("slug", flat=True))
    known_principals = set(Principal.objects.filter(pk__in=new.principals).values_list("pk", flat=True))
    if actor.principals is not None:
        known_principals &= actor.principals
    _check_known("event_types", new.event_types, known_events)
    _check_known("task_types", new.task_types, known_types)
    unknown = sorted(set(new.principals) - known_principals)
    if unknown:
        raise InvalidInput("principals", _("'%(id)s' is no principal of yours.") % {"id": unknown[0]})


def _check_known(name: str, given: Sequence[str], known: Sequence[str] | set[str]) -> None:
    unknown = [value for value in given if value not in known]
    if unknown:
        message = _("'%(value)s' is unknown; known are %(known)s.")
        raise InvalidInput(name, message % {"value": unknown[0], "known": ", ".join(sorted(known))})


def rotate_secret(endpoint_id: str, actor: Actor) -> tuple[Endpoint, str]:
    """A new secret, returned this once. Messages are signed with both for 24 hours."""
    secret = signing.new_secret()
    with transaction.atomic():
        endpoint = endpoint_of(actor, endpoint_id, lock=True)
        endpoint.add_secret(secret, now=clock.now())
        endpoint.save(update_fields=["secrets"])
    return endpoint, secret


def enable_endpoint(endpoint_id: str, actor: Actor) -> Endpoint:
    """Switch on. What was missed stays missed until somebody recovers it."""
    with transaction.atomic(), audited(actor):
        endpoint = endpoint_of(actor, endpoint_id, lock=True)
        endpoint.enable()
        endpoint.save()
    return endpoint


def disable_endpoint(endpoint_id: str, actor: Actor) -> Endpoint:
    """Switch off; what waits for it is cancelled."""
    now = clock.now()
    with transaction.atomic(), audited(actor):
        endpoint = endpoint_of(actor, endpoint_id, lock=True)
        endpoint.disable(Endpoint.Disabled.BY_HAND, now=now)
        endpoint.save()
        _cancel(endpoint)
    return endpoint


def remove_endpoint(endpoint_id: str, actor: Actor) -> None:
    """Take the endpoint away. Its row and the log of what was sent stay; its secrets do not."""
    now = clock.now()
    with transaction.atomic(), audited(actor):
        endpoint = endpoint_of(actor, endpoint_id, lock=True)
        if endpoint.setting:
            raise EndpointOfSettings
        endpoint.disable(Endpoint.Disabled.BY_HAND, now=now)
        endpoint.removed_at, endpoint.secrets = now, []
        endpoint.save()
        _cancel(endpoint)


def _cancel(endpoint: Endpoint) -> None:
    Delivery.objects.filter(endpoint=endpoint, status=Delivery.Status.PENDING).update(
        status=Delivery.Status.CANCELLED, next_attempt_at=None, leased_until=None, lease=""
    )


def send_test(endpoint_id: str, actor: Actor) -> Tested:
    """Send a signed test message now and tell what came back. It is no event: it is not logged and not tried again."""
    endpoint, now = endpoint_of(actor, endpoint_id), clock.now()
    parcel = CHANNELS[endpoint.format].parcel(
        new_id("msg_"), payloads.ping(now), endpoint.url, endpoint.live_secrets(now), now
    )
    try:
        answer = post_once(
            parcel.url,
            parcel.body,
            parcel.headers,
            total_timeout=TEST_SECONDS,
            allow_hosts=allow_hosts_from(settings.HITL_ALLOW_PRIVATE_HOSTS),
        )
    except OutboundError as error:
        return Tested(delivered=False, error=error.detail)
    return _tested(answer)


def _tested(answer: Response) -> Tested:
    delivered = 200 <= answer.status < 300
    refusal = _("The receiver answered %(status)d; only 200 to 299 counts.") % {"status": answer.status}
    return Tested(delivered, answer.status, answer.excerpt(), "" if delivered else refusal)


def audited(actor: Actor) -> AbstractContextManager[None]:
    """The audit entries of the block carry this actor: the library's own middleware sees none behind a token."""
    frame = {"actor": actor.user, "remote_addr": actor.address, "cid": actor.correlation_id or None}
    context: AbstractContextManager[None] = set_extra_data(frame)
    return context
