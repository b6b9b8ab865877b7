"""Signed POST requests, as Standard Webhooks describes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.http import OutboundSession, Response
from notifications import signing
from notifications.payloads import News


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready to go. Nothing in it needs the database."""

    message_id: str
    """The event's id: the same over all tries."""
    body: bytes
    url: str
    headers: Mapping[str, str]


class Channel(Protocol):
    """One kind of message: how its body is written, how it is addressed, how it is sent."""

    def body(self, news: News) -> bytes:
        """The bytes of every try; written once, when the event is dispatched."""

    def parcel(self, message_id: str, body: bytes, url: str, secrets: list[str], at: datetime) -> Parcel:
        """What goes out in a try made at `at`."""

    async def send(self, session: OutboundSession, parcel: Parcel) -> Response:
        """Send it. Raises `OutboundError`; an answer of any status is no error here."""


class Webhook:
    """JSON to a URL, signed with every live secret."""

    def __init__(self, body: Callable[[News], bytes]) -> None:
        self._body = body

    def body(self, news: News) -> bytes:
        return self._body(news)

    def parcel(self, message_id: str, body: bytes, url: str, secrets: list[str], at: datetime) -> Parcel:
        headers = signing.sign(secrets, message_id, int(at.timestamp()), body)
        return Parcel(message_id, body, url, {"content-type": "application/json", **headers})

    async def send(self, session: OutboundSession, parcel: Parcel) -> Response:
        return await session.post(parcel.url, parcel.body, parcel.headers)
