"""Playing a log: each move of a case is a call of a service, at the moment of the log, with the timers swept meanwhile.

Everything happens in one transaction that is rolled back: nothing stays, nothing is sent.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from auditlog.context import disable_auditlog
from django.db import transaction

from core import clock
from tasks_app import timers
from tasks_app.actors import Actor
from tasks_app.models import BusinessCalendar, HumanTask, Principal, SLAPolicy, TaskType, Team, User
from tasks_app.replay.logs import Case, Row
from tasks_app.services import (
    Decision,
    NewTask,
    assign_task,
    change_priority,
    decide_task,
    open_task,
    route_task,
    save_calendar,
    save_policy,
)
from tasks_app.sla import policies
from tasks_app.states import HELD, Priority

PRINCIPAL: Final = "replay"
POOL: Final = "pool"
KIND: Final = "replayed"
SWEEP: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the engine saw of one task: the case and which of its tasks (a case that comes back opens another)."""

    case: str
    number: int
    due_by: datetime | None
    ended_at: datetime | None
    is_breached: bool


@dataclass
class Report:
    """The outcome of a replay."""

    cases: int = 0
    tasks: int = 0
    calls: int = 0
    escalations: int = 0
    seconds: float = 0.0
    until: datetime | None = None
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def breached(self) -> int:
        return sum(verdict.is_breached for verdict in self.verdicts)


@dataclass
class _Story:
    """A case as it goes: its present task as it was left, and all that it had."""

    case: Case
    task: HumanTask | None = None
    row: Row | None = None
    tasks: list[str] = field(default_factory=list)

    def present(self, swept: datetime) -> HumanTask | None:
        """The present task. Nobody but these calls and the timers changes one: it is read again only where a timer
        of it has come since."""
        task = self.task
        if task is not None and task.next_timer_at is not None and task.next_timer_at <= swept:
            self.task = task = HumanTask.objects.get(pk=task.pk)
        return task


class Stage:
    """The people, teams and promises of a replay; made inside its transaction."""

    def __init__(self, targets: dict[Priority, int], calendar: BusinessCalendar | None) -> None:
        self.team_rows: dict[str, Team] = {}
        self.actors: dict[str, Actor] = {}
        self.names: dict[int, str] = {}
        Principal.objects.get_or_create(pk=PRINCIPAL)
        if calendar is not None:
            save_calendar(calendar)
        SLAPolicy.objects.update(is_active=False)
        for priority, minutes in targets.items():
            save_policy(
                SLAPolicy(
                    name=f"Replay {priority.label}", priority=priority, to_resolve_minutes=minutes, calendar=calendar
                )
            )
        self.manager = self.actor(POOL)

    def actor(self, name: str) -> Actor:
        """A person who may do everything, for the log's name, which may be of any length."""
        if name not in self.actors:
            user = User.objects.create(username=f"replay-{len(self.actors)}", is_superuser=True)
            self.actors[name] = Actor(user=user)
            self.names[user.pk] = name
        return self.actors[name]

    def team(self, name: str) -> Team:
        if name not in self.team_rows:
            slug = f"replay-{len(self.team_rows)}"
            self.team_rows[name] = Team.objects.create(slug=slug, name=slug)
        return self.team_rows[name]

    def holder(self, task: HumanTask) -> str:
        """Who has the task, by the log's name; empty: nobody."""
        return self.names.get(task.assigned_to_id or 0, "") if task.status in HELD else ""


def play(cases: Sequence[Case], targets: dict[Priority, int], calendar: BusinessCalendar | None = None) -> Report:
    """Feed the cases through the services. `targets`: minutes from opening to the end, by priority."""
    report, begin = Report(cases=len(cases)), time.monotonic()
    with transaction.atomic(), disable_auditlog():
        stage = Stage(targets, calendar)
        with policies.read_once():  # nobody changes them meanwhile
            _play(cases, stage, report)
        transaction.set_rollback(True)
    report.seconds = time.monotonic() - begin
    return report


