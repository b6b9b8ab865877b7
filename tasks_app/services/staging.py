"""Decisions that can be taken back for some seconds: staged here, carried out by whichever sweep or poll comes first.

The task stays in progress with its holder meanwhile. It counts what the database says: the row and `staged_until`, both
written under the task's row lock, so that however many sweeps and polls there are, the decision is carried out once, or
taken back, or cancelled by any other change of the task (`rhythm.Change`). A finished task is never reopened by it.
"""

from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from core import clock
from tasks_app import permissions, reasons
from tasks_app.actors import Actor, system_actor
from tasks_app.exceptions import NotAllowed, TaskError, WrongState
from tasks_app.models import HumanTask, StagedDecision
from tasks_app.services.resolve import Decision, check, decide_task, end, masked_decision, take_in_hand
from tasks_app.services.rhythm import Change, changing, lock, written_at_the_end
from tasks_app.services.texts import mean_the_same
from tasks_app.services.work import refuse_if_taken
from tasks_app.states import EventType, Resolution

WAITING, Outcome = StagedDecision.Outcome.WAITING, StagedDecision.Outcome


def stage_decision(
    task_id: str, actor: Actor, decision: Decision, *, expected_version: int | None = None
) -> tuple[HumanTask, StagedDecision | None]:
    """Decide a task, with HITL_UNDO_SECONDS to take it back; claims and starts it first where the actor may.

    Returns the task and what waits; None with an undo time of 0, where the task is decided at once. Sent again, the
    same decision is the one that waits. Raises what `decide_task` raises; WrongState where another decision waits, or
    the same with another feedback.
    """
    if settings.HITL_UNDO_SECONDS <= 0:
        return decide_task(task_id, actor, decision, expected_version=expected_version), None
    with changing(task_id, actor, expected_version=expected_version) as change:
        task = change.task
        if not actor.is_person:
            raise NotAllowed(_("Decisions are made by people."), current_version=task.version)
        check(decision, task.task_type)
        waiting = _waiting(task)
        if waiting is not None:
            refuse_if_taken(task, actor)
            return task, _again(task, waiting, decision)
        take_in_hand(change, actor, is_informed=expected_version is not None)
        change.permit(permissions.can_decide(actor, task), _("Only the person who holds this task may decide it."))
        masked = masked_decision(change, decision)
        staged = StagedDecision(
            task=task,
            person=actor.user,
            resolution=masked.resolution,
            detail=masked.detail,
            modifications=masked.modifications,
            version=task.version,
            staged_at=change.now,
            due_at=change.now + timedelta(seconds=settings.HITL_UNDO_SECONDS),
            address=actor.address,
            correlation_id=actor.correlation_id,
        )
        staged.save(force_insert=True)
        change.change(
            EventType.DECISION_STAGED,
            lambda: task.await_decision(until=staged.due_at),
            reason=reasons.STAGED
            % {"what": reasons.word(Resolution(masked.resolution).label), "seconds": settings.HITL_UNDO_SECONDS},
        )
    return task, staged


def _again(task: HumanTask, waiting: StagedDecision, decision: Decision) -> StagedDecision:
    stored = {"detail": waiting.detail, "modifications": waiting.modifications}
    given = {"detail": decision.detail, "modifications": decision.modifications}
    if waiting.resolution == decision.resolution and mean_the_same(task, stored, given):
        return waiting
    raise WrongState(
        _("You have decided this task already; take that back first."),
        current_version=task.version,
        current_status=str(task.status),
    )


def _waiting(task: HumanTask) -> StagedDecision | None:
    """The decision that waits on a locked task; no query where none does."""
    if task.staged_until is None:
        return None
    return StagedDecision.objects.select_related("person").filter(task=task, outcome=WAITING).first()


