"""Escalation, withdrawal and expiry."""

from django.utils.translation import gettext as _

from tasks_app import permissions
from tasks_app.actors import Actor
from tasks_app.exceptions import NotAllowed
from tasks_app.models import HumanTask
from tasks_app.services.rhythm import Change, changing
from tasks_app.services.texts import masked_reason
from tasks_app.states import OPEN


def escalate_task(task_id: str, actor: Actor, *, reason: str = "", expected_version: int | None = None) -> HumanTask:
    """Raise the task by one level and give it to the escalation team: its holder, a lead, or a timer."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        if change.task.status in OPEN:
            change.permit(
                permissions.can_escalate(actor, change.task), _("Only its holder or a lead may escalate this task.")
            )
        escalate(change, reason=masked_reason(change, reason))
    return change.task


def escalate(change: Change, *, reason: str) -> None:
    """Escalate a task that is locked already."""
    team = change.task.team
    change.move("escalate", team=team.escalation_team or team, reason=reason)


def withdraw_task(task_id: str, actor: Actor, *, reason: str = "", expected_version: int | None = None) -> HumanTask:
    """End the task because the operation is moot: whoever asked for it."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        change.permit(permissions.can_withdraw(actor, change.task), _("Only the requester may withdraw this task."))
        text = masked_reason(change, reason)
        change.move("withdraw", detail=text, reason=text)
    return change.task


def expire_task(task_id: str, actor: Actor) -> HumanTask:
    """End the task because its time is over. Only timers do this, only where the type says so."""
    with changing(task_id, actor) as change:
        if not (actor.is_system and change.task.task_type.expires_after_hours is not None):
            raise NotAllowed(_("Tasks of this type do not expire."))
        change.move(
            "expire", reason=_("nobody decided within %(n)d hours") % {"n": change.task.task_type.expires_after_hours}
        )
    return change.task
