"""The kinds of messages, one small class each, in a literal registry: a further kind is a class and a line here."""

from typing import Final

from notifications.channels.webhook import Channel, Parcel, Webhook
from notifications.models import Endpoint
from notifications.payloads import flat, standard

CHANNELS: Final[dict[str, Channel]] = {
    Endpoint.Format.STANDARD: Webhook(standard),
    Endpoint.Format.FLAT: Webhook(flat),
}

__all__ = ["CHANNELS", "Channel", "Parcel", "Webhook"]
