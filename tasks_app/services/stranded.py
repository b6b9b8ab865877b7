"""Tasks whose holder may no longer work on them: they go back to the queue, whatever brought that about.

The console gives them back together with the change of the account or the team. What that does not see is found here
by a job: a claim that was on its way at that moment, by rights that its process remembered for a second, and a person
who was deactivated, or lost a role, by other means.
"""

from tasks_app import permissions, reasons
from tasks_app.actors import Actor, Grants, team_grants
from tasks_app.models import HumanTask, TeamMembership, User
from tasks_app.services.work import return_tasks_of

_ASKED = ("status", "team", "task_type", "principal", "assigned_to", "stage", "first_decided_by", "requested_by")


def return_stranded(actor: Actor) -> int:
    """Give back what is held by people who may not work on it now; return how many tasks that were.

    What is in order costs five queries, however many people hold however many tasks.
    """
    held: dict[int, list[HumanTask]] = {}
    for task in HumanTask.objects.open().filter(assigned_to__isnull=False).only(*_ASKED):
        held.setdefault(int(task.assigned_to_id or 0), []).append(task)
    people, grants = User.objects.in_bulk(held), _by_teams(held)
    returned = 0
    for pk, tasks in held.items():
        person = people[pk]
        by_teams = Actor(user=person, read_grants=lambda user: grants.get(user.pk, Grants()))
        if person.is_active and all(permissions.can_work(by_teams, task) for task in tasks):
            continue
        if person.is_active and all(permissions.can_work(Actor(user=person), task) for task in tasks):
            continue  # by a role
        reason = reasons.MAY_NOT_WORK if person.is_active else reasons.DEACTIVATED
        returned += return_tasks_of(person, actor, reason=reason, only_lost=True)
    return returned


def _by_teams(people: dict[int, list[HumanTask]]) -> dict[int, Grants]:
    """What each of these people may do by teams alone, in three queries."""
    memberships = (
        TeamMembership.objects.filter(user__in=list(people), team__is_active=True)
        .select_related("team")
        .prefetch_related("team__task_types", "team__principals")
    )
    by_person: dict[int, list[TeamMembership]] = {}
    for membership in memberships:
        by_person.setdefault(membership.user_id, []).append(membership)
    return {pk: team_grants(theirs) for pk, theirs in by_person.items()}
