"""What every kind of receiver has in common. A further kind is a small class, and a line in the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from django.conf import settings

from core.addresses import allow_hosts_from
from core.http import OutboundError, OutboundSession, Response, post_once
from notifications.models import Endpoint
from notifications.payloads import News

HIDDEN: Final = "•••"
_SECRET_HEADERS: Final = frozenset({"authorization"})


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready to go. Nothing in it needs the database."""

    message_id: str
    """The same over all tries."""
    body: bytes
    url: str
    headers: Mapping[str, str]

    @property
    def shown_headers(self) -> dict[str, str]:
        """The headers as they may be kept in the log: a credential that is no signature is left out."""
        return {name: HIDDEN if name.lower() in _SECRET_HEADERS else value for name, value in self.headers.items()}


class Channel:
    """One kind of receiver: how its messages are written, addressed and sent."""

    for_people: ClassVar[bool] = False
    """Whether people read it: then it is written when it is sent (channels/people.py)."""
    seals_body: ClassVar[bool] = False
    """Whether the bytes hold something that the receiver keeps secret, so that the table must not show them."""

    def body(self, news: News, to: Endpoint) -> bytes:
        """The bytes of every try; written once, when the event is dispatched."""
        raise NotImplementedError

    def destination(self, to: Endpoint) -> str:
        """Where its messages go now, as text to compare with later; a secret is not shown."""
        return str(to.url)

    def parcel(self, message_id: str, body: bytes, to: Endpoint, keys: list[str], at: datetime) -> Parcel:
        """What goes out in a try made at `at`. `keys` are the endpoint's secrets, newest first."""
        raise NotImplementedError

    async def send(self, session: OutboundSession, parcel: Parcel, begin_by: float) -> Response:
        """Send it, unless it is later than `begin_by` (of `clock.ticks()`) when it can be sent.

        Raises `OutboundError`; an answer of any status is no error here.
        """
        return await session.post(parcel.url, parcel.body, parcel.headers, begin_by=begin_by)

    def send_now(self, parcel: Parcel, seconds: float) -> Response:
        """The same for one message from synchronous code, such as a test button's."""
        allowed = allow_hosts_from(settings.HITL_ALLOW_PRIVATE_HOSTS)
        return post_once(parcel.url, parcel.body, parcel.headers, total_timeout=seconds, allow_hosts=allowed)


class Unwritten(Channel):
    """In place of a message that could not be made: its try fails, is seen, and is made again by the schedule."""

    async def send(self, session: OutboundSession, parcel: Parcel, begin_by: float) -> Response:
        raise OutboundError("internal", "The message could not be made; the log of the worker says why.")
