"""The kinds of receivers, one small class each, in a literal registry: a further kind is a class and a line here."""

from typing import Final

from notifications.channels.base import HIDDEN, Channel, Parcel, Unwritten
from notifications.channels.people import ChannelOfPeople, Email, Slack, address_of, language_of, zone_of
from notifications.channels.webhook import AdContextProtocol, Webhook
from notifications.models import Endpoint
from notifications.payloads import flat, standard

CHANNELS: Final[dict[str, Channel]] = {
    Endpoint.Format.STANDARD: Webhook(standard),
    Endpoint.Format.FLAT: Webhook(flat),
    Endpoint.Format.ADCP: AdContextProtocol(),
    Endpoint.Format.EMAIL: Email(),
    Endpoint.Format.SLACK: Slack(),
}


def of_people() -> dict[str, ChannelOfPeople]:
    """The kinds whose messages people read."""
    return {kind: channel for kind, channel in CHANNELS.items() if isinstance(channel, ChannelOfPeople)}


__all__ = [
    "CHANNELS",
    "HIDDEN",
    "AdContextProtocol",
    "Channel",
    "ChannelOfPeople",
    "Parcel",
    "Unwritten",
    "Webhook",
    "address_of",
    "language_of",
    "of_people",
    "zone_of",
]
