"""The sweep: what is due is done, a batch in one transaction, by as many sweeps at once as there are.

It reads `next_timer_at` alone, by a partial index. The rows of a batch are locked, those that others hold are skipped:
two sweeps act once, each on its own rows. Everything is planned in memory and written with a few statements for all.
A row that fails, or on which a decision waits, is done by itself; if it fails again it is logged and pushed forward,
and never stops the others.
"""

import logging
import uuid
from datetime import datetime, timedelta
from typing import Final

from django.db import DatabaseError, transaction

from core import clock
from tasks_app import reasons
from tasks_app.actors import Actor, system_actor
from tasks_app.models import HumanTask, TaskType, Team
from tasks_app.models.task import TaskQuerySet
from tasks_app.services import claims, staging
from tasks_app.services.escalate import escalate
from tasks_app.services.rhythm import Change, Ledger, written_at_the_end
from tasks_app.services.steps import take_due_steps
from tasks_app.sla import policies
from tasks_app.sla.clock import Plan
from tasks_app.states import EventType

log = logging.getLogger(__name__)

BATCH: Final = 500
PUSHED_FORWARD: Final = timedelta(minutes=5)
# Large, and no timer asks for them: they stay in the database.
UNREAD: Final = ("context_data", "error_detail", "operation", "media_buy_id", "creative_id", "similarity_key")


def sweep(limit: int = BATCH) -> int:
    """Act on up to `limit` tasks whose timer is due; return how many were acted upon."""
    return _sweep(limit)[1]


def sweep_all(*, until: datetime | None = None) -> int:
    """Sweep batch after batch, until nothing is due or the moment `until` has come; return how many were acted upon."""
    acted = 0
    while True:
        looked, done = _sweep(BATCH)
        acted += done
        if looked < BATCH or (until is not None and clock.now() >= until):
            return acted


def _due(now: datetime) -> TaskQuerySet:
    return HumanTask.objects.filter(next_timer_at__lte=now)


def _sweep(limit: int) -> tuple[int, int]:
    """How many tasks a batch looked at, and on how many of them it acted."""
    if not _due(clock.now()).exists():  # SQLite would lock the database to find that out
        return 0, 0
    actor = system_actor(correlation_id=uuid.uuid4().hex)  # one for all that this sweep does
    task_ids: list[str] = []
    try:
        with transaction.atomic():
            acted, alone = _act_on_batch(actor, limit, task_ids)
    except Exception:
        log.warning("a batch of %s timers failed; each is tried by itself", len(task_ids), exc_info=True)
        acted, alone = 0, task_ids
    return len(task_ids), acted + sum(_attempt(task_id, actor) for task_id in alone)


def _act_on_batch(actor: Actor, limit: int, task_ids: list[str]) -> tuple[int, list[str]]:
    """Lock what is due, act in memory, write it all; return how many were acted upon, and what is to be done alone."""
    now, ledger, acted, alone = clock.now(), Ledger(), 0, []
    tasks = _locked(_due(now).order_by("next_timer_at")[:limit])
    task_ids.extend(task.task_id for task in tasks)
    with policies.read_once():
        seen = claims.seen_by_holders(tasks)
        fired = policies.steps_taken([task.task_id for task in tasks if task.sla_policy_id is not None])
        for task in tasks:
            if task.staged_until is not None:
                # What waits on it has a row of its own, which no ledger holds.
                alone.append(task.task_id)
                continue
            # A ledger of its own, so that of a task that fails half-way nothing is written.
            own = Ledger()
            try:
                acted += _act(Change(task, actor, now, own, fired.get(task.task_id, set()), seen.get(task.task_id)))
            except DatabaseError:
                raise
            except Exception:
                alone.append(task.task_id)
            else:
                ledger.extend(own)
    ledger.write()
    return acted, alone


def _locked(due: TaskQuerySet) -> list[HumanTask]:
    """The tasks with their rows locked, and what timers ask of their types and teams, with three queries."""
    tasks = list(due.select_for_update(skip_locked=True).defer(*UNREAD))
    if tasks:
        kinds = TaskType.objects.in_bulk({task.task_type_id for task in tasks})
        teams = Team.objects.select_related("escalation_team").in_bulk({task.team_id for task in tasks})
        for task in tasks:
            task.knows(task_type=kinds[task.task_type_id], team=teams[task.team_id])
    return tasks


def _attempt(task_id: str, actor: Actor) -> bool:
    """One task in a transaction of its own."""
    try:
        with transaction.atomic(), written_at_the_end() as ledger:
            now = clock.now()
            tasks = _locked(_due(now).filter(pk=task_id))
            seen = claims.seen_by_holders(tasks)
            # None: another sweep, or its end, was faster.
            return any(_act(Change(task, actor, now, ledger, _fired(task), seen.get(task.task_id))) for task in tasks)
    except Exception:
        log.exception("timer of %s failed; pushed forward", task_id)
        # It may have ended meanwhile: an ended task has no timer, and nothing happens to it any more.
        HumanTask.objects.open().filter(pk=task_id).update(next_timer_at=clock.now() + PUSHED_FORWARD)
        return False


def _fired(task: HumanTask) -> set[str]:
    return policies.steps_taken([task.task_id]).get(task.task_id, set())


def _act(change: Change) -> bool:
    task = change.task
    plan = policies.plan(task, policies.policy_of(task), change.fired)
    return _do(change, claims.plan_with_presence(task, plan, change.seen_at))


def _do(change: Change, plan: Plan) -> bool:
    """The one thing that counts now: the end of a hold, the expiry, steps, the built-in escalation, a warning."""
    task, now = change.task, change.now

    def is_due(moment: datetime | None) -> bool:
        return moment is not None and moment <= now

    if is_due(plan.decides_at):
        staging.carry_out(change)
    elif plan.decides_at is not None:
        return _wait(change)
    elif is_due(plan.resumes_at):
        change.change(EventType.RESUMED, lambda: task.resume(now=now), reason=reasons.FOLLOWED_UP)
    elif plan.quiet_until is not None and plan.quiet_until > now:
        return _wait(change)
    elif is_due(plan.expires_at) and plan.warns_of_expiry_at is None:  # nothing expires without a warning
        change.move("expire", reason=reasons.NOBODY_DECIDED)
    elif plan.steps and is_due(plan.steps[0][0]):
        if not take_due_steps(change, plan):
            return _wait(change)
    elif is_due(plan.escalates_at):
        escalate(change, reason=reasons.OVERDUE_SINCE % {"due": reasons.moment(plan.escalates_at)})
    elif is_due(plan.returns_at):
        claims.return_untouched(change)
    elif is_due(plan.warns_of_return_at):
        claims.warn_of_return(change, plan)
    elif is_due(plan.warns_of_expiry_at):
        change.change(
            EventType.SLA_WARNED,
            lambda: task.warn_of_expiry(now=now),
            reason=reasons.EXPIRES_AT % {"end": reasons.moment(plan.expires_at)},
        )
    else:
        return _wait(change, plan)
    return True


def _wait(change: Change, plan: Plan | None = None) -> bool:
    change.wait(plan)
    return False
