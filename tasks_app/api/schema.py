"""The OpenAPI document: how it describes the two ways to authenticate, and how it is served."""

from functools import cache
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library is untyped
    target_class = "tasks_app.api.authentication.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token made by `manage.py adapter_token`."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library is untyped
    target_class = "tasks_app.api.authentication.ConsoleSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "The console's login."}


@cache
def document() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


class Schema(SpectacularJSONAPIView):
    """The document, the same for whoever asks, and made once a process: anybody may ask, and making it takes long.

    The library's own view makes it anew in whatever `lang` and `version` are asked for, and writes the version into a
    header, where a line break was a server error.
    """

    http_method_names = ["get", "head"]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(document(), headers={"Content-Disposition": 'inline; filename="human-task-queue.json"'})


class Documentation(SpectacularSwaggerSplitView):
    """The page for people. It has nothing but itself to show: OPTIONS found no template."""

    http_method_names = ["get", "head"]
