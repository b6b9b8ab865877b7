"""The world in which the machines play: people, adapters and teams, and by hand, who sees and works what.

`sees` and `serves` say in plain Python what design and catalogue promise. They share no code with `permissions.py`, so
that a hole there is a difference here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.contrib.auth.models import Permission

from tasks_app.actors import Actor, system_actor
from tasks_app.models import Principal, Scope, TaskType, Team, User
from tasks_app.models.access import default_scopes
from tests.cast import adapter, add_to_team, person

Row = Mapping[str, Any]

START: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FOUR_EYES: Final = "four_eyes"  # two reviewers; ends by itself
EXPIRES_AFTER_HOURS: Final = 120
TYPES: Final = ("creative_approval", FOUR_EYES, "permission_exception", "compliance_review")
PRINCIPALS: Final = ("acme_corp", "globex")
TARGETS: Final = ("creative-review", "ad-operations", "compliance", "globex-desk", "leads")

REVIEWERS: Final = ("ana", "bea", "sam", "zoe", "cora", "gus", "root", "audrey")
ADAPTERS: Final = ("bot", "eve", "clerk")  # clerk: bot's other token, which records people's decisions
EVERYBODY: Final = (*REVIEWERS, *ADAPTERS, "system")

_TEAMS: Final = {
    "ana": ("creative-review", {"creative_approval", FOUR_EYES}),
    "bea": ("creative-review", {"creative_approval", FOUR_EYES}),
    "sam": ("creative-review", {"creative_approval", FOUR_EYES}),
    "zoe": ("ad-operations", {"permission_exception", "manual_approval"}),
    "cora": ("compliance", {"compliance_review"}),
}
_IN_A_TEAM: Final[dict[str, int]] = {}  # who -> user; who is in any team goes on seeing what he asked for
_TOKENS: Final = {"bot": "acme_corp", "clerk": "acme_corp", "eve": "globex"}


def serves(who: str, task: Row) -> bool:
    """Whether the task is this person's kind of work: by the team it lies with, or by its type."""
    if who == "root":
        return True
    if who == "gus":  # his team works for one principal only
        his = task["task_type_id"] == "creative_approval" and task["principal_id"] == "globex"
        return bool(his or task["team_id"] == "globex-desk")
    team, types = _TEAMS.get(who, ("", set()))
    return bool(task["team_id"] == team or task["task_type_id"] in types)


def sees(who: str, task: Row) -> bool:
    if who in _TOKENS:
        return bool(task["principal_id"] == _TOKENS[who])
    return who in ("audrey", "system") or serves(who, task) or task["requested_by_id"] == _IN_A_TEAM.get(who, 0)


def build() -> dict[str, Actor]:
    """Create everything in the database; return the actors by name."""
    for principal in PRINCIPALS:
        Principal.objects.create(pk=principal)
    four_eyes = TaskType.objects.create(
        slug=FOUR_EYES,
        label="Four eyes",
        default_team=Team.objects.get(pk="creative-review"),
        needs_second_reviewer=True,
        expires_after_hours=EXPIRES_AFTER_HOURS,
    )
    Team.objects.get(pk="creative-review").task_types.add(four_eyes)
    desk = Team.objects.create(slug="globex-desk", name="Globex desk", serves_all_principals=False)
    desk.principals.set(Principal.objects.filter(pk="globex"))
    desk.task_types.set(TaskType.objects.filter(pk="creative_approval"))
    for name, (team, _types) in _TEAMS.items():
        add_to_team(person(name), team, "lead" if name == "sam" else "member")
    add_to_team(person("gus"), "globex-desk")
    person("root", is_superuser=True)
    person("audrey").user_permissions.add(Permission.objects.get(codename="view_every_task"))
    users = {name: User.objects.get(username=name) for name in REVIEWERS}
    _IN_A_TEAM.update({name: users[name].pk for name in (*_TEAMS, "gus")})
    bot, eve = (User.objects.create(username=name, kind=User.Kind.SERVICE, password="!") for name in ("bot", "eve"))
    return {
        **{name: Actor(user=user, address="127.0.0.1", correlation_id="play") for name, user in users.items()},
        "bot": adapter(bot, "acme_corp"),
        "eve": adapter(eve, "globex"),
        "clerk": adapter(bot, "acme_corp", scopes=[*default_scopes(), Scope.WORK]),
        "system": system_actor("play"),
    }
