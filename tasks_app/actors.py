"""The actor: who asks for a change, by which right, from where. One value, passed through every service."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from tasks_app.models import Scope, TeamMembership, User


@dataclass(frozen=True)
class Grants:
    """What a person's teams give: the teams, those led, and the task types with their principals (None: all)."""

    teams: frozenset[str] = frozenset()
    led: frozenset[str] = frozenset()
    types_for_all: frozenset[str] = frozenset()
    types_for_some: frozenset[tuple[str, str]] = frozenset()
    led_types_for_all: frozenset[str] = frozenset()
    led_types_for_some: frozenset[tuple[str, str]] = frozenset()
    sees_everything: bool = False
    manages_everything: bool = False

    def serves(self, team: str, task_type: str, principal: str) -> bool:
        """Whether one of the teams serves such a task."""
        return (
            self.manages_everything
            or team in self.teams
            or task_type in self.types_for_all
            or (task_type, principal) in self.types_for_some
        )

    def leads(self, team: str, task_type: str, principal: str) -> bool:
        """Whether the person leads one of the teams that serve such a task."""
        return (
            self.manages_everything
            or team in self.led
            or task_type in self.led_types_for_all
            or (task_type, principal) in self.led_types_for_some
        )


def grants_of(user: User) -> Grants:
    """Read a person's grants: at most three queries, none of them over tasks. An inactive user has none."""
    if not user.is_active or user.kind != User.Kind.PERSON:
        return Grants()
    memberships = (
        TeamMembership.objects.filter(user=user, team__is_active=True)
        .select_related("team")
        .prefetch_related("team__task_types", "team__principals")
    )
    manages = user.has_perm("tasks_app.manage_every_task")
    return replace(
        team_grants(memberships),
        sees_everything=manages or user.has_perm("tasks_app.view_every_task"),
        manages_everything=manages,
    )


def team_grants(memberships: Iterable[TeamMembership]) -> Grants:
    """What memberships of active teams give, beside any role."""
    memberships = list(memberships)
    everywhere: dict[bool, set[str]] = {False: set(), True: set()}
    somewhere: dict[bool, set[tuple[str, str]]] = {False: set(), True: set()}
    for membership in memberships:
        team, is_lead = membership.team, membership.role == TeamMembership.Role.LEAD
        slugs = {task_type.slug for task_type in team.task_types.all()}
        for role in {False, is_lead}:
            if team.serves_all_principals:
                everywhere[role] |= slugs
            else:
                somewhere[role] |= {(slug, p.principal_id) for slug in slugs for p in team.principals.all()}
    return Grants(
        teams=frozenset(membership.team_id for membership in memberships),
        led=frozenset(m.team_id for m in memberships if m.role == TeamMembership.Role.LEAD),
        types_for_all=frozenset(everywhere[False]),
        types_for_some=frozenset(somewhere[False]),
        led_types_for_all=frozenset(everywhere[True]),
        led_types_for_some=frozenset(somewhere[True]),
    )


@dataclass(frozen=True)
class Actor:
    """A user and the frame of the request.

    `scopes` and `principals` bind an adapter's token (`principals` None: all); a person acts by the grants of his
    teams and has `scopes` None. `address` is the client's by trusted proxy; both it and the correlation id go to the
    audit entry.
    """

    user: User
    scopes: frozenset[str] | None = None
    principals: frozenset[str] | None = None
    address: str | None = None
    correlation_id: str = ""
    read_grants: Callable[[User], Grants] = grants_of

    @property
    def is_person(self) -> bool:
        return self.user.kind == User.Kind.PERSON

    @property
    def is_system(self) -> bool:
        return self.user.kind == User.Kind.SYSTEM

    @property
    def is_adapter(self) -> bool:
        return self.user.kind == User.Kind.SERVICE

    @cached_property
    def grants(self) -> Grants:
        return self.read_grants(self.user)

    def has_scope(self, scope: Scope) -> bool:
        """Whether an adapter's token carries `scope`. People need none."""
        return self.scopes is not None and scope in self.scopes

    def speaks_for(self, principal_id: str) -> bool:
        """Whether an adapter's token covers the principal."""
        return self.is_adapter and (self.principals is None or principal_id in self.principals)


def system_actor(correlation_id: str = "") -> Actor:
    """The actor under whom timers act."""
    return Actor(user=User.objects.system(), correlation_id=correlation_id)
