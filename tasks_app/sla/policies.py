"""The policies as they stand in the database, read once and kept until they change; and which one fits a task."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import connection

from tasks_app.models import BusinessCalendar, FiredStep, HumanTask, SLAPolicy, SLARevision, SLAStep
from tasks_app.sla import clock, deadlines
from tasks_app.sla.calendars import ROUND_THE_CLOCK, Calendar, Span
from tasks_app.sla.claims import Claim
from tasks_app.sla.clock import Facts, Kind, Plan, Policy, Step


@dataclass(frozen=True)
class Book:
    """All policies, the inactive ones too: a task may still run on one."""

    revision: str = ""
    policies: dict[int, Policy] = field(default_factory=dict)

    def match(self, task_type: str, priority: int, principal: str) -> Policy | None:
        """The most specific active policy that fits."""
        fitting = [policy for policy in self.policies.values() if policy.fits(task_type, priority, principal)]
        return max(fitting, key=lambda policy: policy.specificity, default=None)


_kept = Book()
_open: ContextVar[Book | None] = ContextVar("open_book", default=None)


@contextmanager
def read_once() -> Iterator[Book]:
    """Within the block the policies are those of its beginning, without another look: for work on many tasks."""
    held = book()
    token = _open.set(held)
    try:
        yield held
    finally:
        _open.reset(token)


@contextmanager
def as_remembered() -> Iterator[str]:
    """Within the block the policies are those that were read last; yields their revision, for whoever writes.

    The writing statement compares the revision itself (tasks_app/writing.py), which saves the look. On SQLite a look
    is no round trip, and is taken.
    """
    held = _open.get() or (_kept if connection.vendor == "postgresql" else book())
    token = _open.set(held)
    try:
        yield held.revision
    finally:
        _open.reset(token)


def book() -> Book:
    """The policies now: one look at their revision, and three queries where that has changed."""
    global _kept
    held = _open.get()
    if held is not None:
        return held
    revision = SLARevision.current()
    if revision != _kept.revision or not revision:
        _kept = Book(revision, _read() if revision else {})
    return _kept


def _read() -> dict[int, Policy]:
    calendars = {row.pk: calendar_of(row) for row in BusinessCalendar.objects.all()}
    steps: dict[int, list[Step]] = {}
    for row in SLAStep.objects.filter(is_current=True).order_by("id"):
        steps.setdefault(row.policy_id, []).append(step_of(row))
    return {
        row.pk: policy_of_row(row, calendars.get(row.calendar_id or "", ROUND_THE_CLOCK), steps.get(row.pk, []))
        for row in SLAPolicy.objects.select_related("calendar")
    }


def calendar_of(row: BusinessCalendar) -> Calendar:
    """The arithmetic behind a stored calendar. Raises CalendarError."""
    return Calendar.of(
        row.time_zone, row.weekly_hours, country=row.country, subdivision=row.subdivision, own_dates=row.own_dates
    )


def step_of(row: SLAStep) -> Step:
    offset = None if row.offset_minutes is None else timedelta(minutes=row.offset_minutes)
    return Step(row.pk, row.key, row.clock, row.at_percent, offset, row.action, row.channel, row.team_id)


def policy_of_row(row: SLAPolicy, calendar: Calendar, steps: list[Step]) -> Policy:
    """A policy free of the database; `row` may be unsaved, for a preview."""
    minutes = {
        Kind.ASSIGN: row.to_assign_minutes,
        Kind.WORK: row.assigned_to_resolve_minutes,
        Kind.RESOLVE: row.to_resolve_minutes,
    }
    return Policy(
        id=row.pk or 0,
        name=row.name,
        targets={kind: timedelta(minutes=given) for kind, given in minutes.items() if given is not None},
        calendar=calendar,
        calendar_name="" if row.calendar is None else row.calendar.name,
        pauses_on_hold=row.pauses_on_hold,
        steps=tuple(steps),
        is_active=row.is_active,
        task_type=row.task_type_id,
        priority=row.priority,
        principal=row.principal_id,
    )


def promised_priority(task: HumanTask) -> int:
    """The priority by which the deadline is computed; escalation steps do not move it."""
    return task.sla_priority or task.priority


def match(task: HumanTask) -> Policy | None:
    return book().match(task.task_type_id, promised_priority(task), task.principal_id)


def apply(task: HumanTask) -> None:
    """Put the task under the policy that fits it now."""
    policy = match(task)
    task.sla_policy_id = policy.id if policy else None


def policy_of(task: HumanTask) -> Policy | None:
    """The policy that the task runs under; no query for a task without one."""
    return None if task.sla_policy_id is None else book().policies.get(task.sla_policy_id)


def facts_of(task: HumanTask) -> Facts:
    expiry = deadlines.expires_at(task.created_at, task.task_type.expires_after_hours)
    return Facts(
        priority=promised_priority(task),
        created_at=task.created_at,
        first_assigned_at=task.first_assigned_at,
        assigned_at=task.assigned_at,
        explicit_due=task.due_by if task.due_is_explicit else None,
        holds=holds_of(task),
        held_since=task.held_since,
        follow_up_at=task.follow_up_at,
        quiet_until=task.quiet_until,
        escalated_at=task.escalated_at,
        expiry=None if expiry is None else (task.extended_to or expiry),
        expiry_is_given=task.extended_to is not None,
        expiry_warned_at=task.expiry_warned_at,
        claim=claim_of(task),
        staged_until=task.staged_until,
    )


def claim_of(task: HumanTask, *, seen_at: datetime | None = None) -> Claim | None:
    """The claim that a team's limit runs on; `seen_at`: when its holder's page was last open."""
    if task.assigned_to_id is None or task.touched_at is None or task.team.return_after_minutes is None:
        return None
    touched_at = task.touched_at if seen_at is None else max(task.touched_at, seen_at)
    warned = task.return_warned_at is not None and task.return_warned_at >= touched_at
    return Claim(touched_at, timedelta(minutes=task.team.return_after_minutes), warned)


def holds_of(task: HumanTask) -> tuple[Span, ...]:
    return tuple(
        (datetime.fromisoformat(start).astimezone(UTC), datetime.fromisoformat(end).astimezone(UTC))
        for start, end in task.holds
    )


def plan(task: HumanTask, policy: Policy | None, fired: Collection[str] | None = None) -> Plan:
    """The task's plan under a policy. Asks for the steps taken only where they are not told and there are any."""
    if fired is None and policy is not None and policy.steps and not task._state.adding:
        fired = set(FiredStep.objects.filter(task=task).values_list("step__key", flat=True))
    return clock.plan(facts_of(task), policy, fired or ())


def steps_taken(task_ids: Collection[str]) -> dict[str, set[str]]:
    """The keys of the steps that each of the tasks has taken, with one query."""
    taken: dict[str, set[str]] = {}
    for task_id, key in FiredStep.objects.filter(task__in=task_ids).values_list("task_id", "step__key"):
        taken.setdefault(task_id, set()).add(key)
    return taken
