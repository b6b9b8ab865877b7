"""Hold: a task that waits for somebody else, with a reason and a time at which to look again."""

from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _

from tasks_app import permissions
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput, WrongState
from tasks_app.models import HumanTask
from tasks_app.services.rhythm import changing, wrong_state
from tasks_app.services.texts import masked_reason
from tasks_app.states import HELD, EventType

LONGEST: Final = timedelta(days=90)


def _refused(task: HumanTask, why: str) -> WrongState:
    return WrongState(why, current_version=task.version, current_status=str(task.status))


def hold_task(
    task_id: str, actor: Actor, *, reason: str, follow_up_at: datetime, expected_version: int | None = None
) -> HumanTask:
    """Put a task that somebody has on hold: its holder or a lead.

    No timer takes it from its holder meanwhile, and the clocks stop where the policy says so. The hold ends by
    `resume_task`, by itself at `follow_up_at` (aware, at most 90 days ahead), and whenever the task leaves its holder.
    """
    with changing(task_id, actor, expected_version=expected_version) as change:
        task = change.task
        if task.status not in HELD:
            raise wrong_state(task, "hold")
        if task.held_since is not None:
            raise _refused(task, _("The task is on hold already."))
        change.permit(permissions.can_hold(actor, task), _("Only its holder or a lead may put this task on hold."))
        if not reason.strip():
            raise InvalidInput("reason", _("say for whom or what the task waits."))
        if not change.now < follow_up_at <= change.now + LONGEST:
            raise InvalidInput("follow_up_at", _("give a moment in the future, at most 90 days ahead."))
        text = masked_reason(change, reason)
        change.change(EventType.HELD, lambda: task.hold(until=follow_up_at, reason=text, now=change.now), reason=text)
    return change.task


def resume_task(task_id: str, actor: Actor, *, reason: str = "", expected_version: int | None = None) -> HumanTask:
    """Take a task up again. Timers leave it alone for a quarter of an hour, so that nothing escalates at once."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        task = change.task
        if task.held_since is None:
            raise _refused(task, _("The task is not on hold."))
        change.permit(permissions.can_hold(actor, task), _("Only its holder or a lead may take this task up again."))
        text = masked_reason(change, reason)
        change.change(EventType.RESUMED, lambda: task.resume(now=change.now), reason=text)
    return change.task