def take_back_decision(task_id: str, actor: Actor) -> tuple[HumanTask, StagedDecision]:
    """Take one's own decision back, as long as it was not carried out. The task stays in progress with its holder."""
    with changing(task_id, actor) as change:
        task, waiting = change.task, _waiting(change.task)
        if waiting is None or waiting.person_id != actor.user.pk:
            raise WrongState(
                _("There is nothing to take back any more."),
                current_version=task.version,
                current_status=str(task.status),
            )
        _close(waiting, Outcome.TAKEN_BACK, change)
        told = reasons.TAKEN_BACK % {"what": reasons.word(Resolution(waiting.resolution).label)}
        change.change(EventType.DECISION_TAKEN_BACK, lambda: task.await_decision(until=None), reason=told)
    return task, waiting


def carry_out_due(actor: Actor) -> int:
    """Carry out what the actor decided and no sweep has carried out yet; return how many that were.

    The console asks for it when the time is over, so that nobody waits for the next sweep.
    """
    now = clock.now()
    due = StagedDecision.objects.filter(person=actor.user, outcome=WAITING, due_at__lte=now).order_by("due_at")
    return sum(_carry_out_locked(task_id) for task_id in list(due.values_list("task_id", flat=True)[:100]))


def _carry_out_locked(task_id: str) -> bool:
    with transaction.atomic():
        task, now = lock(task_id), clock.now()
        if task is None or task.staged_until is None or task.staged_until > now:
            return False  # a sweep was faster, or something else happened to the task
        with written_at_the_end() as ledger:
            carry_out(Change(task=task, actor=system_actor(), now=now, ledger=ledger))
        return True


def carry_out(change: Change) -> None:
    """End a locked task by the decision that waits on it, whose time is over; or say why it is not carried out.

    Rights are asked again, now: a person who left the team meanwhile, or a type that no longer allows the resolution,
    ends in a cancelled decision that its reviewer is told of.
    """
    task, waiting = change.task, _waiting(change.task)
    if waiting is None:  # never seen; but a timer that finds nothing to do must not come back for ever
        ended = reasons.NOTHING_WAITS
        change.change(EventType.DECISION_CANCELLED, lambda: task.await_decision(until=None), reason=ended)
        return
    person = waiting.person
    decider = Actor(user=person, address=waiting.address, correlation_id=waiting.correlation_id)
    decision = Decision(waiting.resolution, waiting.detail, waiting.modifications)
    as_decider = Change(task=task, actor=decider, now=change.now, ledger=change.ledger)
    try:
        as_decider.permit(
            permissions.can_see(decider, task) and permissions.can_decide(decider, task) and person.is_active,
            reasons.MAY_NOT_DECIDE % {"person": person.get_username()},
        )
        with override("en"):  # what is wrong with it is stored
            # Its modifications fitted the form as they were given; masked, they need not.
            check(replace(decision, modifications={}), task.task_type)
    except TaskError as error:
        _close(waiting, Outcome.CANCELLED, change, why=error.detail)
        change.change(EventType.DECISION_CANCELLED, lambda: task.await_decision(until=None), reason=error.detail)
        return
    _close(waiting, Outcome.CARRIED_OUT, change)
    end(as_decider, decision, person=person)


def _close(waiting: StagedDecision, outcome: str, change: Change, *, why: str = "") -> None:
    waiting.outcome, waiting.ended_at, waiting.why = outcome, change.now, why
    waiting.save(update_fields=["outcome", "ended_at", "why"])


def untold(actor: Actor) -> list[StagedDecision]:
    """The actor's decisions that were not carried out and of which he or she was not told yet; the latest ten."""
    cancelled = StagedDecision.objects.filter(person=actor.user, outcome=Outcome.CANCELLED, told_at=None)
    return list(cancelled.select_related("task__task_type").order_by("-pk")[:10])


def note_told(actor: Actor, ids: list[int]) -> None:
    """The reviewer has read it."""
    StagedDecision.objects.filter(person=actor.user, pk__in=ids[:10], told_at=None).update(told_at=clock.now())