def _play(cases: Sequence[Case], stage: Stage, report: Report) -> None:
    TaskType.objects.create(slug=KIND, label="Replayed", default_team=stage.team(""))
    stories = [_Story(case) for case in cases]
    moves: list[tuple[datetime, int, int, Row | None]] = [
        (story.case.opened, 0, index, None) for index, story in enumerate(stories)
    ]
    moves += [
        (row.at, place, index, row) for index, s in enumerate(stories) for place, row in enumerate(s.case.rows, 1)
    ]
    moves.sort(key=lambda move: move[:3])
    swept = moves[0][0]
    for at, _place, index, row in moves:
        while swept + SWEEP <= at:
            swept = _sweep(swept, at)
        with clock.at(at):
            _move(stories[index], row, stage, report, swept)
    report.until = moves[-1][0]
    _judge(stories, report, moves[-1][0])


def _sweep(swept: datetime, at: datetime) -> datetime:
    """Sweep at the last quarter of an hour before the next move; the timers between have moments of their own."""
    due = HumanTask.objects.filter(next_timer_at__isnull=False).order_by("next_timer_at")
    first = due.values_list("next_timer_at", flat=True).first()
    quiet_until = swept + ((at - swept) // SWEEP) * SWEEP
    if first is None or first > quiet_until:
        return quiet_until
    moment = max(swept + SWEEP, swept + -((swept - first) // SWEEP) * SWEEP)
    with clock.at(moment):
        timers.sweep_all()
    return moment


def _move(story: _Story, row: Row | None, stage: Stage, report: Report, swept: datetime) -> None:
    first = story.case.rows[0]
    task = story.present(swept)
    if row is None or task is None:
        _open(story, first, stage, report)
        return
    if not task.is_open:
        if row.has_ended:
            return
        task = _open(story, row, stage, report)
    before = story.row or first
    story.row = row
    if row.priority != task.sla_priority:
        task = change_priority(task.pk, stage.manager, priority=row.priority)
        report.calls += 1
    if row.team != before.team and stage.team(row.team).pk != task.team_id:
        task = route_task(task.pk, stage.manager, team=stage.team(row.team).pk)
        report.calls += 1
    holder = stage.holder(task)
    if row.assignee and row.assignee != holder and not row.has_ended:
        person = stage.actor(row.assignee)
        task = assign_task(task.pk, stage.manager, assigned_to=person.user.get_username())
        report.calls += 1
    if row.has_ended:
        # Whoever ended it knew of the escalation that had taken it back: the decision is about the task as it stands.
        decider = stage.actor(holder or row.assignee or POOL)
        task = decide_task(task.pk, decider, Decision("completed"), expected_version=task.version)
        report.calls += 1
    story.task = task


def _open(story: _Story, row: Row, stage: Stage, report: Report) -> HumanTask:
    new = NewTask(
        task_type=KIND,
        principal_id=PRINCIPAL,
        priority=row.priority,
        operation=row.type[:400],
        follows=None if story.task is None else story.task.pk,
    )
    story.task, _created = open_task(new, stage.manager)
    story.row = None
    story.tasks.append(story.task.pk)
    report.calls += 1
    return story.task


def _judge(stories: Sequence[_Story], report: Report, until: datetime) -> None:
    tasks = {task.pk: task for task in HumanTask.objects.filter(principal=PRINCIPAL)}
    for story in stories:
        for number, task_id in enumerate(story.tasks, 1):
            task = tasks[task_id]
            breached = task.due_by is not None and (task.completed_at or until) > task.due_by
            report.verdicts.append(Verdict(story.case.name, number, task.due_by, task.completed_at, breached))
    report.tasks = len(tasks)
    report.escalations = sum(task.escalation_level > 0 for task in tasks.values())


def document(report: Report) -> dict[str, Any]:
    """The report as plain values."""

    def told(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat()

    return {
        "cases": report.cases,
        "tasks": report.tasks,
        "calls": report.calls,
        "breached": report.breached,
        "escalated": report.escalations,
        "seconds": round(report.seconds, 1),
        "until": told(report.until),
        "verdicts": [[v.case, v.number, told(v.due_by), told(v.ended_at), v.is_breached] for v in report.verdicts],
    }
