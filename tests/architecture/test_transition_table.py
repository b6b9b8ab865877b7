"""One state machine, told four times: by the table in states.py, by django-fsm, by the database and by the docs."""

import re
from collections.abc import Callable
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction

from core import clock
from tasks_app import services
from tasks_app.actors import Actor, system_actor
from tasks_app.models import HumanTask, TaskEvent, TaskType, User
from tasks_app.services import Decision
from tasks_app.states import (
    ENDING,
    FINISHED,
    HELD,
    OPEN,
    TRANSITIONS,
    WAITING,
    EventType,
    Resolution,
    Status,
)
from tests.cast import NewTaskFactory

DOCUMENT = Path(settings.BASE_DIR) / "docs" / "state-machine.md"


def hold(task: HumanTask, who: Actor) -> object:
    return services.hold_task(task.pk, who, reason="waits for the buyer", follow_up_at=clock.now() + timedelta(days=1))


def edges_of_the_table() -> set[tuple[str, str, str]]:
    return {(row.name, str(source), str(row.target)) for row in TRANSITIONS.values() for source in row.sources}


def rows_of_the_document(heading: str) -> list[list[str]]:
    """The cells of the table whose header starts with `heading`."""
    lines = DOCUMENT.read_text().splitlines()
    start = lines.index(next(line for line in lines if line.startswith(f"| {heading} |")))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def named(cell: str) -> list[str]:
    return re.findall(r"`([a-z_.]+)`", cell)


def test_it_is_the_table_that_django_fsm_runs() -> None:
    collected = HumanTask._meta.get_field("status").get_all_transitions(HumanTask)
    assert {(row.name, str(row.source), str(row.target)) for row in collected} == edges_of_the_table()


def test_it_is_the_table_that_readers_see() -> None:
    documented = {
        (named(name)[0], source, named(target)[0])
        for name, sources, target, _who, _event in rows_of_the_document("transition")
        for source in named(sources)
    }
    assert documented == edges_of_the_table()
    events = {named(row[0])[0]: named(row[4])[0] for row in rows_of_the_document("transition")}
    assert events == {row.name: str(row.event) for row in TRANSITIONS.values()}
    ends = {named(row[0])[0]: set(named(row[3])) & set(Resolution.values) for row in rows_of_the_document("transition")}
    assert ends == {row.name: {str(resolution) for resolution in row.resolutions} for row in TRANSITIONS.values()}


def test_its_statuses_are_the_documented_six() -> None:
    rows = rows_of_the_document("status")
    assert [named(row[0])[0] for row in rows] == [
        "pending",
        "assigned",
        "in_progress",
        "escalated",
        "completed",
        "failed",
    ]
    assert {named(row[0])[0] for row in rows} == set(Status.values)
    assert {named(row[0])[0] for row in rows if row[2] == "none"} == WAITING
    assert {named(row[0])[0] for row in rows if row[2] == "one"} == HELD


def test_its_sets_of_statuses_share_out_all_six() -> None:
    assert OPEN == HELD | WAITING
    assert set(Status) == FINISHED | OPEN
    assert not FINISHED & OPEN
    assert not HELD & WAITING
    assert all(row.sources <= OPEN for row in TRANSITIONS.values()), "nothing leaves a finished task"
    assert all(bool(row.resolutions) == (row.target in FINISHED) for row in TRANSITIONS.values())
    assert set().union(*(row.resolutions for row in TRANSITIONS.values())) == set(Resolution)
    assert set(ENDING.values()) == {"complete", "fail"}


def test_it_names_every_event_once() -> None:
    assert len(set(EventType.values)) == len(EventType.names) == len(EventType.values)
    assert all(re.fullmatch(r"task\.[a-z_]+", value) for value in EventType.values)
    events = [row.event for row in TRANSITIONS.values()]
    assert len(set(events)) == len(events)


@pytest.mark.parametrize("status", [*Status.values, "on_hold"])
def test_the_database_refuses_what_contradicts_the_status(status: str, make_task: NewTaskFactory, ana: Actor) -> None:
    """Every combination of status, assignee, end and resolution, written past all code."""
    task = make_task()
    accepted = set()
    for assignee, ended, resolution in product((None, ana.user.pk), (None, clock.now()), ("", "approved", "liked")):
        values = [status, assignee, ended and connection.ops.adapt_datetimefield_value(ended), resolution, task.pk]
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE tasks_app_humantask SET status=%s, assigned_to_id=%s, completed_at=%s, resolution=%s "
                    "WHERE task_id=%s",
                    values,
                )
        except IntegrityError:
            continue
        accepted.add((assignee is not None, ended is not None, resolution))
    expected: set[tuple[bool, bool, str]] = set()
    if status in OPEN:
        expected = {(status in HELD, False, "")}
    elif status in FINISHED:
        expected = {(False, True, "approved"), (True, True, "approved")}
    assert accepted == expected


Step = Callable[[HumanTask, Actor, Actor, Actor], Any]
CLAIM: Step = lambda task, ana, sam, bot: services.claim_task(task.pk, ana)  # noqa: E731
START: Step = lambda task, ana, sam, bot: services.start_task(task.pk, ana)  # noqa: E731

