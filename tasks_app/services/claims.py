"""What people do with a task that they hold, short of deciding: hand over, put back, skip; and what time does to it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from core import clock
from tasks_app import permissions, reasons, selectors
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput
from tasks_app.models import HumanTask, TaskPresence, Team
from tasks_app.services.people import entitled_person
from tasks_app.services.rhythm import Change, changing, lock, schedule, wrong_state
from tasks_app.services.texts import masked_reason
from tasks_app.sla import policies
from tasks_app.sla.clock import Plan
from tasks_app.states import HELD, OPEN, EventType, Status


def hand_over_task(task_id: str, actor: Actor, *, to: str, note: str, expected_version: int | None = None) -> HumanTask:
    """Give a task that one holds to an entitled colleague, named by username or e-mail, with a note for him or her."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        task = change.task
        if task.status not in HELD:
            raise wrong_state(task, "hand_over")
        change.permit(
            permissions.can_hand_over(actor, task), _("Only the person who holds this task may hand it over.")
        )
        if not note.strip():
            raise InvalidInput("note", _("say what your colleague should know."))
        person = entitled_person(to, task, field="to")
        if person.pk == actor.user.pk:
            raise InvalidInput("to", _("you have this task already; name a colleague."))
        change.move("hand_over", to=person, reason=masked_reason(change, note))
    return change.task


def put_back_task(task_id: str, actor: Actor, *, expected_version: int | None = None) -> HumanTask:
    """Give back a task that was claimed only by being shown, as it was before: pending, or escalated."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        task = change.task
        if task.status != Status.ASSIGNED:
            raise wrong_state(task, "put_back")
        change.permit(permissions.can_put_back(actor, task), _("Only the person who holds this task may put it back."))
        _put_back(change)
    return task


def _put_back(change: Change, *, reason: str = "") -> None:
    """Its status was escalated if that is what the last claim took it from; its trail knows."""
    was_escalated = change.task.escalation_level > 0 and selectors.claimed_from(change.task) == Status.ESCALATED
    change.move("put_back" if was_escalated else "release", reason=reason)


def skip_task(task_id: str, actor: Actor, *, reason: str, expected_version: int | None = None) -> HumanTask:
    """Leave a task to others and say why; if the actor has taken it and not begun, it goes back to the queue."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        task = change.task
        change.permit(permissions.can_work(actor, task), _("Only members of a team that serves this task may skip it."))
        if task.status not in OPEN:
            raise wrong_state(task, "skip")
        if not reason.strip():
            raise InvalidInput("reason", _("say why you leave this task to others."))
        text = masked_reason(change, reason)
        change.note(EventType.SKIPPED, reason=text)
        if task.status == Status.ASSIGNED and task.assigned_to_id == actor.user.pk:
            _put_back(change, reason=text)
    return task


# -- tasks that their holder leaves alone ------------------------------------------------------------------------------


def seen_by_holders(tasks: Sequence[HumanTask]) -> dict[str, datetime]:
    """When the holders of these tasks last had them open: one query, and none where no team has a limit."""
    holders = {task.task_id: task.assigned_to_id for task in tasks if policies.claim_of(task) is not None}
    if not holders:
        return {}
    seen = TaskPresence.objects.filter(task__in=list(holders)).values_list("task_id", "user_id", "seen_at")
    return {task_id: seen_at for task_id, user_id, seen_at in seen if holders[task_id] == user_id}


def plan_with_presence(task: HumanTask, plan: Plan, seen_at: datetime | None) -> Plan:
    """The plan, knowing also when the holder's page was last open."""
    if seen_at is None or plan.returns_at is None:
        return plan
    claim = policies.claim_of(task, seen_at=seen_at)
    return plan if claim is None else replace(plan, returns_at=claim.returns_at, warns_of_return_at=claim.warns_at)


def return_untouched(change: Change) -> None:
    """Give a locked task back to the queue, which its holder left alone for the team's limit."""
    minutes = change.task.team.return_after_minutes
    change.move("release", reason=reasons.UNTOUCHED_FOR % {"n": minutes})


def warn_of_return(change: Change, plan: Plan) -> None:
    """Tell the holder of a locked task that it goes back to the queue soon."""
    change.change(
        EventType.RETURN_WARNED,
        lambda: change.task.warn_of_return(now=change.now),
        reason=reasons.GOES_BACK_AT % {"moment": reasons.moment(plan.returns_at)},
    )


def follow_limit(team: Team) -> int:
    """Compute the timers of what the team's people hold, after its limit was changed; return how many moved."""
    moved = 0
    held = HumanTask.objects.open().filter(team=team, assigned_to__isnull=False).order_by("pk")
    for task_id in list(held.values_list("pk", flat=True)):
        with transaction.atomic():
            task = lock(task_id)
            if task is None or task.status not in HELD:
                continue
            before = task.next_timer_at
            schedule(task, now=clock.now())
            if task.next_timer_at != before:
                task.save(update_fields=["next_timer_at"])
                moved += 1
    return moved
