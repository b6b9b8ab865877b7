"""The actor of a request."""

from typing import cast

from rest_framework.request import Request

from core.requests import client_address, current_correlation_id
from tasks_app import tokens
from tasks_app.actors import Actor
from tasks_app.models import AdapterToken, User


def actor_of(request: Request) -> Actor:
    """The actor behind a token or a session, made once a request."""
    cached: Actor | None = getattr(request, "_actor", None)
    if cached is None:
        address, correlation_id = client_address(request._request), current_correlation_id()
        if isinstance(request.auth, AdapterToken):
            cached = tokens.actor_behind(request.auth, address=address, correlation_id=correlation_id)
        else:
            cached = Actor(user=cast("User", request.user), address=address, correlation_id=correlation_id)
        setattr(request, "_actor", cached)  # noqa: B010
    return cached
