"""Nothing internal can be set from outside: every writing operation times every column of a task."""

from typing import Any, Final

import pytest

from tasks_app.models import HumanTask, TaskEvent
from tests.api.conftest import TASKS, ClientFactory
from tests.api.matrix import ENTRIES
from tests.api.test_tasks import Opened, problem

# What a body may hold, written down by hand: anything else of the task's columns must be refused.
ALLOWED: Final[dict[str, frozenset[str]]] = {
    "create": frozenset(
        {
            *("task_type", "principal_id", "adapter_name", "priority", "media_buy_id", "creative_id", "operation"),
            *("error_detail", "context_data", "due_in_hours", "due_by", "dedup_key", "follows"),
        }
    ),
    "assign": frozenset({"assigned_to", "reason"}),
    "complete": frozenset({"resolution", "resolution_detail", "modifications", "resolved_by"}),
    "claim": frozenset(),
    "start": frozenset(),
    "hand-over": frozenset({"to", "note"}),
    "release": frozenset({"reason"}),
    "route": frozenset({"team", "reason"}),
    "escalate": frozenset({"reason"}),
    "hold": frozenset({"reason", "follow_up_at"}),
    "extend": frozenset({"until", "reason"}),
    "resume": frozenset({"reason"}),
    "withdraw": frozenset({"reason"}),
    "comment": frozenset({"text"}),
    "reveal": frozenset({"placeholder", "reason"}),
    "claim-next": frozenset({"task_type", "principal_id"}),
    "batch": frozenset({"items"}),
}
VALID: Final[dict[str, dict[str, Any]]] = {
    "create": {"task_type": "creative_approval", "principal_id": "acme_corp"},
    "batch": {"items": [{"task_type": "creative_approval", "principal_id": "acme_corp"}]},
    "assign": {"assigned_to": "ana"},
    "complete": {"resolution": "approved"},
    "route": {"team": "compliance"},
    "comment": {"text": "seen"},
    "hand-over": {"to": "ana", "note": "you know them"},
    "hold": {"reason": "asked", "follow_up_at": "2026-12-31T12:00:00Z"},
    "extend": {"until": "2026-12-31T12:00:00Z"},
    "reveal": {"placeholder": "[email 1]", "reason": "to ask"},
}
# Names that other systems would take: of users, of REST framework, of Python and of JavaScript.
TEMPTING: Final = (
    *("id", "pk", "actor", "user", "is_superuser", "is_staff", "scopes", "principals", "allowed_actions"),
    *("expected_version", "__class__", "__proto__", "constructor", "_state", "snapshot", "hash", "context_data__x"),
)


def internal_names() -> set[str]:
    fields = HumanTask._meta.concrete_fields
    return {field.name for field in fields} | {field.attname for field in fields}


CASES: Final = [
    (operation, name)
    for operation, allowed in ALLOWED.items()
    for name in sorted((internal_names() | set(TEMPTING)) - allowed)
]


def test_it_knows_every_writing_operation_on_tasks() -> None:
    writing = {route.split("/")[-2] for method, route in ENTRIES if method == "POST" and route.startswith("tasks/")}
    assert writing - {"tasks"} | {"create"} == set(ALLOWED)


def test_it_checks_enough() -> None:
    assert len([case for case in CASES if case[1] in internal_names()]) >= 300


@pytest.mark.django_db
@pytest.mark.parametrize("operation", ALLOWED)
def test_it_refuses_every_field_that_is_not_the_callers_to_set(
    operation: str, api: ClientFactory, opened: Opened, settings: Any
) -> None:
    settings.HITL_RATE_LIMIT = 0
    task = opened(error_detail="ask ops@acme.example")["task_id"]
    client = api("bot" if operation in ("create", "batch") else "sam")
    path = {"create": TASKS, "claim-next": f"{TASKS}claim-next/", "batch": f"{TASKS}batch/"}.get(
        operation, f"{TASKS}{task}/{operation}/"
    )
    events = TaskEvent.objects.count()
    values = ("completed", 7, None, True, {"a": 1})
    for number, name in enumerate(field for kind, field in CASES if kind == operation):
        body = {**VALID.get(operation, {}), name: values[number % len(values)]}
        errors = problem(client.post(path, body), 400, "invalid")["errors"]
        assert [error["field"] for error in errors if error["code"] in ("unknown", "read_only")] == [name]
    assert (TaskEvent.objects.count(), HumanTask.objects.count()) == (events, 1)


@pytest.mark.django_db
def test_its_check_fails_where_serializers_drop_what_they_do_not_know(
    api: ClientFactory, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.api.serializers.StrictSerializer._unexpected", lambda self, names: {})
    client = api("bot")
    accepted = [
        name
        for kind, name in CASES
        if kind == "create" and client.post(TASKS, {**VALID["create"], name: "completed"}).status_code == 201
    ]
    assert "status" in accepted
    assert len(accepted) == len([case for case in CASES if case[0] == "create"])
