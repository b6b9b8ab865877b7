"""Priorities: who may change one, and what follows for the deadline."""

from datetime import datetime

from django.utils.translation import gettext as _

from tasks_app import permissions
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput
from tasks_app.models import HumanTask
from tasks_app.services.rhythm import changing, wrong_state
from tasks_app.services.texts import masked_reason
from tasks_app.sla import policies
from tasks_app.states import OPEN, EventType, Priority


def change_priority(
    task_id: str, actor: Actor, *, priority: int, reason: str = "", expected_version: int | None = None
) -> HumanTask:
    """Give the task another priority, and with it the deadline that goes with that: a lead."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        task = change.task
        change.permit(
            permissions.can_assign(actor, task),
            _("Only a lead of a team that serves this task may change its priority."),
        )
        if task.status not in OPEN:
            raise wrong_state(task, "change_priority")
        if priority not in Priority.values or priority == task.priority:
            raise InvalidInput("priority", _("give another priority: low, medium, high or urgent."))
        text = masked_reason(change, reason)
        change.change(EventType.PRIORITY_CHANGED, lambda: reprioritise(task, priority, change.now), reason=text)
    return change.task


def reprioritise(task: HumanTask, priority: int, now: datetime) -> None:
    """The change itself, on a locked task."""
    task.change_priority(priority, now=now)
    policies.apply(task)
