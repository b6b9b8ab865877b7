"""Channels of people: made and changed by administrators, and each person's own by that person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from core import clock, crypto
from core.ids import new_id
from notifications import letters
from notifications.channels import address_of, language_of, of_people, zone_of
from notifications.models import FOR_PEOPLE, Channel, Endpoint, first_choice
from notifications.services import Tested, audited, cancel, check_known, check_reachable, manages_all, tested
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput, NotAllowed
from tasks_app.links import queue_url
from tasks_app.models import Team, User
from tasks_app.states import Priority

HIDDEN_PATH: Final = "…"


@dataclass(frozen=True)
class NewChannel:
    """Where people hear, and of what. `address`: a mail address, or the URL of an incoming webhook."""

    slug: str
    name: str
    kind: str
    address: str = ""
    team: Team | None = None
    person: User | None = None
    event_types: Sequence[str] = field(default_factory=first_choice)
    min_priority: int = Priority.LOW
    task_types: Sequence[str] = ()
    principals: Sequence[str] = ()


def kinds() -> list[tuple[str, str]]:
    """The kinds that can be used here: without a mail server there is no mail."""
    known = dict(Endpoint._meta.get_field("format").flatchoices)
    usable = (kind for kind in of_people() if kind != Endpoint.Format.EMAIL or settings.HITL_EMAIL_URL)
    return [(kind, str(known.get(kind, kind))) for kind in usable]


def check_address(kind: str, address: str) -> None:
    """Judge a mail address, or a URL and what it resolves to. Raises InvalidInput.

    It may wait for a name server: call it outside any transaction.
    """
    if kind == Endpoint.Format.EMAIL:
        try:
            validate_email(address)
        except ValidationError:
            raise InvalidInput("address", _("give a mail address, like team@agency.example.")) from None
        return
    try:
        check_reachable(address)
    except InvalidInput as error:
        raise InvalidInput("address", error.message) from error


def _may(actor: Actor, person: User | None) -> None:
    if person is not None and person.pk == actor.user.pk and actor.is_person:
        return
    if not manages_all(actor) or person is not None:
        raise NotAllowed(_("Channels of teams are managed by administrators, a person's own by that person."))


def create_channel(new: NewChannel, actor: Actor) -> Channel:
    """Add a channel whose address passed `check_address`. Raises NotAllowed, InvalidInput."""
    _may(actor, new.person)
    if new.kind not in dict(kinds()):
        raise InvalidInput("kind", _("'%(kind)s' cannot be used here.") % {"kind": new.kind})
    _check(vars(new))
    now = clock.now()
    endpoint = Endpoint(
        description=new.name,
        format=new.kind,
        event_types=list(new.event_types),
        min_priority=new.min_priority,
        task_types=list(new.task_types),
        principals=list(new.principals),
        created_at=now,
    )
    _set_address(endpoint, new.kind, new.address)
    with transaction.atomic(), audited(actor):
        if Channel.objects.filter(pk=new.slug).exists():
            raise InvalidInput("slug", _("There is a channel of this name already."))
        endpoint.save(force_insert=True)
        channel = Channel(slug=new.slug, name=new.name, endpoint=endpoint, team=new.team, person=new.person)
        channel.save(force_insert=True)
    return channel


def _set_address(endpoint: Endpoint, kind: str, address: str) -> None:
    """A mail address is kept as it is; a URL that lets anybody write is encrypted, and only its host is shown."""
    if of_people()[kind].is_secret:
        parts = urlsplit(address)
        endpoint.url = f"{parts.scheme}://{parts.netloc}/{HIDDEN_PATH}"
        endpoint.secrets = [{"sealed": crypto.seal(address).decode("ascii"), "until": None}]
    else:
        endpoint.url = f"mailto:{address}"


def _check(given: Mapping[str, Any]) -> None:
    check_known("event_types", given.get("event_types", ()), [str(event) for event in FOR_PEOPLE])


_OF_ENDPOINT: Final = ("event_types", "min_priority", "task_types", "principals")
_OF_CHANNEL: Final = ("name", "team")


def change_channel(slug: str, actor: Actor, changes: Mapping[str, Any], *, address: str = "") -> Channel:
    """Change name, team, what it hears, and its address, which passed `check_address` (empty: it stays)."""
    with transaction.atomic(), audited(actor):
        channel = _locked(slug, actor)
        endpoint = channel.endpoint
        _check(changes)
        for name in set(changes) & set(_OF_CHANNEL):
            setattr(channel, name, changes[name])
        for name in set(changes) & set(_OF_ENDPOINT):
            setattr(endpoint, name, changes[name])
        columns = [name for name in _OF_ENDPOINT if name in changes]
        if "name" in changes:
            endpoint.description = changes["name"]
            columns.append("description")
        if address:
            _set_address(endpoint, endpoint.format, address)
            columns += ["url", "secrets"]
            if endpoint.enabled:
                endpoint.enable()
                columns += ["failing_since", "warned_at", "paused_until", "failures_in_a_row"]
        channel.save()
        if columns:
            endpoint.save(update_fields=columns)
    return channel


def switch_channel(slug: str, actor: Actor, *, on: bool) -> Channel:
    """Switch on or off; what waits for one that is switched off is cancelled."""
    with transaction.atomic(), audited(actor):
        channel = _locked(slug, actor)
        if on:
            channel.endpoint.enable()
        else:
            channel.endpoint.disable(Endpoint.Disabled.BY_HAND, now=clock.now())
            cancel(channel.endpoint)
        channel.endpoint.save()
    return channel


def _locked(slug: str, actor: Actor) -> Channel:
    channel = Channel.objects.select_related("person", "team").filter(pk=slug).first()
    if channel is None:
        raise InvalidInput("slug", _("There is no such channel."))
    _may(actor, channel.person)
    channel.endpoint = Endpoint.objects.select_for_update(no_key=True).get(pk=channel.endpoint_id)
    return channel


def send_test(slug: str, actor: Actor) -> Tested:
    """Send a message that says that it is a test, and tell what came back. Not logged, not tried again."""
    channel = Channel.objects.select_related("person", "endpoint").filter(pk=slug).first()
    if channel is None:
        raise InvalidInput("slug", _("There is no such channel."))
    _may(actor, channel.person)
    endpoint, now = channel.endpoint, clock.now()
    try:
        keys = endpoint.live_secrets(now)
    except InvalidToken:
        return Tested(delivered=False, error=_("The address cannot be read: its encryption key is gone. Give it anew."))
    address = address_of(endpoint)
    if not address:
        return Tested(delivered=False, error=_("There is no mail address; an administrator can add it."))
    kind, message_id = of_people()[endpoint.format], new_id("msg_")
    with translation.override(language_of(channel.person)):
        letter = letters.test_letter(now, zone_of(channel.person), f"{settings.HITL_BASE_URL}{queue_url()}")
        body = kind.write(letter, message_id, address, now)
    return tested(kind, kind.parcel(message_id, body, endpoint, keys, now))


def own_slug(person: User, kind: str) -> str:
    """The slug of a person's own channel."""
    return f"{kind}-of-{person.pk}"