# Verb of the services -> the steps before it, the verb, and the events that the verb leaves.
VERBS: dict[str, tuple[list[Step], Step, list[str]]] = {
    "assign_task": ([], lambda t, ana, sam, bot: services.assign_task(t.pk, sam, assigned_to="ana"), ["task.assigned"]),
    "claim_task": ([], CLAIM, ["task.claimed"]),
    "claim_next_task": ([], lambda t, ana, sam, bot: services.claim_next_task(ana), ["task.claimed"]),
    "start_task": ([CLAIM], START, ["task.started"]),
    "release_task": ([CLAIM], lambda t, ana, sam, bot: services.release_task(t.pk, ana), ["task.released"]),
    "put_back_task": (
        [lambda t, ana, sam, bot: services.escalate_task(t.pk, sam), CLAIM],
        lambda t, ana, sam, bot: services.put_back_task(t.pk, ana),
        ["task.put_back"],
    ),
    "route_task": ([], lambda t, ana, sam, bot: services.route_task(t.pk, sam, team="leads"), ["task.routed"]),
    "escalate_task": ([CLAIM], lambda t, ana, sam, bot: services.escalate_task(t.pk, ana), ["task.escalated"]),
    "resolve_task": (
        [CLAIM, START],
        lambda t, ana, sam, bot: services.resolve_task(t.pk, ana, Decision("approved")),
        ["task.completed"],
    ),
    "decide_task": (
        [],
        lambda t, ana, sam, bot: services.decide_task(t.pk, ana, Decision("rejected", "cut off")),
        ["task.claimed", "task.started", "task.failed"],
    ),
    "withdraw_task": ([], lambda t, ana, sam, bot: services.withdraw_task(t.pk, bot), ["task.withdrawn"]),
    "expire_task": ([], lambda t, ana, sam, bot: services.expire_task(t.pk, system_actor()), ["task.expired"]),
    "comment_on_task": ([], lambda t, ana, sam, bot: services.comment_on_task(t.pk, ana, "seen"), ["task.commented"]),
    "reveal_detail": (
        [],
        lambda t, ana, sam, bot: services.reveal_detail(t.pk, sam, placeholder="[email 1]", reason="to ask back"),
        ["task.detail_revealed"],
    ),
    "erase_details": (
        [],
        lambda t, ana, sam, bot: services.erase_details(
            t.pk, Actor(user=User.objects.get(username="root")), reason="on request"
        ),
        ["task.details_erased"],
    ),
    "hold_task": ([CLAIM], lambda t, ana, sam, bot: hold(t, ana), ["task.held"]),
    "resume_task": (
        [CLAIM, lambda t, ana, sam, bot: hold(t, ana)],
        lambda t, ana, sam, bot: services.resume_task(t.pk, ana),
        ["task.resumed"],
    ),
    "extend_task": (
        [CLAIM],
        lambda t, ana, sam, bot: services.extend_task(t.pk, ana, until=clock.now() + timedelta(days=30)),
        ["task.extended"],
    ),
    "change_priority": (
        [],
        lambda t, ana, sam, bot: services.change_priority(t.pk, sam, priority=4),
        ["task.priority_changed"],
    ),
    "hand_over_task": (
        [CLAIM],
        lambda t, ana, sam, bot: services.hand_over_task(t.pk, ana, to="sam", note="you know them"),
        ["task.handed_over"],
    ),
    "skip_task": (
        [CLAIM],
        lambda t, ana, sam, bot: services.skip_task(t.pk, ana, reason="not my language"),
        ["task.skipped", "task.released"],
    ),
    "stage_decision": (
        [],
        lambda t, ana, sam, bot: services.stage_decision(t.pk, ana, Decision("approved")),
        ["task.claimed", "task.started", "task.decision_staged"],
    ),
    "take_back_decision": (
        [lambda t, ana, sam, bot: services.stage_decision(t.pk, ana, Decision("approved"))],
        lambda t, ana, sam, bot: services.take_back_decision(t.pk, ana),
        ["task.decision_taken_back"],
    ),
    "return_tasks_of": (
        [CLAIM],
        lambda t, ana, sam, bot: services.return_tasks_of(ana.user, system_actor(), reason="deactivated"),
        ["task.released"],
    ),
    "return_stranded": (
        [CLAIM, lambda t, ana, sam, bot: User.objects.filter(pk=ana.user.pk).update(is_active=False)],
        lambda t, ana, sam, bot: services.return_stranded(system_actor()),
        ["task.released"],
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_of_the_services_leaves_its_event(
    verb: str, make_task: NewTaskFactory, ana: Actor, sam: Actor, bot: Actor
) -> None:
    TaskType.objects.filter(pk="creative_approval").update(expires_after_hours=1)
    before, call, events = VERBS[verb]
    task = make_task(error_detail="ask ops@acme.example")
    for step in before:
        step(task, ana, sam, bot)
    seq = TaskEvent.objects.filter(task_id=task.pk).count()
    call(task, ana, sam, bot)
    left = TaskEvent.objects.filter(task_id=task.pk, seq__gt=seq).order_by("seq").values_list("type", flat=True)
    assert list(left) == events


def test_no_verb_of_the_services_is_missing_here() -> None:
    verbs = {name for name in services.__all__ if name[0].islower()}
    configuration = {
        *("apply_changes", "follow_limit", "note_reason", "note_type_changed"),
        *("recompute_open_tasks", "save_calendar", "save_policy"),
    }
    assert verbs - {"open_task", "open_tasks"} - configuration == set(VERBS)
