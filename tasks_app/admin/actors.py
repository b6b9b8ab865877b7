"""Who is at the console: the actor of a request, made once per request."""

from typing import Final, cast

from django.http import HttpRequest

from core.recent import Recent
from core.requests import client_address, current_correlation_id
from tasks_app.actors import Actor
from tasks_app.models import User
from tasks_app.tokens import recent_grants


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person. Kept on the request, so that rights are read once however many parts of a page ask."""
    known = getattr(request, "console_actor", None)
    if known is None:
        known = Actor(
            user=cast(User, request.user),
            address=client_address(request),
            correlation_id=current_correlation_id(),
            read_grants=recent_grants,
        )
        request.console_actor = known  # type: ignore[attr-defined]
    return cast(Actor, known)


def works_here(request: HttpRequest) -> bool:
    """Whether the console is open to this user: active people of the staff, not adapters' service users."""
    user = request.user
    return bool(user.is_active and user.is_staff and user.kind == User.Kind.PERSON)


def oversees(request: HttpRequest) -> bool:
    """Administrators and auditors."""
    return works_here(request) and actor_of(request).grants.sees_everything


_permissions: Final[Recent[int, frozenset[str]]] = Recent(lambda _pk, user: frozenset(user.get_all_permissions()))


def may(request: HttpRequest, permission: str) -> bool:
    """Whether a role gives this permission, remembered like the grants: for what is only shown, such as the sidebar."""
    user = cast(User, request.user)
    return user.is_active and (user.is_superuser or permission in _permissions.get(user.pk, user))
