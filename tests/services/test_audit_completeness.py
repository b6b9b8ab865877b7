"""Whatever changes a task, through whichever door, leaves an event, its outbox row and an audit entry that say who did
it, from where, under which correlation id, and why.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from auditlog.models import LogEntry
from django.core.management import call_command
from django.test import override_settings

from core import clock
from tasks_app import jobs, services, writing
from tasks_app.actors import Actor, system_actor
from tasks_app.api.urls import urlpatterns
from tasks_app.models import EventOutbox, HumanTask, SealedDetail, TaskEvent, TaskType, User
from tasks_app.services import Decision, NewTask
from tests.api.conftest import TASKS, ClientFactory, api, opened
from tests.cast import NewTaskFactory

__all__ = ["api", "opened"]  # fixtures

WHY = "because the buyer asked"


class Watch:
    """What a block left behind: its new events, each with its one outbox row and its one audit entry."""

    def __enter__(self) -> "Watch":
        self._before = set(TaskEvent.objects.values_list("pk", flat=True))
        self._audited = LogEntry.objects.filter(object_pk__startswith="task_").count()
        return self

    def __exit__(self, *_error: object) -> None:
        self.events = list(TaskEvent.objects.exclude(pk__in=self._before).order_by("task_id", "seq"))
        entries = LogEntry.objects.filter(object_pk__startswith="task_")
        self.added = entries.count() - self._audited
        self.entries = {entry.additional_data["event_id"]: entry for entry in entries}

    def check(self, user: User, *, address: str | None, correlation_id: str | None) -> None:
        assert self.events, "it left no event"
        assert self.added == len(self.events)
        assert EventOutbox.objects.filter(event__in=self.events).count() == len(self.events)
        for event in self.events:
            entry = self.entries[event.pk]
            assert event.actor_id == entry.actor_id == user.pk
            assert (entry.object_pk, entry.timestamp) == (event.task_id, event.at)
            assert entry.additional_data == {"event_id": event.pk, "type": event.type, "reason": event.reason}
            assert entry.remote_addr == address
            assert entry.cid == correlation_id if correlation_id else entry.cid


@pytest.fixture
def held(make_task: NewTaskFactory, ana: Actor) -> HumanTask:
    """A task that ana works on, with something sealed."""
    task = make_task(error_detail="mail jane@acme.example")
    services.claim_task(task.pk, ana)
    return services.start_task(task.pk, ana)


# Verb -> who, and the call with the waiting and the held task. Every name that the services export has to be here.
Call = Callable[[Actor, HumanTask, HumanTask], object]
VERBS: dict[str, tuple[str, bool, Call]] = {
    "open_tasks": (
        "bot",
        False,
        lambda who, _w, _h: services.open_tasks([NewTask("creative_approval", "acme_corp")] * 2, who),
    ),
    "open_task": ("bot", False, lambda who, _w, _h: services.open_task(NewTask("creative_approval", "acme_corp"), who)),
    "claim_task": ("ana", False, lambda who, waiting, _h: services.claim_task(waiting.pk, who)),
    "claim_next_task": ("ana", False, lambda who, _w, _h: services.claim_next_task(who)),
    "start_task": ("ana", False, lambda who, waiting, _h: _claim_and_start(waiting, who)),
    "assign_task": (
        "sam",
        True,
        lambda who, waiting, _h: services.assign_task(waiting.pk, who, assigned_to="ana", reason=WHY),
    ),
    "release_task": ("ana", True, lambda who, _w, held: services.release_task(held.pk, who, reason=WHY)),
    "route_task": (
        "sam",
        True,
        lambda who, waiting, _h: services.route_task(waiting.pk, who, team="compliance", reason=WHY),
    ),
    "escalate_task": ("ana", True, lambda who, _w, held: services.escalate_task(held.pk, who, reason=WHY)),
    "withdraw_task": ("bot", True, lambda who, waiting, _h: services.withdraw_task(waiting.pk, who, reason=WHY)),
    "comment_on_task": ("ana", True, lambda who, waiting, _h: services.comment_on_task(waiting.pk, who, WHY)),
    "resolve_task": (
        "ana",
        True,
        lambda who, _w, held: services.resolve_task(held.pk, who, Decision("rejected", WHY)),
    ),
    "decide_task": ("ana", False, lambda who, waiting, _h: services.decide_task(waiting.pk, who, Decision("approved"))),
    "reveal_detail": (
        "sam",
        True,
        lambda who, _w, held: services.reveal_detail(held.pk, who, placeholder=_sealed(held), reason=WHY),
    ),
    "erase_details": ("root", True, lambda who, _w, held: services.erase_details(held.pk, who, reason=WHY)),
    "expire_task": ("system", True, lambda who, waiting, _h: services.expire_task(waiting.pk, who)),
    "hold_task": (
        "ana",
        True,
        lambda who, _w, held: services.hold_task(held.pk, who, reason=WHY, follow_up_at=_soon()),
    ),
    "resume_task": ("ana", True, lambda who, _w, held: _hold_and_resume(held, who)),
    "extend_task": (
        "ana",
        True,
        lambda who, _w, held: services.extend_task(held.pk, who, until=_soon(), reason=WHY),
    ),
    "change_priority": (
        "sam",
        True,
        lambda who, waiting, _h: services.change_priority(waiting.pk, who, priority=4, reason=WHY),
    ),
    "hand_over_task": (
        "ana",
        True,
        lambda who, _w, held: services.hand_over_task(held.pk, who, to="sam", note=WHY),
    ),
    "put_back_task": ("ana", False, lambda who, waiting, _h: _claim_and_put_back(waiting, who)),
    "skip_task": ("ana", True, lambda who, waiting, _h: services.skip_task(waiting.pk, who, reason=WHY)),
    "stage_decision": (
        "ana",
        True,
        lambda who, _w, held: services.stage_decision(held.pk, who, Decision("rejected", WHY)),
    ),
    "take_back_decision": ("ana", True, lambda who, _w, held: _stage_and_take_back(held, who)),
    "return_tasks_of": (
        "system",
        True,
        lambda who, _w, held: services.return_tasks_of(_holder(held), who, reason="ana left the team"),
    ),
}
# What changes the configuration of time is audited as configuration is (tests/services/test_sla_policies.py).
NOT_VERBS = {
    "Decision",
    "NewTask",
    "StepSpec",
    "follow_limit",
    "apply_changes",
    "note_reason",
    "recompute_open_tasks",
    "save_calendar",
    "save_policy",
}


def _claim_and_put_back(task: HumanTask, who: Actor) -> None:
    services.claim_task(task.pk, who)
    services.put_back_task(task.pk, who)


def _claim_and_start(task: HumanTask, who: Actor) -> None:
    services.claim_task(task.pk, who)
    services.start_task(task.pk, who)


def _soon() -> datetime:
    return clock.now() + timedelta(days=30)


def _hold_and_resume(task: HumanTask, who: Actor) -> None:
    services.hold_task(task.pk, who, reason=WHY, follow_up_at=_soon())
    services.resume_task(task.pk, who, reason=WHY)


def _stage_and_take_back(task: HumanTask, who: Actor) -> None:
    services.stage_decision(task.pk, who, Decision("approved"))
    services.take_back_decision(task.pk, who)


def _sealed(task: HumanTask) -> str:
    return str(SealedDetail.objects.get(task=task).placeholders[0])


def _holder(task: HumanTask) -> User:
    assert task.assigned_to is not None
    return task.assigned_to


def test_it_knows_every_verb_of_the_services() -> None:
    assert set(VERBS) | NOT_VERBS >= set(services.__all__)


@pytest.mark.parametrize("verb", VERBS)
def test_every_service_leaves_its_event_and_audit_entry(
    make_task: NewTaskFactory, held: HumanTask, request: pytest.FixtureRequest, verb: str
) -> None:
    who, with_reason, call = VERBS[verb]
    TaskType.objects.update(expires_after_hours=24)
    waiting = make_task()
    user = User.objects.get(username=who)
    actor = system_actor("sweep-1") if who == "system" else _from(request.getfixturevalue(who))
    with Watch() as watch:
        call(actor, waiting, HumanTask.objects.get(pk=held.pk))
    watch.check(user, address=actor.address, correlation_id=actor.correlation_id)
    if with_reason:
        assert all(event.reason for event in watch.events)


def _from(actor: Actor) -> Actor:
    return Actor(actor.user, actor.scopes, actor.principals, address="203.0.113.9", correlation_id="one-request")


def test_it_would_notice_a_change_without_its_audit_entry(
    make_task: NewTaskFactory, ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    task = make_task()
    monkeypatch.setattr(writing, "write_by_statement", writing.write_by_table)
    monkeypatch.setattr(writing, "_audit", lambda _entries: None)
    with Watch() as watch:
        services.claim_task(task.pk, ana)
    with pytest.raises(AssertionError):
        watch.check(ana.user, address="127.0.0.1", correlation_id="test")


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
    "resume": READ_ONLY,  # refused unless held: tests/api/test_clock.py
    "extend": READ_ONLY,  # refused unless the type expires: tests/api/test_clock.py
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
    task = make_task(error_detail="mail jane@acme.example")
    if row[1] is HELD:
        services.claim_task(task.pk, ana)
    headers: Any = {"HTTP_X_CORRELATION_ID": "from-the-caller", "REMOTE_ADDR": "198.51.100.7"}
    with Watch() as watch:
        response = _knock(api, door, task.pk, **headers)
    assert response.status_code in (200, 201), response.content
    watch.check(User.objects.get(username=row[0]), address="198.51.100.7", correlation_id="from-the-caller")
    if row[2].keys() & {"reason", "text", "note"}:
        assert all(WHY in event.reason for event in watch.events)


def test_a_decision_in_a_persons_name_says_who_sent_it_and_whose_it_is(
    make_task: NewTaskFactory, worker_bot: Actor, ana: Actor
) -> None:
    task = make_task()
    with Watch() as watch:
        services.decide_task(task.pk, worker_bot, Decision("approved"), resolved_by="ana")
    watch.check(worker_bot.user, address="127.0.0.1", correlation_id="test")
    assert {event.on_behalf_of for event in watch.events} == {ana.user}


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


@pytest.mark.parametrize("expires", [None, 1])
def test_the_sweep_is_recorded_under_the_system_user(make_task: NewTaskFactory, expires: int | None) -> None:
    TaskType.objects.update(expires_after_hours=expires)
    tasks = [make_task(), make_task()]
    with time_machine.travel(clock.now() + timedelta(days=30)), Watch() as watch:
        jobs.sweep_timers()
    watch.check(User.objects.system(), address=None, correlation_id=None)
    assert {event.task_id for event in watch.events} == {task.pk for task in tasks}
    assert all(event.reason for event in watch.events)
    ids = {watch.entries[event.pk].cid for event in watch.events}
    assert len(ids) == 1, "one sweep, one correlation id"
    assert all(ids)


def test_the_demo_data_command_leaves_whole_trails(db: None, settings: Any, tmp_path: Any) -> None:
    settings.HITL_HOME = tmp_path
    with Watch() as watch:
        call_command("demo_data", verbosity=0)
    assert watch.events
    assert watch.added == len(watch.events)
    assert not LogEntry.objects.filter(object_pk__startswith="task_", actor=None).exists()


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
