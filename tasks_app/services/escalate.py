"""Escalation, withdrawal and expiry."""

from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _

from tasks_app import permissions, reasons
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput, NotAllowed
from tasks_app.models import HumanTask, TaskEvent, Team
from tasks_app.services.rhythm import Change, changing, wrong_state
from tasks_app.services.texts import masked_reason
from tasks_app.sla import policies
from tasks_app.states import OPEN, EventType

LONGEST_EXTENSION: Final = timedelta(days=90)


def escalate_task(task_id: str, actor: Actor, *, reason: str = "", expected_version: int | None = None) -> HumanTask:
    """Raise the task by one level and give it to the escalation team: its holder, a lead, or a timer."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        if change.task.status in OPEN:
            change.permit(
                permissions.can_escalate(actor, change.task), _("Only its holder or a lead may escalate this task.")
            )
        escalate(change, reason=masked_reason(change, reason))
    return change.task


def escalate(change: Change, *, reason: str) -> TaskEvent:
    """Escalate a task that is locked already."""
    return change.move("escalate", team=next_in_chain(change.task.team), reason=reason)


def next_in_chain(team: Team) -> Team:
    """The next team that works: those that were switched off are passed over. The same where there is none."""
    passed, following = {team.pk}, team.escalation_team
    while following is not None and following.pk not in passed:
        if following.is_active:
            return following
        passed.add(following.pk)
        following = following.escalation_team
    return team


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
        hours = change.task.task_type.expires_after_hours
        change.move("expire", reason=reasons.NOBODY_DECIDED_WITHIN % {"n": hours})
    return change.task


def extend_task(
    task_id: str, actor: Actor, *, until: datetime, reason: str = "", expected_version: int | None = None
) -> HumanTask:
    """Put off the expiry of a task whose type expires: its holder or a lead. It is warned of again before."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        task = change.task
        change.permit(permissions.can_hold(actor, task), _("Only its holder or a lead may put off the expiry."))
        if task.status not in OPEN:
            raise wrong_state(task, "extend")
        if task.task_type.expires_after_hours is None:
            raise InvalidInput("until", _("tasks of this type do not expire."))
        if not change.now < until <= change.now + LONGEST_EXTENSION:
            raise InvalidInput("until", _("give a moment in the future, at most 90 days ahead."))
        end = policies.plan(task, policies.policy_of(task), ()).ends_at
        if end is not None and until <= end:
            raise InvalidInput("until", _("it expires at %(end)s; give a later moment.") % {"end": reasons.moment(end)})
        text = masked_reason(change, reason)
        change.change(EventType.EXTENDED, lambda: task.extend(to=until, now=change.now), reason=text)
    return change.task
