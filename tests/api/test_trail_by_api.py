"""Every accepted call leaves its events, each with its outbox row and its audit entry: who, from where, under which
correlation id, and why. A forged address is never recorded.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import override_settings

from tasks_app import services
from tasks_app.actors import Actor
from tasks_app.api.urls import urlpatterns
from tasks_app.models import TaskType, User
from tests.api.conftest import TASKS, ClientFactory
from tests.cast import NewTaskFactory
from tests.watch import Watch

WHY = "because the buyer asked"

# URL name -> who, body; on a waiting task, or on one that ana works on. Every address of the API has to be here.
HELD, READ_ONLY = True, None
DOORS: dict[str, tuple[str, bool, dict[str, Any]] | None] = {
    "tasks": ("bot", False, {"task_type": "creative_approval", "principal_id": "acme_corp"}),
    "task-batch": ("bot", False, {"items": [{"task_type": "creative_approval", "principal_id": "acme_corp"}] * 2}),
    "claim-next": ("ana", False, {}),
    "claim": ("ana", False, {}),
    "start": ("ana", HELD, {}),
    "assign": ("sam", False, {"assigned_to": "ana", "reason": WHY}),
    "complete": ("ana", False, {"resolution": "approved"}),
    "hand-over": ("ana", HELD, {"to": "sam", "note": WHY}),
    "release": ("ana", HELD, {"reason": WHY}),
    "route": ("sam", False, {"team": "compliance", "reason": WHY}),
    "hold": (
        "ana",
        HELD,
        {"reason": WHY, "follow_up_at": f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"},
    ),
    "resume": ("ana", HELD, {"reason": WHY}),
    "extend": (
        "ana",
        HELD,
        {"reason": WHY, "until": f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}"},
    ),
    "escalate": ("ana", HELD, {"reason": WHY}),
    "withdraw": ("bot", False, {"reason": WHY}),
    "comment": ("bot", False, {"text": WHY}),
    "reveal": ("sam", False, {"placeholder": "[email 1]", "reason": WHY}),
    "pending-tasks": READ_ONLY,
    "task": READ_ONLY,
    "task-events": READ_ONLY,
    "feed": READ_ONLY,
    "clock": READ_ONLY,
    "metrics-summary": READ_ONLY,
}


def _knock(api: ClientFactory, door: str, task_id: str, **headers: Any) -> Any:
    row = DOORS[door]
    assert row is not None
    who, _held, body = row
    path = {"tasks": TASKS, "claim-next": f"{TASKS}claim-next/", "task-batch": f"{TASKS}batch/"}.get(
        door, f"{TASKS}{task_id}/{door}/"
    )
    return api(who).post(path, body, **headers)


def test_it_knows_every_door_of_the_api() -> None:
    assert {pattern.name for pattern in urlpatterns} == set(DOORS)


@pytest.mark.parametrize("door", [name for name, row in DOORS.items() if row])
def test_every_door_of_the_api_leaves_its_event_and_audit_entry(
    api: ClientFactory, make_task: NewTaskFactory, ana: Actor, door: str
) -> None:
    row = DOORS[door]
    assert row is not None
    TaskType.objects.update(expires_after_hours=24)
    task = make_task(error_detail="mail jane@acme.example")
    if row[1] is HELD:
        services.claim_task(task.pk, ana)
    if door == "resume":
        services.hold_task(task.pk, ana, reason="waits", follow_up_at=datetime.now(UTC) + timedelta(days=1))
    headers: Any = {"HTTP_X_CORRELATION_ID": "from-the-caller", "REMOTE_ADDR": "198.51.100.7"}
    with Watch() as watch:
        response = _knock(api, door, task.pk, **headers)
    assert response.status_code in (200, 201), response.content
    watch.check(User.objects.get(username=row[0]), address="198.51.100.7", correlation_id="from-the-caller")
    if row[2].keys() & {"reason", "text", "note"}:
        assert all(WHY in event.reason for event in watch.events)


def test_the_console_session_is_recorded_like_a_token(
    api: ClientFactory, make_task: NewTaskFactory, people: dict[str, User]
) -> None:
    task, client = make_task(), api()
    client.force_login(people["ana"])
    with Watch() as watch:
        assert client.post(f"{TASKS}{task.pk}/claim/", {}).status_code == 200
    watch.check(people["ana"], address="127.0.0.1", correlation_id=None)
    assert all(entry.cid for entry in watch.entries.values() if entry.object_pk == task.pk)


def test_a_refused_call_leaves_nothing(api: ClientFactory, make_task: NewTaskFactory) -> None:
    task = make_task()
    with Watch() as watch:
        assert api("bot").post(f"{TASKS}{task.pk}/claim/", {}).status_code == 403
        assert api("zoe").post(f"{TASKS}{task.pk}/claim/", {}).status_code == 404
        assert api("ana").post(f"{TASKS}{task.pk}/claim/", {}, HTTP_IF_MATCH='"7"').status_code == 412
    assert (watch.events, watch.added) == ([], 0)


FORGED = [
    "6.6.6.6",
    "127.0.0.1",
    "6.6.6.6, 7.7.7.7",
    "6.6.6.6,198.51.100.7",
    "6.6.6.6, 10.0.0.1",
    "::1",
    "::ffff:6.6.6.6",
    "[::1]:443",
    "6.6.6.6:80",
    "unknown",
    "_hidden",
    "",
    ",",
    ",,,,",
    "6.6.6.6;7.7.7.7",
    "for=6.6.6.6",
    "0x7f000001",
    "999.999.999.999",
    "6.6.6.6\t",
    "' OR 1=1 --",
    "fe80::1%eth0",
    "9" * 300,
]


def _recorded(task_id: str) -> set[str | None]:
    return set(LogEntry.objects.filter(object_pk=task_id).values_list("remote_addr", flat=True))


def test_a_forged_forwarded_for_is_never_recorded(api: ClientFactory, people: dict[str, User]) -> None:
    assert len(FORGED) >= 20
    bot, body = api("bot"), {"task_type": "creative_approval", "principal_id": "acme_corp"}
    for forged in FORGED:
        headers: Any = {"HTTP_X_FORWARDED_FOR": forged, "HTTP_X_REAL_IP": "6.6.6.6", "HTTP_FORWARDED": "for=6.6.6.6"}
        response = bot.post(TASKS, body, REMOTE_ADDR="198.51.100.7", **headers)
        assert response.status_code == 201, (forged, response.content)
        assert _recorded(response.json()["task_id"]) == {"198.51.100.7"}, forged


@override_settings(HITL_TRUSTED_PROXIES=["127.0.0.1", "10.0.0.0/8"])
@pytest.mark.parametrize("forged", FORGED)
def test_behind_a_trusted_proxy_only_what_the_proxy_wrote_is_recorded(
    api: ClientFactory, people: dict[str, User], forged: str
) -> None:
    """The proxy appends the address that it saw; whatever the caller wrote stands before it."""
    headers: Any = {"HTTP_X_FORWARDED_FOR": f"{forged}, 203.0.113.5, 10.0.0.3", "REMOTE_ADDR": "127.0.0.1"}
    response = api("bot").post(TASKS, {"task_type": "creative_approval", "principal_id": "acme_corp"}, **headers)
    assert response.status_code == 201, response.content
    assert _recorded(response.json()["task_id"]) == {"203.0.113.5"}


@override_settings(HITL_TRUSTED_PROXIES=["127.0.0.1"])
@pytest.mark.parametrize("seen", FORGED)
def test_whatever_stands_in_the_header_is_no_server_error(
    api: ClientFactory, people: dict[str, User], seen: str
) -> None:
    """A proxy that passes the header on as it came, which is a mistake, still breaks nothing."""
    headers: Any = {"HTTP_X_FORWARDED_FOR": seen, "REMOTE_ADDR": "127.0.0.1"}
    response = api("bot").post(TASKS, {"task_type": "creative_approval", "principal_id": "acme_corp"}, **headers)
    assert response.status_code == 201, response.content


@pytest.mark.parametrize("offered", ["x" * 300, "a b", "\n", "<script>", "é", "", "a" * 65])
def test_a_strange_correlation_id_is_replaced(api: ClientFactory, people: dict[str, User], offered: str) -> None:
    body = {"task_type": "creative_approval", "principal_id": "acme_corp"}
    response = api("bot").post(TASKS, body, HTTP_X_CORRELATION_ID=offered)
    assert response.status_code == 201, response.content
    entry = LogEntry.objects.get(object_pk=response.json()["task_id"])
    assert entry.cid == response["X-Correlation-ID"]
    assert entry.cid != offered
