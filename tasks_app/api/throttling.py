"""Requests per minute and token. If the store of the counts is down, requests pass: a limit is no outage."""

import logging
from typing import Any

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from core import clock
from tasks_app.models import AdapterToken

log = logging.getLogger(__name__)


class TokenThrottle(BaseThrottle):
    """A count per clock minute: one cheap increment, not a list of moments."""

    def allow_request(self, request: Request, view: Any) -> bool:
        limit = settings.HITL_RATE_LIMIT
        if not limit or not request.user.is_authenticated:
            return True
        who = f"t{request.auth.pk}" if isinstance(request.auth, AdapterToken) else f"u{request.user.pk}"
        key = f"rate:{who}:{int(clock.now().timestamp()) // 60}"
        try:
            cache.add(key, 0, timeout=120)
            return bool(cache.incr(key) <= limit)
        except Exception as error:
            log.warning("rate limit not counted: %s", error)
            return True

    def wait(self) -> float:
        return 60 - clock.now().timestamp() % 60
