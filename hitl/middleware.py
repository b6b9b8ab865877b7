"""Around each request: correlation id and NUL, last slash, content policy by path, the reader's language and zone."""

import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, tzinfo
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from csp.constants import HEADER
from csp.middleware import CSPMiddleware, PolicyParts
from csp.utils import build_policy
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import SuspiciousOperation
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponsePermanentRedirect,
    UnreadablePostError,
)
from django.middleware.common import CommonMiddleware
from django.utils import timezone, translation
from django.utils.http import escape_leading_slashes

from core.api import problem_page
from core.requests import correlation_id_for, set_correlation_id
from tasks_app.creatives import schemes

GetResponse = Callable[[HttpRequest], HttpResponse]

API_PREFIX: Final = "/api/"
ZONE_COOKIE: Final = "time_zone"
LOGIN_NAME: Final = 150  # as the column of user names


class RequestContextMiddleware:
    """Give each request a correlation id, found again in logs, audit entries and the answer's header.

    And keep away from the database what PostgreSQL refuses, which would be a server error for the caller's fault: NUL,
    and a login name that is longer than the column in which a failed login is noted.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        correlation_id = correlation_id_for(request)
        set_correlation_id(correlation_id)
        if "HTTP_COOKIE" in request.META:
            # A quoted cookie may hold NUL as an octal escape. We never set such a one, so it counts as absent.
            request.COOKIES = {name: value for name, value in request.COOKIES.items() if "\0" not in value}
        response = self.get_response(request)
        response["X-Correlation-ID"] = correlation_id
        if request.path_info.startswith("/api/v1/"):
            # Tasks hold what is nobody else's business: neither a proxy nor a browser's disk keeps them.
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    def process_view(self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # Lists of the API name the query parameter at fault themselves; the console's filters do not look.
        in_query = "%00" in request.META.get("QUERY_STRING", "") and request.path_info.startswith("/admin/")
        if in_query or "\0" in request.path_info:
            raise SuspiciousOperation("NUL in the address")
        if request.method == "POST" and request.path_info.startswith("/admin/"):
            _refuse_form(request)


def _refuse_form(request: HttpRequest) -> None:
    """Raises SuspiciousOperation where what was posted to the console is nothing that a form of ours sends."""
    try:
        posted = request.POST
    except UnreadablePostError:  # the sender has gone; the check against forgery, which comes next, says so
        return
    if any("\0" in text for name, values in posted.lists() for text in (name, *values)):
        raise SuspiciousOperation("NUL in the form")
    if request.path_info == "/admin/login/" and len(posted.get("username", "")) > LOGIN_NAME:
        raise SuspiciousOperation("the login name is too long")


class _ForBrowsers:
    """Is passed by where a program calls the API with a token: it has no session, no login form and no messages.

    Together they were a twentieth of reading one task.
    """

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        scheme = request.META.get("HTTP_AUTHORIZATION", "")[:7]
        if scheme.lower() == "bearer " and request.path_info.startswith("/api/v1/"):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]  # the middleware that it is mixed into


class BrowserSessions(_ForBrowsers, SessionMiddleware):
    """Django's sessions."""


class BrowserLogins(_ForBrowsers, AuthenticationMiddleware):
    """Django's `request.user`."""


class BrowserMessages(_ForBrowsers, MessageMiddleware):
    """Django's messages."""


class SlashMiddleware(CommonMiddleware):
    """Send whoever left out an address's last slash to the right one, without losing what he sent.

    Django answers 301, after which clients repeat a POST as a GET without its body (and, with DEBUG on, an error). 308
    keeps method and body; under /api/ it also says so in words.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        lost = response.status_code == HTTPStatus.NOT_FOUND and request.method not in ("GET", "HEAD")
        if not lost or not self.should_redirect_with_slash(request):
            return super().process_response(request, response)
        target = escape_leading_slashes(request.get_full_path(force_append_slash=True))
        if not request.path_info.startswith(API_PREFIX):
            return HttpResponsePermanentRedirect(target, preserve_request=True)
        detail = "Addresses end with a slash. Send the same request to the Location of this answer."
        answer = problem_page(308, "missing_slash", detail)
        answer["Location"] = target
        return answer


class ContentPolicyMiddleware(CSPMiddleware):
    """The strict policy of the settings everywhere; what the console and the API's page cannot do without, there only.

    The console's Alpine evaluates expressions and, like Swagger's page, sets styles in the document. Where tasks are
    shown, the images, films and sounds of creatives may come from the web, and a frame from our own signed address
    (tasks_app/admin/creative.py); scripts and requests stay our own.
    """

    RELAXED: Final = {
        "/admin/": {"script-src": ["'self'", "'unsafe-eval'"], "style-src": ["'self'", "'unsafe-inline'"]},
        "/api/docs/": {"style-src": ["'self'", "'unsafe-inline'"]},
    }

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        # Nothing of the API has a policy of its own, and putting its text together took longer than finding the view.
        if request.path_info.startswith("/api/v1/") and not settings.DEBUG:
            response.headers.setdefault(HEADER, _strict_policy())
            return response
        return super().process_response(request, response)

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request=request, response=response, report_only=report_only)
        for prefix, directives in self.RELAXED.items():
            if request.path_info.startswith(prefix):
                parts.replace = {**directives, **(parts.replace or {})}
        if request.path_info.startswith("/admin/tasks_app/humantask/"):
            media = ["'self'", "data:", *schemes()]
            parts.replace = {"img-src": media, "media-src": media, "frame-src": ["'self'"], **(parts.replace or {})}
        return parts


@cache
def _strict_policy() -> str:
    return build_policy()


class ReaderMiddleware:
    """In the console, speak the reader's language and show times in the reader's zone.

    As chosen under My settings, else as the browser says: it tells its languages itself, and its zone by a cookie that
    static/console/reader.js sets.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # The API speaks English and UTC, and reading the user would cost its token requests a session query.
        if not request.path.startswith("/admin/"):
            return self.get_response(request)
        language = getattr(request.user, "language", "") or translation.get_language_from_request(request)
        zone = zone_of(getattr(request.user, "time_zone", "")) or zone_of(request.COOKIES.get(ZONE_COOKIE, ""))
        with translation.override(language), timezone.override(zone or UTC):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", language)
            return response


def zone_of(name: str) -> tzinfo | None:
    """The zone of that name, or None: a cookie may say anything."""
    try:
        return zoneinfo.ZoneInfo(name) if re.fullmatch(r"[A-Za-z0-9_+/-]{1,64}", name) else None
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return None
