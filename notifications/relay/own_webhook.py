"""The endpoint of HITL_WEBHOOK_URL: one variable is enough for news of urgent work."""

import logging
from datetime import datetime
from typing import Final

from django.conf import settings

from notifications import signing
from notifications.models import Endpoint
from tasks_app.states import EventType, Priority

log = logging.getLogger(__name__)

SETTING: Final = "HITL_WEBHOOK_URL"


def ensure(now: datetime) -> None:
    """Make the endpoint agree with the settings. There is one row, however many processes come here at once."""
    url, secret = settings.HITL_WEBHOOK_URL, settings.HITL_WEBHOOK_SECRET
    endpoint = Endpoint.objects.filter(setting=SETTING).first()
    if not url:
        if endpoint is not None and endpoint.enabled:
            endpoint.disable(Endpoint.Disabled.SETTINGS, now=now)
            endpoint.save()
        return
    if secret and not is_secret(secret):
        log.error("HITL_WEBHOOK_SECRET is no webhook secret (notifications.E001): HITL_WEBHOOK_URL is not used")
        return
    if endpoint is None:
        endpoint, _created = Endpoint.objects.get_or_create(setting=SETTING, defaults=_as_new(url, secret, now))
    changed = False
    if endpoint.url != url or endpoint.disabled_reason == Endpoint.Disabled.SETTINGS:
        endpoint.url, changed = url, True
        endpoint.enable()
    if secret and endpoint.live_secrets(now)[:1] != [secret]:
        endpoint.add_secret(secret, now=now)
        changed = True
    if changed:
        endpoint.save()


def is_secret(secret: str) -> bool:
    """Whether webhooks can be signed with `secret`."""
    try:
        signing.key_of(secret)
    except signing.InvalidSecret:
        return False
    return True


def _as_new(url: str, secret: str, now: datetime) -> dict[str, object]:
    draft = Endpoint()
    draft.add_secret(secret or signing.new_secret(), now=now)
    return {
        "url": url,
        "description": SETTING,
        "format": Endpoint.Format.FLAT,
        "event_types": [str(EventType.CREATED)],
        "min_priority": Priority.HIGH,
        "secrets": draft.secrets,
        "created_at": now,
    }
