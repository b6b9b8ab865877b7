"""Who works on a task: assign, claim, start, release, route."""

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import clock, prepared
from tasks_app import lookups, permissions, selectors
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput, TakenBack, TakenByAnother
from tasks_app.models import HumanTask, Team, User
from tasks_app.models.task import TaskQuerySet
from tasks_app.services.people import entitled_person
from tasks_app.services.rhythm import Change, changed, changing, lock, written_at_the_end
from tasks_app.services.texts import masked_reason
from tasks_app.states import HELD, TRANSITIONS


def claim_task(task_id: str, actor: Actor, *, expected_version: int | None = None) -> HumanTask:
    """Take a waiting task. On a task that somebody else holds: TakenByAnother, naming the holder."""
    return changed(task_id, actor, _claim, expected_version=expected_version)


def _claim(change: Change) -> None:
    task, actor = change.task, change.actor
    change.permit(permissions.can_see(actor, task) and actor.is_person, gettext_lazy("Tasks are claimed by people."))
    change.permit(
        permissions.may_decide_at_this_stage(actor, task),
        gettext_lazy(
            "This task needs a second pair of eyes: somebody other than its first reviewer and its requester."
        ),
    )
    change.permit(
        permissions.can_claim(actor, task), gettext_lazy("Only members of a team that serves this task may claim it.")
    )
    if task.status in HELD:
        refuse_if_taken(task, actor)
    change.move("claim", by=actor.user)


def refuse_if_taken(task: HumanTask, actor: Actor) -> None:
    """Raise TakenByAnother if another person holds the task: nothing is stolen."""
    holder = task.assigned_to
    if task.is_open and holder is not None and holder.pk != actor.user.pk:
        raise TakenByAnother(
            _("%(person)s is working on this task.") % {"person": holder.get_username()},
            current_version=task.version,
            current_status=str(task.status),
            assigned_to=holder.get_username(),
        )


def refuse_if_taken_back(task: HumanTask, person: User) -> None:
    """Raise TakenBack if the person lost this waiting task to a lead or a timer: a decision must not claim it anew.

    A task of version 1 was never held, so that the ordinary decision on a fresh task asks nothing.
    """
    if task.version > 1 and selectors.was_taken_back(task, person):
        raise TakenBack(current_version=task.version, current_status=str(task.status))


def claim_next_task(actor: Actor, *, task_type: str | None = None, principal_id: str | None = None) -> HumanTask | None:
    """Take the most urgent task that the actor may take, or return None.

    Rows that others are claiming at this moment are skipped, so that many people can ask at once without waiting for
    each other.
    """

    def waiting() -> TaskQuerySet:
        found = selectors.claimable(actor, task_type=task_type, principal_id=principal_id)
        return found.select_for_update(skip_locked=True)[:1]

    # What may be claimed depends on a person's grants alone, and on who he is.
    key = ("claim next", actor.user.pk, actor.is_person, actor.grants, task_type, principal_id)
    lookups.refresh()
    with transaction.atomic(), written_at_the_end() as ledger:
        found = prepared.instances(key, waiting)
        if not found:
            return None
        task = lookups.complete(found[0])
        _claim(Change(task=task, actor=actor, now=clock.now(), ledger=ledger))
    return task


def start_task(task_id: str, actor: Actor, *, expected_version: int | None = None) -> HumanTask:
    """Begin to work on a task that one holds."""

    def start(change: Change) -> None:
        refuse_if_taken(change.task, actor)
        if change.task.status in HELD:
            change.permit(
                permissions.can_start(actor, change.task),
                gettext_lazy("Only the person who holds this task may start it."),
            )
        change.move("start")

    return changed(task_id, actor, start, expected_version=expected_version)


def assign_task(
    task_id: str, actor: Actor, *, assigned_to: str, reason: str = "", expected_version: int | None = None
) -> HumanTask:
    """Give the task to a person, named by username or e-mail. Raises InvalidInput if unknown or not entitled."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        change.permit(
            permissions.can_assign(actor, change.task),
            gettext_lazy("Only a lead of a team that serves this task may assign it."),
        )
        person = entitled_person(assigned_to, change.task, field="assigned_to")
        change.move("assign", to=person, reason=masked_reason(change, reason))
    return change.task


def release_task(task_id: str, actor: Actor, *, reason: str = "", expected_version: int | None = None) -> HumanTask:
    """Give the task back to the queue: its holder, a lead, or a timer."""

    def release(change: Change) -> None:
        if change.task.status in HELD:
            change.permit(
                permissions.can_release(actor, change.task),
                gettext_lazy("Only its holder or a lead may release this task."),
            )
        change.move("release", reason=masked_reason(change, reason))

    return changed(task_id, actor, release, expected_version=expected_version)


def route_task(
    task_id: str, actor: Actor, *, team: str, reason: str = "", expected_version: int | None = None
) -> HumanTask:
    """Hand the task to another team, where it waits."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        change.permit(
            permissions.can_route(actor, change.task),
            gettext_lazy("Only a lead of a team that serves this task may route it."),
        )
        target = Team.objects.filter(pk=team, is_active=True).first()
        if target is None:
            raise InvalidInput("team", _("There is no active team '%(team)s'.") % {"team": team})
        if target.pk == change.task.team_id:
            raise InvalidInput("team", _("The task is with this team already."))
        change.move("route", team=target, reason=masked_reason(change, reason))
    return change.task


def return_tasks_of(user: User, actor: Actor, *, reason: str, only_lost: bool = False) -> int:
    """Give back to the queue what a person holds who left or was deactivated; return how many tasks that were.

    With `only_lost`, only those that the person may no longer work on (who left one of several teams). The actor need
    not see them: whoever may deactivate a person or change a team brings this about.
    """
    held = list(HumanTask.objects.open().filter(assigned_to=user).order_by("pk").values_list("pk", flat=True))
    returned, holder = 0, Actor(user=user)
    for task_id in held:
        with transaction.atomic(), written_at_the_end() as ledger:
            task = lock(task_id)
            if task is None or task.assigned_to_id != user.pk or task.status not in TRANSITIONS["release"].sources:
                continue
            if only_lost and permissions.can_work(holder, task):
                continue
            Change(task=task, actor=actor, now=clock.now(), ledger=ledger).move("release", reason=reason)
            returned += 1
    return returned
