"""Errors as RFC 9457 problem documents: one shape, a stable `code`, and nothing about our insides."""

import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.utils import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpResponse, UnreadablePostError
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from core.api.parser import BodyTooLarge
from core.api.renderer import dumps
from core.errors import HitlError

logger = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

_TITLES: Final = {
    "invalid": "A value is not acceptable.",
    "malformed_json": "The body is not the JSON that this API accepts.",
    "body_too_large": "The body is larger than this API accepts.",
    "incomplete_body": "The body did not arrive whole.",
    "bad_request": "The request cannot be understood.",
    "not_authenticated": "This call needs a token or a login.",
    "authentication_failed": "The token or login is not valid.",
    "permission_denied": "You are not allowed to do this.",
    "not_found": "There is nothing here, or it is not yours to see.",
    "missing_slash": "The address lacks its last slash.",
    "method_not_allowed": "This address does not know the method.",
    "not_acceptable": "This API answers in JSON only.",
    "unsupported_media_type": "This API reads JSON only.",
    "conflict": "This clashes with something that exists or happened at the same time.",
    "throttled": "Too many requests.",
    "database_unavailable": "The database does not answer at the moment.",
}
_NOT_OF_A_FIELD: Final = {"non_field_errors", "__all__"}


class ProblemFieldSerializer(serializers.Serializer[Any]):
    """One refused value, for the OpenAPI description."""

    field = serializers.CharField(help_text="Dotted path of the input, e.g. `context_data.size`; empty: the whole.")
    message = serializers.CharField(help_text="What would be right.")
    code = serializers.CharField(required=False)


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem document (RFC 9457), for the OpenAPI description."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField(help_text="Stable; what a program should look at.")
    errors = ProblemFieldSerializer(many=True, required=False)  # type: ignore[assignment]  # a field, not .errors
    current_version = serializers.IntegerField(required=False)
    current_status = serializers.CharField(required=False, help_text="Of the task, where its status is the reason.")
    assigned_to = serializers.CharField(required=False, help_text="Who holds the task, where that is the reason.")


@dataclass(frozen=True)
class Problem:
    """What a problem document says."""

    status: int
    code: str
    detail: str
    title: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The members in reading order; `extra` never replaces one of the five that every problem has."""
        title = self.title or _TITLES.get(self.code) or _phrase(self.status)
        core = {
            "type": f"urn:hitl:problem:{self.code}",
            "title": title,
            "status": self.status,
            "detail": self.detail or title,
            "code": self.code,
        }
        return core | {name: value for name, value in self.extra.items() if name not in core}

    def all_headers(self) -> dict[str, str]:
        """The given headers, and those that the status asks for (RFC 9110: 401; RFC 6585: 429)."""
        headers = dict(self.headers)
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers.setdefault("WWW-Authenticate", "Bearer")
        if self.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            headers.setdefault("Retry-After", "1")
        return headers


def problem_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """REST framework's EXCEPTION_HANDLER. What is nobody's answer (a bug) stays unhandled: Django logs it as a 500."""
    problem = describe(exc)
    if problem is None:
        return None
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s: %s", problem.code, type(exc).__name__, exc_info=exc)
    # Imported late: `rest_framework.views` reads the settings that name this module.
    from rest_framework.views import set_rollback

    set_rollback()
    return Response(problem.document(), problem.status, headers=problem.all_headers(), content_type=MEDIA_TYPE)


def problem_page(status: int, code: str, detail: str = "") -> HttpResponse:
    """The same document where no API view is in charge, such as an unknown address under `/api/`."""
    problem = Problem(status, code, detail)
    return HttpResponse(
        dumps(problem.document()), status=status, headers=problem.all_headers(), content_type=MEDIA_TYPE
    )


def describe(exc: Exception) -> Problem | None:
    """The problem that `exc` means to a caller, or None if it means a bug."""
    headers: Mapping[str, str] = getattr(exc, "headers", None) or {}
    if isinstance(exc, HitlError):
        return Problem(exc.status, exc.code, exc.detail, exc.title, exc.extra, headers)
    if isinstance(exc, exceptions.APIException):
        return _of_rest_framework(exc, headers)
    if isinstance(exc, DjangoValidationError):
        return _invalid(serializers.as_serializer_error(exc), headers)
    if isinstance(exc, Http404):
        # Its own text names the model, and a hidden object must answer like an unknown one.
        return Problem(404, "not_found", "", headers=headers)
    if isinstance(exc, PermissionDenied):
        return Problem(403, "permission_denied", str(exc), headers=headers)
    if isinstance(exc, RequestDataTooBig):
        return Problem(413, "body_too_large", str(BodyTooLarge.default_detail), headers=headers)
    if isinstance(exc, UnreadablePostError):
        return Problem(400, "incomplete_body", "The connection ended before the body did.", headers=headers)
    if isinstance(exc, SuspiciousOperation | BadRequest):
        return Problem(400, "bad_request", "", headers=headers)
    return _of_the_database(exc)


def _of_the_database(exc: Exception) -> Problem | None:
    if isinstance(exc, OperationalError | InterfaceError):
        # Connection lost, lock or statement timeout, deadlock: the same call may work in a moment.
        return Problem(503, "database_unavailable", "Try again in a second.")
    if isinstance(exc, DataError):
        return Problem(400, "invalid", "A value is too long, out of range, or has characters that cannot be stored.")
    if isinstance(exc, IntegrityError) and _is_unique_violation(exc):
        return Problem(409, "conflict", "")
    return None


def _is_unique_violation(exc: IntegrityError) -> bool:
    """Two writers met at a unique constraint. Every other broken constraint is our own mistake."""
    cause = exc.__cause__
    if getattr(cause, "sqlstate", None) == "23505":
        return True
    return getattr(cause, "sqlite_errorname", "") in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")


def _of_rest_framework(exc: exceptions.APIException, headers: Mapping[str, str]) -> Problem:
    status, detail = exc.status_code, exc.detail
    if isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        # REST framework turns these into 403 where its first authenticator knows no header. To our callers they are
        # different answers: "who are you?" and "not you".
        status = 401
        headers = {"WWW-Authenticate": getattr(exc, "auth_header", None) or "Bearer", **headers}
    if wait := getattr(exc, "wait", None):  # Throttled
        headers = {"Retry-After": str(math.ceil(wait)), **headers}
    if isinstance(detail, list | dict):
        return _invalid(detail, headers, status, exc.default_code)
    return Problem(status, getattr(detail, "code", None) or exc.default_code, str(detail), headers=headers)


def _invalid(detail: Any, headers: Mapping[str, str], status: int = 400, code: str = "invalid") -> Problem:
    errors = list(flatten(detail))
    sentence = "The request is not acceptable."
    if errors:
        first = errors[0]
        sentence = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
        if len(errors) > 1:
            sentence += f" ({len(errors) - 1} more in `errors`)"
    return Problem(status, code, sentence, extra={"errors": errors}, headers=headers)


def flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Nested validation errors as one list: keys and list positions become dotted paths, whole-object errors ''."""
    if isinstance(detail, Mapping):
        for name, value in detail.items():
            yield from flatten(value, path if name in _NOT_OF_A_FIELD else _joined(path, name))
    elif isinstance(detail, list | tuple):
        for index, value in enumerate(detail):
            yield from flatten(value, _joined(path, index) if isinstance(value, Mapping | list) else path)
    else:
        yield {"field": path, "message": str(detail), "code": getattr(detail, "code", None) or "invalid"}


def _joined(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
