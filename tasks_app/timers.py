"""The sweep: what is due is done, one small transaction per task, by as many sweeps at once as there are.

It reads `next_timer_at` alone, by a partial index. A row is locked and looked at again before anything happens, so
that two sweeps act once; rows that others hold are skipped; a row that fails is logged and pushed forward, and never
stops the others.
"""

import logging
import uuid
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from core import clock
from tasks_app.actors import Actor, system_actor
from tasks_app.models import HumanTask
from tasks_app.services.escalate import escalate
from tasks_app.services.rhythm import Change, schedule
from tasks_app.services.steps import take_due_steps
from tasks_app.sla import policies
from tasks_app.sla.clock import Plan
from tasks_app.states import EventType

log = logging.getLogger(__name__)

BATCH: Final = 500
PUSHED_FORWARD: Final = timedelta(minutes=5)


def sweep(limit: int = BATCH) -> int:
    """Act on up to `limit` tasks whose timer is due; return how many were acted upon."""
    due = (
        HumanTask.objects.filter(next_timer_at__lte=clock.now()).order_by("next_timer_at").values_list("pk", flat=True)
    )
    task_ids = list(due[:limit])
    if not task_ids:
        return 0
    actor = system_actor(correlation_id=uuid.uuid4().hex)  # one for all that this sweep does
    return sum(_attempt(task_id, actor) for task_id in task_ids)


def _attempt(task_id: str, actor: Actor) -> bool:
    try:
        with transaction.atomic():
            return _act(task_id, actor)
    except Exception:
        log.exception("timer of %s failed; pushed forward", task_id)
        HumanTask.objects.filter(pk=task_id).update(next_timer_at=clock.now() + PUSHED_FORWARD)
        return False


def _act(task_id: str, actor: Actor) -> bool:
    now = clock.now()
    task = (
        HumanTask.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("task_type", "team__escalation_team")
        .filter(pk=task_id, next_timer_at__lte=now)
        .first()
    )
    if task is None:  # another sweep, or its end, was faster
        return False
    change = Change(task=task, actor=actor, now=now)
    return _do(change, policies.plan(task, policies.policy_of(task)))


def _do(change: Change, plan: Plan) -> bool:
    """The one thing that counts now: the end of a hold, the expiry, steps, the built-in escalation, a warning."""
    task, now = change.task, change.now

    def is_due(moment: datetime | None) -> bool:
        return moment is not None and moment <= now

    if is_due(plan.resumes_at):
        change.change(EventType.RESUMED, lambda: task.resume(now=now), reason=_("its follow-up time has come"))
    elif plan.quiet_until is not None and plan.quiet_until > now:
        return _wait(change)
    elif is_due(plan.expires_at):
        change.move("expire", reason=_("nobody decided in time"))
    elif plan.steps and is_due(plan.steps[0][0]):
        if not take_due_steps(change, plan):
            return _wait(change)
    elif is_due(plan.escalates_at):
        escalate(change, reason=_("overdue since %(due)s") % {"due": f"{task.due_by:%Y-%m-%d %H:%M} UTC"})
    elif is_due(plan.warns_of_expiry_at):
        change.change(EventType.SLA_WARNED, lambda: task.warn_of_expiry(now=now), reason=_ending(plan))
    else:
        return _wait(change)
    return True


def _ending(plan: Plan) -> str:
    return _("it expires at %(end)s unless it is decided or extended") % {
        "end": f"{plan.expires_at:%Y-%m-%d %H:%M} UTC"
    }


def _wait(change: Change) -> bool:
    """Nothing to tell: write the timer that holds now."""
    schedule(change.task, now=change.now)
    change.task.save(update_fields=["next_timer_at"])
    return False
