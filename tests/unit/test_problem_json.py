"""Every error that can reach a caller is one problem document with a stable code; a bug stays a bug."""

import json
import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg.errors
import pytest
from django.core import exceptions as django_exceptions
from django.db import models, utils
from django.http import Http404, HttpRequest, HttpResponse, QueryDict, UnreadablePostError
from django.test import Client, RequestFactory
from django.urls import path
from django.utils.translation import gettext_lazy
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api import (
    JSONRenderer,
    StrictJSONParser,
    StrictQuery,
    StrictSerializer,
    problem_handler,
    problem_page,
)
from core.api.renderer import dumps
from core.errors import HitlError


class Stale(HitlError):
    """The thing has changed since you read it.

    This paragraph is for developers.
    """

    code = "stale_version"
    status = 412


class Busy(HitlError):
    """Come back later."""

    code = "busy"
    status = 503
    headers = {"Retry-After": "7"}


class Size(StrictSerializer):
    width = serializers.IntegerField(min_value=1)
    height = serializers.IntegerField(min_value=1)


class Banner(StrictSerializer):
    banner_id = serializers.CharField(read_only=True)
    name = serializers.CharField(max_length=20)
    urgent = serializers.BooleanField(required=False)
    sizes = Size(many=True, required=False)
    tags = serializers.ListField(child=serializers.IntegerField(), required=False)
    owner: Any = serializers.HiddenField(default="system")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["name"] == "both":
            raise serializers.ValidationError("Either this or that.", code="contradiction")
        return attrs


class BannerQuery(StrictQuery):
    paged = True
    repeatable = frozenset({"status"})

    name = serializers.CharField(required=False)
    urgent = serializers.BooleanField(required=False)
    status = serializers.ListField(child=serializers.ChoiceField(["on", "off"]), required=False)


