"""What the task views share: the actor, strict input, the answer with its ETag, If-Match."""

import re
from functools import cache
from typing import Any, TypeVar

from django.utils.translation import gettext as _
from rest_framework import status
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core import clock
from core.api import JSONRenderer, ProblemSerializer, StrictSerializer
from tasks_app.actors import Actor
from tasks_app.api.actors import actor_of
from tasks_app.api.serializers import task_out, task_row
from tasks_app.exceptions import InvalidInput
from tasks_app.models import HumanTask

S = TypeVar("S", bound=StrictSerializer)

_ETAG = re.compile(r'(?:W/)?"(0|[1-9][0-9]{0,8})"')


@cache
def _validator(serializer: type[S]) -> S:
    """One instance for all requests: a check leaves nothing in it, and copying its fields costs more than the check."""
    return serializer()


@cache
def _renderer() -> JSONRenderer:
    return JSONRenderer()


def problems(*codes: int) -> dict[int, type[ProblemSerializer]]:
    """The error answers of an operation, for the OpenAPI document."""
    return dict.fromkeys((401, *codes), ProblemSerializer)


class TaskView(APIView):
    """Base of the task views."""

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Whoever takes anything gets JSON, without each renderer being asked: nearly all callers say no more."""
        if request.META.get("HTTP_ACCEPT", "*/*") == "*/*":
            return _renderer(), _renderer().media_type or ""
        return super().perform_content_negotiation(request, force)

    def read(self, serializer: type[S], request: Request) -> dict[str, Any]:
        """The validated body."""
        return dict(_validator(serializer).run_validation(request.data))

    def asked(self, query: type[S], request: Request) -> dict[str, Any]:
        """The validated query parameters."""
        return dict(_validator(query).run_validation(request.query_params))

    def seen_version(self, request: Request) -> int | None:
        """The version in `If-Match`, or None where the caller does not ask."""
        header = request.headers.get("If-Match")
        if header is None or header.strip() == "*":
            return None
        match = _ETAG.fullmatch(header.strip())
        if match is None:
            raise InvalidInput("If-Match", _('give the ETag of the task as you read it, e.g. "3".'))
        return int(match[1])

    def answer(self, task: HumanTask, code: int = status.HTTP_200_OK) -> Response:
        return Response(task_out(task_row(task), clock.now()), code, headers={"ETag": f'"{task.version}"'})
