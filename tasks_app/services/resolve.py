"""Decisions: how a task ends, by one person or by two."""

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from jsonschema import Draft202012Validator

from tasks_app import permissions, reasons
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput, NotAllowed
from tasks_app.models import HumanTask, TaskType, User
from tasks_app.services.people import entitled_person
from tasks_app.services.rhythm import Change, changed, changing, wrong_state
from tasks_app.services.texts import masked_fields, mean_the_same
from tasks_app.services.work import refuse_if_taken, refuse_if_taken_back
from tasks_app.states import DECISIONS, ENDING, MAY_CARRY_MODIFICATIONS, NEEDS_TEXT, OPEN, WAITING, Resolution, Status


@dataclass(frozen=True)
class Decision:
    """A resolution with its feedback and, for approved and rejected, modifications (a JSON object)."""

    resolution: str
    detail: str = ""
    modifications: dict[str, Any] = field(default_factory=dict)


def resolve_task(task_id: str, actor: Actor, decision: Decision, *, expected_version: int | None = None) -> HumanTask:
    """End a task that the actor holds and has started."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        refuse_if_taken(change.task, actor)
        if change.task.status != Status.IN_PROGRESS:
            raise wrong_state(change.task, "complete")
        check(decision, change.task.task_type)
        _end(change, decision, person=actor.user)
    return change.task


def decide_task(
    task_id: str, actor: Actor, decision: Decision, *, resolved_by: str = "", expected_version: int | None = None
) -> HumanTask:
    """Claim, start and end a task in one transaction, when the decider may do each; every step leaves its own event.

    With `resolved_by`, a token of scope `tasks:work` records the decision of that entitled person. On somebody else's
    task: TakenByAnother. On a task that a lead or a timer took back from the decider: TakenBack, unless he says by
    `expected_version` that he knows how it stands; claiming it says so too. Raises InvalidInput for a resolution that
    the type does not allow, a missing feedback, wrong modifications.
    """

    def decide(change: Change) -> None:
        check(decision, change.task.task_type)
        person = _decider(change, resolved_by)
        decider = Actor(user=person) if person.pk != actor.user.pk else actor
        take_in_hand(change, decider, is_informed=expected_version is not None)
        _end(change, decision, person=person)

    return changed(task_id, actor, decide, expected_version=expected_version)


def take_in_hand(change: Change, decider: Actor, *, is_informed: bool) -> None:
    """Claim and start the task for whoever decides it, where that is still to be done and may be.

    `is_informed`: the decider says which version he has seen, and so knows if the task was taken back from him.
    """
    task, person = change.task, decider.user
    if task.status not in OPEN:
        raise wrong_state(task, "complete")
    refuse_if_taken(task, decider)
    change.permit(
        permissions.may_decide_at_this_stage(decider, task),
        gettext_lazy(
            "This task needs a second pair of eyes: somebody other than its first reviewer and its requester."
        ),
    )
    change.permit(
        permissions.can_work(decider, task), gettext_lazy("Only members of a team that serves this task may decide it.")
    )
    behalf = None if person.pk == change.actor.user.pk else person
    if task.status in WAITING:
        if not is_informed:
            refuse_if_taken_back(task, person)
        change.move("claim", by=person, on_behalf_of=behalf)
    if task.status == Status.ASSIGNED:
        change.move("start", on_behalf_of=behalf)


def _decider(change: Change, resolved_by: str) -> User:
    actor, task = change.actor, change.task
    if actor.is_person:
        if resolved_by and resolved_by not in (actor.user.get_username(), actor.user.email):
            raise InvalidInput(
                "resolved_by", _("your decision is recorded under your own name; leave resolved_by out.")
            )
        return actor.user
    if not permissions.can_decide_for(actor, task):
        raise NotAllowed(
            _("Decisions are made by people. This token needs the scope tasks:work to record one in a person's name."),
            current_version=task.version,
        )
    if not resolved_by:
        raise InvalidInput("resolved_by", _("name the person who decided, by username or e-mail."))
    return entitled_person(resolved_by, task, field="resolved_by")


def check(decision: Decision, kind: TaskType) -> None:
    """Raise InvalidInput where the type does not allow the decision, or it lacks what it needs."""
    allowed = [resolution for resolution in kind.allowed_resolutions if resolution in DECISIONS]
    if decision.resolution not in allowed:
        raise InvalidInput(
            "resolution",
            _("'%(given)s' is not a resolution of %(type)s; give one of %(allowed)s.")
            % {"given": decision.resolution, "type": kind.slug, "allowed": ", ".join(allowed)},
        )
    if decision.resolution in NEEDS_TEXT and not decision.detail.strip():
        raise InvalidInput(
            "resolution_detail",
            _("say why: '%(resolution)s' needs a text for the adapter.") % {"resolution": decision.resolution},
        )
    if not decision.modifications:
        return
    if decision.resolution not in MAY_CARRY_MODIFICATIONS:
        raise InvalidInput("modifications", _("only approved and rejected may carry modifications."))
    if kind.resolution_schema:
        error = next(Draft202012Validator(kind.resolution_schema).iter_errors(decision.modifications), None)
        if error is not None:
            path = ".".join(["modifications", *(str(part) for part in error.absolute_path)])
            raise InvalidInput(
                path, _("does not fit the form of this task type (%(rule)s).") % {"rule": error.validator}
            )


def _end(change: Change, decision: Decision, *, person: User) -> None:
    task, actor = change.task, change.actor
    decider = actor if person.pk == actor.user.pk else Actor(user=person)
    change.permit(
        permissions.can_decide(decider, task), gettext_lazy("Only the person who holds this task may decide it.")
    )
    end(change, masked_decision(change, decision), person=person)


def masked_decision(change: Change, decision: Decision) -> Decision:
    """The decision as it may be stored."""
    masked = masked_fields(change, {"detail": decision.detail, "modifications": decision.modifications})
    return Decision(decision.resolution, str(masked["detail"]), dict(masked["modifications"]))


def end(change: Change, decision: Decision, *, person: User) -> None:
    """The task's end by a masked decision, or its first half where the type asks for a second reviewer."""
    task, actor = change.task, change.actor
    detail, modifications = decision.detail, decision.modifications
    behalf = None if person.pk == actor.user.pk else person
    if task.task_type.needs_second_reviewer or task.stage == 2:
        current = {"resolution": decision.resolution, "detail": detail, "modifications": modifications}
        if task.stage == 1:
            change.move("refer", first_decision=current, by=person, reason=detail, on_behalf_of=behalf)
            return
        first: dict[str, Any] = task.first_decision or {}
        agree = first.get("resolution") == decision.resolution
        if not (agree and mean_the_same(task, first.get("modifications"), modifications)):
            reason = reasons.DIFFERS % {"second": decision.resolution, "first": first.get("resolution")}
            told = f"{reason}\n{detail}".strip()
            change.move("refer", first_decision=None, by=None, reason=told, on_behalf_of=behalf)
            return
    change.move(
        ENDING[Resolution(decision.resolution)],
        resolution=decision.resolution,
        detail=detail,
        modifications=modifications,
        by=person,
        reason=detail,
        on_behalf_of=behalf,
    )
