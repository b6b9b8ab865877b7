"""The OpenAPI document and the table of error codes: complete, without warnings, and what the API really does."""

import importlib
import inspect
import io
import pkgutil
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.management import call_command
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator
from rest_framework import exceptions

from core import clock
from core.api import problems
from core.errors import HitlError
from tasks_app import events
from tasks_app.models import TaskType
from tests.api.conftest import TASKS, ClientFactory
from tests.api.matrix import ENTRIES, operations
from tests.api.test_tasks import Opened

MISSION: Final = {
    ("post", "/api/v1/tasks/"): "create_human_task",
    ("get", "/api/v1/tasks/pending/"): "get_pending_tasks",
    ("post", "/api/v1/tasks/{task_id}/assign/"): "assign_task",
    ("post", "/api/v1/tasks/{task_id}/complete/"): "complete_task",
}
ERRORS: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "errors.md"
# Never leave by the API: bases, and errors that a service turns into another one before it answers.
INTERNAL: Final = frozenset({"error", "task_error", "unsafe_url", "outbound", "invalid_secret", "invalid_signature"})
UNKNOWN: Final = "task_" + "0" * 32


def whole_document() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    with GENERATOR_STATS.silence():
        return whole_document()


def described(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def check(document: dict[str, Any], operation: dict[str, Any], status: int, body: Any) -> list[str]:
    """What is wrong with an answer by the document, and which of its members the document does not know."""
    content = operation["responses"][str(status)]["content"]
    (media,) = content.values()
    schema = {"$ref": "#/answer", "answer": media["schema"], "components": document["components"]}
    validator = Draft202012Validator(closed(schema), format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(body)]


def closed(schema: Any) -> Any:
    """The schema with every described object closed, so that an undocumented member is an error."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(part) for name, part in schema.items()}
    if schema.get("type") == "object" and "properties" in schema and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made


def test_it_is_generated_without_a_warning() -> None:
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=io.StringIO())


def test_it_names_the_missions_operations(document: dict[str, Any]) -> None:
    names = {key: operation["operationId"] for key, operation in described(document).items()}
    assert {key: names.get(key) for key in MISSION} == MISSION
    assert len(set(names.values())) == len(names)
    assert "get" in document["paths"]["/api/v1/tasks/{task_id}/"]


def test_it_describes_every_route(document: dict[str, Any]) -> None:
    served = {
        (method.lower(), f"/api/v1/{route}".replace("<str:", "{").replace(">", "}")) for method, route in operations()
    }
    assert set(described(document)) == served


def test_it_describes_401_400_and_the_headers_of_changes(document: dict[str, Any]) -> None:
    for (method, path), operation in described(document).items():
        assert "401" in operation["responses"], path
        assert operation.get("security"), f"{path} is described as open to all"
        headers = {p["name"] for p in operation.get("parameters", []) if p["in"] == "header"}
        if method == "post" and "/webhook-endpoints/{endpoint_id}/test/" not in path:
            assert "Idempotency-Key" in headers, path
        if method == "post" and path.startswith("/api/v1/tasks/{task_id}/"):
            assert "If-Match" in headers, path


@pytest.mark.django_db
def test_it_answers_401_on_every_private_route() -> None:
    client = Client()
    for method, route in operations():
        path = "/api/v1/" + route.replace("<str:task_id>", UNKNOWN).replace("<str:", "").replace(">", "")
        response = client.generic(method, path, b"{}", content_type="application/json")
        assert response.status_code == 401, path
        assert response["Content-Type"] == "application/problem+json"
        assert response["WWW-Authenticate"] == "Bearer"
        assert response.json()["code"] == "not_authenticated"


def test_it_leaves_only_the_schema_and_its_page_open(client: Client) -> None:
    for path, status in (("/api/schema/", 200), ("/api/docs/", 200), ("/api/", 404), ("/api/v1/", 404)):
        assert client.get(path).status_code == status
        assert client.options(path).status_code == (405 if status == 200 else 404)


def test_its_document_is_the_same_whatever_is_asked(client: Client) -> None:
    client.raise_request_exception = False
    plain = client.get("/api/schema/")
    for query in ("version=a%0d%0aX:%20y", "version=2", "lang=de", "lang=%00", "lang=x"):
        asked = client.get(f"/api/schema/?{query}")
        assert (asked.status_code, asked.content) == (200, plain.content), query
        assert asked["Content-Disposition"] == plain["Content-Disposition"]


@pytest.mark.django_db
def test_its_answers_are_what_the_document_says(document: dict[str, Any], api: ClientFactory, opened: Opened) -> None:
    bot, ana, sam = api("bot"), api("ana"), api("sam")
    task = opened(error_detail="ask ops@acme.example", context_data={"size": "300x250"}, due_in_hours=2)["task_id"]
    second = opened()["task_id"]
    TaskType.objects.filter(pk="creative_approval").update(expires_after_hours=99)
    events.assign_positions()
    one = "/api/v1/tasks/{task_id}/"
    calls: list[tuple[str, Any, int]] = [
        ("post /api/v1/tasks/", bot.post(TASKS, {"task_type": "manual_approval", "principal_id": "acme_corp"}), 201),
        (
            "post /api/v1/tasks/batch/",
            bot.post(f"{TASKS}batch/", {"items": [{"task_type": "manual_approval", "principal_id": "acme_corp"}]}),
            201,
        ),
        ("get /api/v1/tasks/", bot.get(f"{TASKS}?limit=1"), 200),
        ("get /api/v1/tasks/pending/", ana.get(f"{TASKS}pending/"), 200),
        (f"get {one}", ana.get(f"{TASKS}{task}/"), 200),
        ("post /api/v1/tasks/claim-next/", ana.post(f"{TASKS}claim-next/", {}), 200),
        (f"post {one}start/", ana.post(f"{TASKS}{task}/start/", {}), 200),
        (f"post {one}release/", ana.post(f"{TASKS}{task}/release/", {}), 200),
        (f"post {one}claim/", ana.post(f"{TASKS}{task}/claim/", {}), 200),
        (f"post {one}comment/", ana.post(f"{TASKS}{task}/comment/", {"text": "on it"}), 201),
        (
            f"post {one}hand-over/",
            ana.post(f"{TASKS}{task}/hand-over/", {"to": "sam", "note": "you know them"}),
            200,
        ),
        (f"post {one}escalate/", sam.post(f"{TASKS}{task}/escalate/", {"reason": "late"}), 200),
        (f"post {one}assign/", sam.post(f"{TASKS}{task}/assign/", {"assigned_to": "ana"}), 200),
        (
            f"post {one}hold/",
            ana.post(
                f"{TASKS}{task}/hold/",
                {"reason": "asked", "follow_up_at": f"{clock.now() + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"},
            ),
            200,
        ),
        (
            f"post {one}extend/",
            ana.post(f"{TASKS}{task}/extend/", {"until": f"{clock.now() + timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}"}),
            200,
        ),
        (f"get {one}clock/", bot.get(f"{TASKS}{task}/clock/"), 200),
        (f"post {one}resume/", ana.post(f"{TASKS}{task}/resume/", {"reason": "answered"}), 200),
        (f"post {one}reveal/", sam.post(f"{TASKS}{task}/reveal/", {"placeholder": "[email 1]", "reason": "ask"}), 200),
        (f"post {one}complete/", ana.post(f"{TASKS}{task}/complete/", {"resolution": "approved"}), 200),
        (f"post {one}route/", sam.post(f"{TASKS}{second}/route/", {"team": "compliance"}), 200),
        (f"post {one}withdraw/", bot.post(f"{TASKS}{second}/withdraw/", {"reason": "moot"}), 200),
        (f"get {one}events/", bot.get(f"{TASKS}{task}/events/"), 200),
        ("get /api/v1/events/", bot.get("/api/v1/events/?limit=1"), 200),
        (f"post {one}claim/", ana.post(f"{TASKS}{task}/claim/", {}), 409),
        (f"post {one}claim/", bot.post(f"{TASKS}{task}/claim/", {}), 403),
        (f"get {one}", bot.get(f"{TASKS}{UNKNOWN}/"), 404),
        (f"post {one}withdraw/", bot.post(f"{TASKS}{task}/withdraw/", {}, headers={"If-Match": '"1"'}), 412),
        ("post /api/v1/tasks/", bot.post(TASKS, {"task_type": "x"}), 400),
        ("get /api/v1/tasks/", bot.get(f"{TASKS}?limit=0"), 400),
        ("get /api/v1/tasks/", api().get(TASKS), 401),
    ]
    by_key = {f"{method} {path}": operation for (method, path), operation in described(document).items()}
    for key, response, status in calls:
        assert response.status_code == status, f"{key}: {response.content!r}"
        assert check(document, by_key[key], status, response.json()) == [], key
    answered = {key for key, _response, status in calls if status < 300}
    assert answered == {key for key in by_key if key.split()[1].startswith(("/api/v1/tasks/", "/api/v1/events/"))}


@pytest.mark.django_db
def test_its_check_finds_an_undocumented_or_a_missing_member(
    document: dict[str, Any], api: ClientFactory, opened: Opened
) -> None:
    body = api("bot").get(f"{TASKS}{opened()['task_id']}/").json()
    operation = document["paths"]["/api/v1/tasks/{task_id}/"]["get"]
    assert check(document, operation, 200, body) == []
    assert check(document, operation, 200, {**body, "similarity_key": "x"})
    assert check(document, operation, 200, {key: value for key, value in body.items() if key != "team"})
    assert check(document, operation, 200, {**body, "priority": 3})


def test_it_has_no_entry_for_what_is_not_served() -> None:
    assert set(ENTRIES) <= set(operations())


# -- error codes


@cache
def documented_codes() -> dict[str, int]:
    """code -> status, as docs/errors.md says."""
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", ERRORS.read_text(), re.MULTILINE)
    assert len(dict(rows)) == len(rows), "a code is documented twice"
    return {code: int(status) for code, status in rows}


def codes_in_the_code() -> Iterator[tuple[str, int]]:
    for name in ("core", "tasks_app", "notifications"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)
    waiting: list[type[HitlError]] = [HitlError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.code not in INTERNAL and not error.__module__.startswith("tests."):
            yield error.code, error.status
    for kind in (
        exceptions.NotAuthenticated, exceptions.AuthenticationFailed, exceptions.PermissionDenied, exceptions.NotFound,
        exceptions.MethodNotAllowed, exceptions.NotAcceptable, exceptions.UnsupportedMediaType, exceptions.Throttled,
    ):  # fmt: skip
        yield kind.default_code, kind.status_code
    for module_name in ("core.api.problems", "core.api.parser", "hitl.errors", "hitl.middleware"):
        source = inspect.getsource(importlib.import_module(module_name))
        yield from (
            (code, int(status)) for status, code in re.findall(r'(?:Problem|problem_page)\(\s*(\d{3}), "(\w+)"', source)
        )
    yield "malformed_json", 400


def test_it_documents_every_code_with_its_status() -> None:
    assert dict(codes_in_the_code()) == documented_codes()


def test_it_has_a_title_for_every_code() -> None:
    own = {error for error, _status in codes_in_the_code()} - set(problems._TITLES)
    titled = {error.code for error in subclasses(HitlError)} | {"server_error"}
    assert own <= titled


def subclasses(kind: type[HitlError]) -> Iterator[type[HitlError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)
