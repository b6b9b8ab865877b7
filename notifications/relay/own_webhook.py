"""The endpoint of HITL_WEBHOOK_URL: one variable is enough for news of urgent work."""

import logging
from datetime import datetime
from typing import Final

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import transaction

from core import crypto
from notifications import signing
from notifications.models import Endpoint
from tasks_app.states import EventType, Priority

log = logging.getLogger(__name__)

SETTING: Final = "HITL_WEBHOOK_URL"


def ensure(now: datetime) -> None:
    """Make the endpoint agree with the settings. There is one row, however many processes come here at once."""
    url, secret = settings.HITL_WEBHOOK_URL, settings.HITL_WEBHOOK_SECRET
    endpoint = Endpoint.objects.filter(setting=SETTING).first()
    if url and secret and not is_secret(secret):
        log.error("HITL_WEBHOOK_SECRET is no webhook secret (notifications.E001): HITL_WEBHOOK_URL is not used")
        return
    if endpoint is None:
        if url:
            Endpoint.objects.get_or_create(setting=SETTING, defaults=_as_new(url, secret, now))
        return
    if not _adapt(endpoint, url, secret, now):
        return
    with transaction.atomic():
        # Once more on the locked row: a second process would put the new secret before itself, and the old one out.
        endpoint = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        if _adapt(endpoint, url, secret, now):
            endpoint.save()


def _adapt(endpoint: Endpoint, url: str, secret: str, now: datetime) -> bool:
    """Change the row in memory to what the settings say; whether it said something else."""
    if not url:
        was_enabled = endpoint.enabled
        if was_enabled:
            endpoint.disable(Endpoint.Disabled.SETTINGS, now=now)
        return was_enabled
    changed = False
    if endpoint.url != url or endpoint.disabled_reason == Endpoint.Disabled.SETTINGS:
        endpoint.url, changed = url, True
        endpoint.enable()
    if secret and _newest_secret(endpoint) != secret:
        endpoint.add_secret(secret, now=now)
        changed = True
    return changed


def _newest_secret(endpoint: Endpoint) -> str:
    """The secret to sign with first; empty where its key has left the ring."""
    try:
        return crypto.unseal(endpoint.secrets[0]["sealed"].encode("ascii"))
    except InvalidToken:
        return ""


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
