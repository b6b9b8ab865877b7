"""Who may do what: `can_<verb>(actor, task)` in memory, `visible_to(actor)` for queries. Denied by default.

People act by their teams: a member of a team that serves the task works on it, a lead assigns, routes and releases. Who
opened a task for another team goes on seeing it, may comment and withdraw it, as long as he is in any team. An adapter
acts by its token: principals and scopes. Services ask before every change; admin and API ask to show buttons.
"""

from django.db.models import Q

from tasks_app.actors import Actor
from tasks_app.models import HumanTask, Scope
from tasks_app.states import HELD, OPEN, WAITING

NOTHING = Q(pk__in=[])
EVERYTHING = Q()


def served_by(actor: Actor) -> Q:
    """The tasks that a person's teams serve, as a filter on HumanTask. `_serves` is its twin in memory."""
    grants = actor.grants
    if grants.manages_everything:
        return EVERYTHING
    if not grants.teams:
        return NOTHING
    served = Q(team__in=sorted(grants.teams)) | Q(task_type__in=sorted(grants.types_for_all))
    for task_type, principal in sorted(grants.types_for_some):
        served |= Q(task_type=task_type, principal=principal)
    return served


def led_by(actor: Actor) -> Q:
    """The tasks of which a person is a lead, as a filter on HumanTask. `_leads` is its twin in memory."""
    grants = actor.grants
    if grants.manages_everything:
        return EVERYTHING
    led = Q(team__in=sorted(grants.led)) | Q(task_type__in=sorted(grants.led_types_for_all))
    for task_type, principal in sorted(grants.led_types_for_some):
        led |= Q(task_type=task_type, principal=principal)
    return led


def visible_to(actor: Actor) -> Q:
    """The tasks that the actor may see, as a filter on HumanTask. `can_see` is its twin in memory."""
    if not actor.user.is_active:
        return NOTHING
    if actor.is_system:
        return EVERYTHING
    if actor.is_adapter:
        if not actor.has_scope(Scope.READ):
            return NOTHING
        return EVERYTHING if actor.principals is None else Q(principal__in=sorted(actor.principals))
    grants = actor.grants
    if grants.sees_everything:
        return EVERYTHING
    return served_by(actor) | Q(requested_by=actor.user.pk) if grants.teams else NOTHING


def can_see(actor: Actor, task: HumanTask) -> bool:
    if not actor.user.is_active:
        return False
    if actor.is_system:
        return True
    if actor.is_adapter:
        return actor.has_scope(Scope.READ) and actor.speaks_for(task.principal_id)
    return actor.grants.sees_everything or _serves(actor, task) or _requested(actor, task)


def _serves(actor: Actor, task: HumanTask) -> bool:
    return actor.is_person and actor.grants.serves(task.team_id, task.task_type_id, task.principal_id)


def _leads(actor: Actor, task: HumanTask) -> bool:
    return actor.is_person and actor.grants.leads(task.team_id, task.task_type_id, task.principal_id)


def _requested(actor: Actor, task: HumanTask) -> bool:
    return actor.is_person and bool(actor.grants.teams) and task.requested_by_id == actor.user.pk


def _holds(actor: Actor, task: HumanTask) -> bool:
    return task.assigned_to_id == actor.user.pk


def _works_by_token(actor: Actor, task: HumanTask) -> bool:
    return actor.has_scope(Scope.WORK) and actor.speaks_for(task.principal_id)


def may_decide_at_this_stage(actor: Actor, task: HumanTask) -> bool:
    """Four-eyes: at stage 2 the first decider and the requester stand aside."""
    return task.stage == 1 or actor.user.pk not in (task.first_decided_by_id, task.requested_by_id)


def can_create(actor: Actor, principal_id: str) -> bool:
    """An adapter for its principals; a person of any team, for manual work."""
    if actor.is_adapter:
        return actor.has_scope(Scope.CREATE) and actor.speaks_for(principal_id)
    return actor.is_person and (bool(actor.grants.teams) or actor.grants.manages_everything)


