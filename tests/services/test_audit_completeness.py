"""Whatever changes a task leaves an event, its outbox row and an audit entry that say who did it, from where, under
which correlation id, and why: here by services, timers and commands. By the other doors: tests/api/test_trail_by_api.py
and tests/admin/test_trail_by_console.py.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from auditlog.models import LogEntry
from django.core.management import call_command

from core import clock
from tasks_app import jobs, services, writing
from tasks_app.actors import Actor, system_actor
from tasks_app.models import HumanTask, SealedDetail, TaskType, User
from tasks_app.services import Decision, NewTask
from tests.cast import NewTaskFactory
from tests.watch import Watch

WHY = "because the buyer asked"


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
    "return_stranded": ("system", True, lambda who, _w, held: _deactivate_and_return(_holder(held), who)),
}
# What changes the configuration of time is audited as configuration is (tests/services/test_sla_policies.py).
NOT_VERBS = {
    "Decision",
    "NewTask",
    "StepSpec",
    "follow_limit",
    "apply_changes",
    "note_reason",
    "note_type_changed",
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


def _deactivate_and_return(holder: User, who: Actor) -> None:
    User.objects.filter(pk=holder.pk).update(is_active=False)
    services.return_stranded(who)


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


def test_a_decision_in_a_persons_name_says_who_sent_it_and_whose_it_is(
    make_task: NewTaskFactory, worker_bot: Actor, ana: Actor
) -> None:
    task = make_task()
    with Watch() as watch:
        services.decide_task(task.pk, worker_bot, Decision("approved"), resolved_by="ana")
    watch.check(worker_bot.user, address="127.0.0.1", correlation_id="test")
    assert {event.on_behalf_of for event in watch.events} == {ana.user}


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