class Raises(APIView):
    """Raises what the test put there."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)
    error: Exception | None = None

    def get_exception_handler(self) -> Callable[..., Response | None]:
        return problem_handler

    def get(self, request: Request) -> Response:
        if self.error is not None:
            raise self.error
        query = BannerQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(query.validated_data)

    def post(self, request: Request) -> Response:
        banner = Banner(data=request.data)
        banner.is_valid(raise_exception=True)
        return Response(banner.validated_data)


urlpatterns = [path("x/", Raises.as_view())]
pytestmark = pytest.mark.urls(__name__)


def caused(error: utils.DatabaseError | utils.InterfaceError, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def sqlite_error(name: str) -> sqlite3.IntegrityError:
    error = sqlite3.IntegrityError("UNIQUE constraint failed: t.secret")
    error.sqlite_errorname = name
    return error


def problem(response: HttpResponse) -> dict[str, Any]:
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(response.content)
    assert list(document)[:5] == ["type", "title", "status", "detail", "code"]
    assert document["status"] == response.status_code
    assert document["type"] == f"urn:hitl:problem:{document['code']}"
    assert document["title"]
    assert document["detail"]
    return document


def raised(client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception) -> HttpResponse:
    monkeypatch.setattr(Raises, "error", error)
    response: HttpResponse = client.get("/x/")  # type: ignore[assignment]
    return response


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (exceptions.ParseError(), 400, "parse_error"),
        (exceptions.ValidationError("no"), 400, "invalid"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.AuthenticationFailed("expired", "token_expired"), 401, "token_expired"),
        (exceptions.AuthenticationFailed(), 401, "authentication_failed"),
        (exceptions.PermissionDenied(), 403, "permission_denied"),
        (exceptions.NotFound(), 404, "not_found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.NotAcceptable(), 406, "not_acceptable"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "unsupported_media_type"),
        (exceptions.Throttled(), 429, "throttled"),
        (Http404("No Secret matches the given query."), 404, "not_found"),
        (django_exceptions.PermissionDenied(), 403, "permission_denied"),
        (django_exceptions.ValidationError("no"), 400, "invalid"),
        (django_exceptions.ValidationError({"name": ["no"]}), 400, "invalid"),
        (django_exceptions.RequestDataTooBig(), 413, "body_too_large"),
        (django_exceptions.SuspiciousOperation("x"), 400, "bad_request"),
        (django_exceptions.BadRequest("x"), 400, "bad_request"),
        (UnreadablePostError(), 400, "incomplete_body"),
        (utils.OperationalError("server closed the connection"), 503, "database_unavailable"),
        (utils.InterfaceError("connection already closed"), 503, "database_unavailable"),
        (utils.DataError("value too long: secret"), 400, "invalid"),
        (caused(utils.IntegrityError("t.secret"), psycopg.errors.UniqueViolation("t.secret")), 409, "conflict"),
        (caused(utils.IntegrityError("t.secret"), sqlite_error("SQLITE_CONSTRAINT_UNIQUE")), 409, "conflict"),
        (caused(utils.IntegrityError("t.secret"), sqlite_error("SQLITE_CONSTRAINT_PRIMARYKEY")), 409, "conflict"),
        (HitlError(), 400, "error"),
        (Stale(), 412, "stale_version"),
        (Busy(), 503, "busy"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_it_answers_every_known_error_as_a_problem(
    client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    response = raised(client, monkeypatch, error)
    document = problem(response)
    assert (document["status"], document["code"]) == (status, code)
    assert b"secret" not in response.content.lower()


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        utils.ProgrammingError("no such table"),
        utils.IntegrityError("task_event is append-only"),
        caused(utils.IntegrityError("check"), psycopg.errors.CheckViolation("check")),
        caused(utils.IntegrityError("check"), sqlite_error("SQLITE_CONSTRAINT_TRIGGER")),
        django_exceptions.ObjectDoesNotExist(),
    ],
    ids=lambda error: f"{type(error).__name__}",
)
def test_it_leaves_a_bug_unhandled(client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    with pytest.raises(type(error)):
        raised(client, monkeypatch, error)


def test_it_keeps_the_headers_of_an_error(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert raised(client, monkeypatch, exceptions.NotAuthenticated())["WWW-Authenticate"] == "Bearer"
    assert raised(client, monkeypatch, exceptions.Throttled(wait=12.2))["Retry-After"] == "13"
    assert raised(client, monkeypatch, exceptions.Throttled())["Retry-After"] == "1"
    assert raised(client, monkeypatch, utils.OperationalError())["Retry-After"] == "1"
    assert raised(client, monkeypatch, Busy())["Retry-After"] == "7"
    assert "GET" in client.put("/x/")["Allow"]


def test_it_takes_title_detail_and_extras_from_a_domain_error(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    document = problem(raised(client, monkeypatch, Stale("It is at 7 now.", current_version=7, status=200, code="x")))
    assert document["title"] == "The thing has changed since you read it."
    assert document["detail"] == "It is at 7 now."
    assert document["current_version"] == 7
    assert (document["status"], document["code"]) == (412, "stale_version")
    assert problem(raised(client, monkeypatch, Stale()))["detail"] == document["title"]


def test_it_logs_what_is_our_fault_with_its_traceback(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="core.api.problems"):
        raised(client, monkeypatch, utils.OperationalError("gone"))
        raised(client, monkeypatch, Stale())
    [record] = [record for record in caplog.records if record.name == "core.api.problems"]
    assert record.exc_info


def test_it_flattens_nested_errors_into_dotted_paths(client: Client) -> None:
    body = {"sizes": [{"width": 1, "height": 1}, {"width": 0}], "tags": [1, "x"], "urgent": "perhaps"}
    document = problem(client.post("/x/", body, content_type="application/json"))  # type: ignore[arg-type]
    errors = {error["field"]: (error["code"], error["message"]) for error in document["errors"]}
    assert list(errors) == ["name", "urgent", "sizes.1.width", "sizes.1.height", "tags.1"]
    assert errors["sizes.1.width"][0] == "min_value"
    assert document["code"] == "invalid"
    assert document["detail"] == "name: This field is required. (4 more in `errors`)"


def test_it_puts_errors_of_the_whole_under_no_field(client: Client) -> None:
    document = problem(client.post("/x/", {"name": "both"}, content_type="application/json"))  # type: ignore[arg-type]
    assert document["errors"] == [{"field": "", "message": "Either this or that.", "code": "contradiction"}]
    assert document["detail"] == "Either this or that."


def test_it_refuses_unknown_read_only_and_hidden_fields_beside_other_errors(client: Client) -> None:
    body = {
        "name": "x" * 21,
        "nmae": "y",
        "banner_id": "1",
        "owner": "me",
        "sizes": [{"width": 1, "height": 1, "d": 2}],
    }
    document = problem(client.post("/x/", body, content_type="application/json"))  # type: ignore[arg-type]
    messages = {error["field"]: error["message"] for error in document["errors"]}
    assert messages.keys() == {"name", "nmae", "banner_id", "owner", "sizes.0.d"}
    assert messages["banner_id"] == "`banner_id` cannot be set here."
    assert messages["nmae"] == "Unknown field; known are: name, urgent, sizes, tags."
    assert messages["sizes.0.d"] == "Unknown field; known are: width, height."


def test_it_names_a_few_of_very_many_unknown_fields(client: Client) -> None:
    body = {"name": "x", **{f"k{n}": n for n in range(5_000)}}
    response = client.post("/x/", body, content_type="application/json")
    assert len(problem(response)["errors"]) == 20  # type: ignore[arg-type]


def test_it_would_have_dropped_unknown_fields_silently_with_a_stock_serializer() -> None:
    """The control."""

    class Lenient(serializers.Serializer[Any]):
        name = serializers.CharField()

    lenient = Lenient(data={"name": "x", "status": "completed"})
    assert lenient.is_valid()
    assert lenient.validated_data == {"name": "x"}


def test_it_reads_an_empty_form_as_nothing_given() -> None:
    strict = Banner(data=QueryDict("", mutable=True))
    assert not strict.is_valid()
    assert list(strict.errors) == ["name"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("nmae=x", "nmae"),
        ("name=x&name=y", "name"),
        ("name=%00", "name"),
        ("name=a%00b", "name"),
        ("status=on&status=perhaps", "status.1"),
        ("urgent=2", "urgent"),
        ("urgent=", "urgent"),
        ("name=", "name"),
    ],
)
def test_it_refuses_a_bad_query_and_names_the_parameter(client: Client, query: str, field: str) -> None:
    document = problem(client.get(f"/x/?{query}"))  # type: ignore[arg-type]
    assert (document["status"], document["errors"][0]["field"]) == (400, field)


def test_it_reads_a_good_query(client: Client) -> None:
    answer = json.loads(client.get("/x/?urgent=true&status=on&status=off&limit=5&cursor=abc").content)
    assert answer == {"urgent": True, "status": ["on", "off"]}
    assert json.loads(client.get("/x/").content) == {}


def test_it_answers_a_problem_even_to_who_wants_html(client: Client) -> None:
    document = problem(client.get("/x/", headers={"Accept": "text/html"}))  # type: ignore[arg-type]
    assert document["code"] == "not_acceptable"


def test_it_offers_the_same_document_outside_of_views() -> None:
    assert problem(problem_page(404, "not_found"))["title"].startswith("There is nothing here")
    assert problem_page(401, "not_authenticated")["WWW-Authenticate"] == "Bearer"
    assert problem(problem_page(599, "odd"))["title"] == "Error"


def test_it_writes_every_moment_in_utc_with_its_microseconds() -> None:
    berlin = timezone(timedelta(hours=2))
    written = json.loads(
        dumps(
            {
                "utc": datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC),
                "summer": datetime(2026, 7, 1, 1, 30, tzinfo=berlin),
                "day": date(2026, 1, 31),
                "amount": Decimal("1.10"),
                "id": UUID(int=1),
                "lazy": gettext_lazy("Yes"),
                Colour.RED: Colour.RED,
            }
        )
    )
    assert written == {
        "utc": "2026-01-31T12:00:00.123456Z",
        "summer": "2026-06-30T23:30:00Z",
        "day": "2026-01-31",
        "amount": "1.10",
        "id": "00000000-0000-0000-0000-000000000001",
        "lazy": "Yes",
        "red": "red",
    }


class Colour(models.TextChoices):
    RED = "red"


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), object(), b"bytes", SimpleNamespace(), "\ud800"])  # noqa: DTZ001
def test_it_refuses_to_write_what_has_no_one_meaning(value: object) -> None:
    with pytest.raises(TypeError):
        dumps({"value": value})


def test_it_renders_no_data_as_no_bytes() -> None:
    assert JSONRenderer().render(None) == b""


def test_it_marks_the_transaction_for_rollback(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[bool] = []
    monkeypatch.setattr("rest_framework.views.set_rollback", lambda: marked.append(True))
    assert problem_handler(Stale(), {"request": HttpRequest()}) is not None
    assert problem_handler(KeyError(), {"request": HttpRequest()}) is None
    assert marked == [True]
