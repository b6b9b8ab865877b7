"""Who calls: a bearer token, or the console's session (with CSRF)."""

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tasks_app import tokens
from tasks_app.models import AdapterToken, User


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer hitl_…`. Unknown, revoked and expired tokens are refused alike."""

    def authenticate(self, request: Request) -> tuple[User, AdapterToken] | None:
        scheme, _space, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = tokens.resolve(text.strip())
        if token is None:
            raise AuthenticationFailed(_("This token is unknown, revoked or expired."))
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ConsoleSessionAuthentication(SessionAuthentication):
    """The console's login, for people who try the API in the browser."""
