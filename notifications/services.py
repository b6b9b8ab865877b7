"""Managing endpoints: what API and console both call."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from auditlog.context import set_extra_data
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from core import clock
from core.addresses import allow_hosts_from
from core.errors import HitlError
from core.http import OutboundError, check_destination
from core.ids import new_id
from notifications import adcp, payloads, signing
from notifications.channels import CHANNELS, Channel, Parcel
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
    scheme: str = Endpoint.Scheme.HMAC
    credentials: str = ""
    """What the receiver verifies messages of the Ad Context Protocol with; empty: made here."""
    token: str = ""
    """What the receiver wants to read in every message of the Ad Context Protocol."""


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
        return Endpoint.objects.present().for_programs()
    if actor.is_adapter and actor.has_scope(Scope.ENDPOINTS):
        return Endpoint.objects.present().filter(owner=actor.user)
    raise NotAllowed(_("Webhook endpoints are managed by administrators, and by adapters with endpoints:manage."))


def endpoint_of(actor: Actor, endpoint_id: str, *, lock: bool = False) -> Endpoint:
    """One endpoint. Raises EndpointNotFound for unknown and foreign ones alike."""
    endpoints = visible_endpoints(actor)
    if lock:
        endpoints = endpoints.select_for_update(of=("self",), no_key=True)
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
    _check_filters(vars(new), actor)
    now, secret = clock.now(), _secret_for(new.format, new.credentials)
    if new.format != Endpoint.Format.ADCP and (new.token or new.scheme != Endpoint.Scheme.HMAC):
        raise _only_adcp("format")
    if new.token and not adcp.is_token(new.token):
        raise InvalidInput("token", _("give 16 to 4096 characters."))
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
        scheme=new.scheme,
        created_at=now,
    )
    endpoint.token = new.token
    endpoint.add_secret(secret, now=now)
    with audited(actor):
        endpoint.save(force_insert=True)
    return endpoint, secret


def _only_adcp(field: str) -> InvalidInput:
    return InvalidInput(field, _("authentication and token belong to the format adcp."))


def _secret_for(format: str, credentials: str = "") -> str:
    """A new secret as the format wants it; the receiver's own credentials where it brings them."""
    check_credentials(format, credentials)
    if format != Endpoint.Format.ADCP:
        return signing.new_secret()
    return credentials or signing.new_credentials()


def check_credentials(format: str, credentials: str) -> None:
    """Whether a receiver's own credentials can be used with the format. Raises InvalidInput."""
    if credentials and format != Endpoint.Format.ADCP:
        raise _only_adcp("credentials")
    if credentials:
        try:
            signing.check_credentials(credentials)
        except signing.InvalidSecret as error:
            raise InvalidInput("credentials", error.detail) from error


def change_endpoint(endpoint_id: str, actor: Actor, changes: Mapping[str, Any]) -> Endpoint:
    """Change any of `CHANGEABLE`; a new `url` has passed `check_reachable`. What waits goes where the endpoint is now.

    Only these columns are written, as the relay keeps the record of failures on the same row; a new address begins
    with a clean one. Raises EndpointOfSettings for the address and filters of HITL_WEBHOOK_URL.
    """
    unknown = set(changes) - set(CHANGEABLE)
    if unknown:
        raise ValueError(f"{sorted(unknown)} cannot be changed")
    with transaction.atomic(), audited(actor):
        endpoint = endpoint_of(actor, endpoint_id, lock=True)
        if endpoint.setting:
            raise EndpointOfSettings
        _check_filters(changes, actor)
        moved = changes.get("url", endpoint.url) != endpoint.url
        for name, value in changes.items():
            setattr(endpoint, name, list(value) if name in _LISTS else value)
        columns = list(changes)
        if moved and endpoint.enabled:
            endpoint.enable()
            columns += ["failing_since", "warned_at", "paused_until", "failures_in_a_row"]
        endpoint.save(update_fields=columns)
    return endpoint


_LISTS: Final = ("event_types", "task_types", "principals")
CHANGEABLE: Final = ("url", "description", *_LISTS, "min_priority", "adapter_name")


def _check_filters(given: Mapping[str, Any], actor: Actor) -> None:
    known_types = set(TaskType.objects.values_list("slug", flat=True))
    principals = given.get("principals", ())
    known_principals = set(Principal.objects.filter(pk__in=principals).values_list("pk", flat=True))
    if actor.principals is not None:
        known_principals &= actor.principals
    check_known("event_types", given.get("event_types", ()), EventType.values)
    check_known("task_types", given.get("task_types", ()), known_types)
    unknown = sorted(set(principals) - known_principals)
    if unknown:
        raise InvalidInput("principals", _("'%(id)s' is no principal of yours.") % {"id": unknown[0]})


def check_known(name: str, given: Sequence[str], known: Sequence[str] | set[str]) -> None:
    """Raises InvalidInput that names the first value that is not known, and those that are."""
    unknown = [value for value in given if value not in known]
    if unknown:
        message = _("'%(value)s' is unknown; known are %(known)s.")
        raise InvalidInput(name, message % {"value": unknown[0], "known": ", ".join(sorted(known))})


def rotate_secret(endpoint_id: str, actor: Actor, *, credentials: str = "") -> tuple[Endpoint, str]:
    """A new secret, returned this once. Messages are signed with both for 24 hours.

    Those of the Ad Context Protocol carry one signature, by the new one at once: there the receiver accepts both, as
    the protocol asks it to. `credentials` are what such a receiver brings itself.
    """
    with transaction.atomic(), audited(actor):
        endpoint = endpoint_of(actor, endpoint_id, lock=True)
        secret = _secret_for(endpoint.format, credentials)
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
        cancel(endpoint)
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
        cancel(endpoint)


def cancel(endpoint: Endpoint) -> None:
    """Give up what waits for an endpoint."""
    waiting = (Delivery.Status.PENDING, Delivery.Status.HELD)
    Delivery.objects.filter(endpoint=endpoint, status__in=waiting).update(
        status=Delivery.Status.CANCELLED, next_attempt_at=None, leased_until=None, lease=""
    )


def send_test(endpoint_id: str, actor: Actor) -> Tested:
    """Send a signed test message now and tell what came back. It is no event: it is not logged and not tried again."""
    endpoint, now = endpoint_of(actor, endpoint_id), clock.now()
    try:
        keys = endpoint.live_secrets(now)
    except InvalidToken:
        return Tested(
            delivered=False, error=_("The secret cannot be read: its encryption key is gone. Make a new one.")
        )
    parcel = CHANNELS[endpoint.format].parcel(new_id("msg_"), payloads.ping(now), endpoint, keys, now)
    return tested(CHANNELS[endpoint.format], parcel)


def tested(channel: Channel, parcel: Parcel) -> Tested:
    """Send one message now and tell what came of it."""
    try:
        answer = channel.send_now(parcel, TEST_SECONDS)
    except OutboundError as error:
        return Tested(delivered=False, error=error.detail)
    delivered = 200 <= answer.status < 300
    refusal = _("The receiver answered %(status)d; only 200 to 299 counts.") % {"status": answer.status}
    return Tested(delivered, answer.status, answer.excerpt(), "" if delivered else refusal)


def audited(actor: Actor) -> AbstractContextManager[None]:
    """The audit entries of the block carry this actor: the library's own middleware sees none behind a token."""
    frame = {"actor": actor.user, "remote_addr": actor.address, "cid": actor.correlation_id or None}
    context: AbstractContextManager[None] = set_extra_data(frame)
    return context
