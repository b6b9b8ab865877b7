"""Requests to programs: signed as Standard Webhooks describes it, or as the Ad Context Protocol does."""

from collections.abc import Callable
from datetime import datetime

from core import crypto
from notifications import adcp, signing
from notifications.channels.base import Channel, Parcel
from notifications.models import Endpoint
from notifications.payloads import News

JSON = {"content-type": "application/json"}


class Webhook(Channel):
    """JSON to a URL, signed with every live secret."""

    def __init__(self, body: Callable[[News], bytes]) -> None:
        self._body = body

    def body(self, news: News, to: Endpoint) -> bytes:
        return self._body(news)

    def parcel(self, message_id: str, body: bytes, to: Endpoint, keys: list[str], at: datetime) -> Parcel:
        return Parcel(message_id, body, to.url, JSON | signing.sign(keys, message_id, int(at.timestamp()), body))


class AdContextProtocol(Channel):
    """The push notification of the Ad Context Protocol, signed by the newest secret, or with it as bearer token."""

    seals_body = True

    def body(self, news: News, to: Endpoint) -> bytes:
        # The protocol wants a key that nobody can foresee; it must be the same however often this is computed.
        key = f"whk_{crypto.keyed_digest('adcp', news.event_id, to.pk)[:32]}"
        return adcp.body(news, idempotency_key=key, token=to.token)

    def parcel(self, message_id: str, body: bytes, to: Endpoint, keys: list[str], at: datetime) -> Parcel:
        if to.scheme == Endpoint.Scheme.BEARER:
            return Parcel(message_id, body, to.url, JSON | {"authorization": f"Bearer {keys[0]}"})
        return Parcel(message_id, body, to.url, JSON | signing.sign_adcp(keys[0], int(at.timestamp()), body))
