"""Whom news concerns, and who may still see the task when the message goes out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from notifications.models import Endpoint
from notifications.payloads import News
from tasks_app.actors import Actor
from tasks_app.models import FiredStep, HumanTask, Mention, Team, TeamMembership, User
from tasks_app.permissions import can_see
from tasks_app.states import EventType

_TEAM_NEWS: Final = (EventType.CREATED, EventType.ROUTED, EventType.ESCALATED)


@dataclass(frozen=True)
class Audience:
    """What is needed to judge many news for many channels, read once."""

    teams: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """By person."""
    named: Mapping[str, str] = field(default_factory=dict)
    """By event: the slug of the channel that a step of a deadline policy names."""
    mentioned: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """By event: the people whom a comment names and who may see its task."""


def read(endpoints: Iterable[Endpoint], news: Iterable[News]) -> Audience:
    """In three queries at most."""
    people = {e.channel.person_id for e in endpoints if e.channel.person_id is not None}
    teams: dict[int, set[str]] = defaultdict(set)
    if people:
        memberships = TeamMembership.objects.filter(user__in=people, team__is_active=True)
        for person, team in memberships.values_list("user", "team"):
            teams[person].add(team)
    told = [one.event_id for one in news if one.type == EventType.CHANNEL_NOTIFIED]
    named = FiredStep.objects.filter(event_id__in=told).values_list("event_id", "step__channel") if told else ()
    comments = [one.event_id for one in news if one.type == EventType.COMMENTED] if people else []
    mentioned: dict[str, set[int]] = defaultdict(set)
    if comments:
        for event_id, person in Mention.objects.filter(event__in=comments).values_list("event", "person"):
            mentioned[event_id].add(person)
    return Audience(
        {person: frozenset(slugs) for person, slugs in teams.items()},
        dict(named),
        {event_id: frozenset(named_there) for event_id, named_there in mentioned.items()},
    )


def concerns(endpoint: Endpoint, news: News, audience: Audience) -> bool:
    """Whether a channel hears of this. What a step of a policy names goes out whatever the channel's own choice."""
    channel = endpoint.channel
    if news.type == EventType.CHANNEL_NOTIFIED:
        return audience.named.get(news.event_id) == str(channel.slug)
    if endpoint.event_types and news.type not in endpoint.event_types:
        return False
    if news.priority < endpoint.min_priority:
        return False
    if endpoint.task_types and news.task["task_type_id"] not in endpoint.task_types:
        return False
    if endpoint.principals and news.task["principal_id"] not in endpoint.principals:
        return False
    if channel.team_id is not None:
        return bool(news.snapshot["team_id"] == channel.team_id)
    if channel.person is None:
        return True
    return _concerns_person(channel.person, news, audience)


def _concerns_person(person: User, news: News, audience: Audience) -> bool:
    if news.actor_id == person.pk:  # nobody needs to be told what he or she did
        return False
    if news.type in _TEAM_NEWS:
        return news.snapshot["team_id"] in audience.teams.get(person.pk, frozenset())
    if person.pk in audience.mentioned.get(news.event_id, frozenset()):
        return True
    return bool(news.snapshot["assigned_to_id"] == person.pk)


class Entitlement:
    """Who may see which task now. Asked once per receiver for one batch, so that grants are read once."""

    def __init__(self) -> None:
        self._people: dict[int, Actor] = {}
        self._teams: dict[str, Team | None] = {}

    def may_see(self, endpoint: Endpoint, task: HumanTask) -> bool:
        channel = endpoint.channel
        if channel.person is not None:
            actor = self._people.setdefault(channel.person.pk, Actor(user=channel.person))
            return can_see(actor, task)
        if channel.team_id is None:
            return True
        team = self._team(channel.team_id)
        return team is not None and (task.team_id == team.pk or _serves(team, task))

    def _team(self, slug: str) -> Team | None:
        if slug not in self._teams:
            teams = Team.objects.filter(pk=slug, is_active=True).prefetch_related("task_types", "principals")
            self._teams[slug] = teams.first()
        return self._teams[slug]


def _serves(team: Team, task: HumanTask) -> bool:
    if task.task_type_id not in {kind.pk for kind in team.task_types.all()}:
        return False
    return team.serves_all_principals or task.principal_id in {principal.pk for principal in team.principals.all()}


def wanted(endpoints: Sequence[Endpoint], news: Sequence[News]) -> list[tuple[Endpoint, News]]:
    """Which channels hear of which news."""
    if not endpoints or not news:
        return []
    audience = read(endpoints, news)
    return [(endpoint, one) for one in news for endpoint in endpoints if concerns(endpoint, one, audience)]