def can_work(actor: Actor, task: HumanTask) -> bool:
    """Claim, start and decide: the people of a team that serves the task."""
    return _serves(actor, task) and may_decide_at_this_stage(actor, task)


can_claim = can_work


def can_start(actor: Actor, task: HumanTask) -> bool:
    return _holds(actor, task) and can_work(actor, task)


def can_decide(actor: Actor, task: HumanTask) -> bool:
    return _holds(actor, task) and can_work(actor, task)


def can_decide_for(actor: Actor, task: HumanTask) -> bool:
    """Record a decision in the name of an entitled person: tokens with `tasks:work`."""
    return _works_by_token(actor, task)


def can_assign(actor: Actor, task: HumanTask) -> bool:
    return actor.is_system or _leads(actor, task) or _works_by_token(actor, task)


def can_hand_over(actor: Actor, task: HumanTask) -> bool:
    """Give what one holds to a colleague; leads assign, whoever holds it."""
    return _holds(actor, task) and _serves(actor, task)


def can_put_back(actor: Actor, task: HumanTask) -> bool:
    """Leave what one holds as one found it."""
    return _holds(actor, task)


def can_release(actor: Actor, task: HumanTask) -> bool:
    return actor.is_system or _leads(actor, task) or (_holds(actor, task) and _serves(actor, task))


def can_route(actor: Actor, task: HumanTask) -> bool:
    return actor.is_system or _leads(actor, task)


def can_escalate(actor: Actor, task: HumanTask) -> bool:
    return actor.is_system or _leads(actor, task) or (_holds(actor, task) and _serves(actor, task))


def can_hold(actor: Actor, task: HumanTask) -> bool:
    """Put on hold, take up again, put off the expiry: its holder, a lead, a timer."""
    return can_release(actor, task)


def can_withdraw(actor: Actor, task: HumanTask) -> bool:
    """The requester, where the operation is moot; an adapter also for its principals' other tasks."""
    if actor.is_adapter:
        return actor.has_scope(Scope.WITHDRAW) and actor.speaks_for(task.principal_id)
    return actor.is_person and task.requested_by_id == actor.user.pk


def can_comment(actor: Actor, task: HumanTask) -> bool:
    if actor.is_adapter:
        return actor.has_scope(Scope.COMMENT) and actor.speaks_for(task.principal_id)
    return _serves(actor, task) or _requested(actor, task)


def can_reveal(actor: Actor, task: HumanTask) -> bool:
    """Masked values: people who work the task and were given the permission; leads have it by their role."""
    return _leads(actor, task) or (_serves(actor, task) and actor.user.has_perm("tasks_app.reveal_detail"))


def available_actions(actor: Actor, task: HumanTask) -> list[str]:
    """The verbs that would succeed now, in the order in which a console shows them."""
    if not can_see(actor, task):
        return []
    status, mine = task.status, _holds(actor, task)
    offers = {
        "claim": status in WAITING and can_claim(actor, task),
        "start": status == "assigned" and can_start(actor, task),
        "complete": (status in WAITING and can_claim(actor, task))
        or (status in HELD and mine and can_decide(actor, task)),
        "release": status in HELD and can_release(actor, task),
        "hold": status in HELD and task.held_since is None and can_hold(actor, task),
        "resume": task.held_since is not None and can_hold(actor, task),
        "extend": status in OPEN and task.task_type.expires_after_hours is not None and can_hold(actor, task),
        "assign": status in OPEN and can_assign(actor, task),
        "hand_over": status in HELD and can_hand_over(actor, task),
        "route": status in OPEN and status != "in_progress" and can_route(actor, task),
        "escalate": status in OPEN and can_escalate(actor, task),
        "withdraw": status in OPEN and can_withdraw(actor, task),
        "comment": can_comment(actor, task),
        "reveal": can_reveal(actor, task),
    }
    if can_decide_for(actor, task) and status in OPEN:
        offers["complete"] = True
    return [verb for verb, offered in offers.items() if offered]
