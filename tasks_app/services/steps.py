"""Steps of a policy on a task that is locked: each once, the one that counts, never after the end."""

from collections.abc import Callable
from typing import Final

from tasks_app import reasons
from tasks_app.models import FiredStep, TaskEvent, Team
from tasks_app.services.escalate import escalate
from tasks_app.services.rhythm import Change
from tasks_app.sla import clock
from tasks_app.sla.clock import Plan, Step
from tasks_app.states import TRANSITIONS, EventType, Priority

Action = Callable[[Change, Step, str], TaskEvent | None]


def take_due_steps(change: Change, plan: Plan) -> bool:
    """Take the steps that are due and note those passed over; return whether that left an event.

    `change.fired` holds the keys of the steps taken before; these join them first, so that the task's next timer is
    computed without them. The unique key (task, step) refuses a second time, whatever the way.
    """
    if change.fired is None:
        raise ValueError("the steps that the task has taken have to be known")
    due, passed_over = clock.due_steps(plan, change.now)
    change.fired |= {step.key for step in (*due, *passed_over)}
    notes = [_note(change, step, FiredStep.Outcome.PASSED_OVER) for step in passed_over]
    done = False
    for step in due:
        event = _ACTIONS[step.action](change, step, _reason(change, step))
        outcome = FiredStep.Outcome.NOT_NEEDED if event is None else FiredStep.Outcome.DONE
        notes.append(_note(change, step, outcome, "" if event is None else event.event_id))
        done = done or event is not None
    change.note_steps(notes)
    return done


def _note(change: Change, step: Step, outcome: str, event_id: str = "") -> FiredStep:
    return FiredStep(
        task_id=change.task.task_id, step_id=step.id, fired_at=change.now, outcome=outcome, event_id=event_id
    )


def _reason(change: Change, step: Step) -> str:
    """`at 80 % of the time until ended; due 2026-03-02 12:00 UTC`."""
    task = change.task
    is_assign = step.clock == "assign"
    deadline, sentence = (task.assign_by, reasons.ASSIGN_BY) if is_assign else (task.due_by, reasons.DUE)
    return f"{reasons.when(step.percent, step.offset)}: {sentence % {'deadline': reasons.moment(deadline)}}"


def _nothing() -> None:
    """A warning changes nothing of the task but its next timer."""


def _warn(change: Change, step: Step, reason: str) -> TaskEvent | None:
    return change.change(EventType.SLA_WARNED, _nothing, reason=reason)


def _notify(change: Change, step: Step, reason: str) -> TaskEvent | None:
    """Channels are `notifications`' own: it finds the step, and its channel, by the event (`FiredStep.event_id`)."""
    return change.change(EventType.CHANNEL_NOTIFIED, _nothing, reason=f"{step.channel}: {reason}")


def _raise_priority(change: Change, step: Step, reason: str) -> TaskEvent | None:
    task = change.task
    if task.priority >= Priority.URGENT:
        return None
    return change.change(
        EventType.PRIORITY_CHANGED,
        lambda: task.change_priority(task.priority + 1, now=change.now, moves_deadline=False),
        reason=reason,
    )


def _route(change: Change, step: Step, reason: str) -> TaskEvent | None:
    """To the step's team, unless the task is there already, or somebody is working on it."""
    task, team = change.task, Team.objects.filter(pk=step.team, is_active=True).first()
    if team is None or team.pk == task.team_id or task.status not in TRANSITIONS["route"].sources:
        return None
    return change.move("route", team=team, reason=reason)


def _escalate(change: Change, step: Step, reason: str) -> TaskEvent | None:
    return escalate(change, reason=reason)


_ACTIONS: Final[dict[str, Action]] = {
    "warn": _warn,
    "notify": _notify,
    "raise_priority": _raise_priority,
    "route": _route,
    "escalate": _escalate,
}
