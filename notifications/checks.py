"""System checks of the outgoing side, run with those of `hitl`."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from notifications.relay.own_webhook import is_secret


@register("hitl")
def webhook_secret_can_sign(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if not settings.HITL_WEBHOOK_SECRET or is_secret(settings.HITL_WEBHOOK_SECRET):
        return []
    return [
        Error(
            "HITL_WEBHOOK_SECRET is no webhook secret: 'whsec_' and the base64 of 24 to 64 random bytes.",
            hint='Make one: echo "whsec_$(openssl rand -base64 32)". Unset, one is made; the console rotates it.',
            id="notifications.E001",
        )
    ]
