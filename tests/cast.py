"""The cast: the people and adapters of every story, in tests as in the demo data.

ana reviews creatives, sam leads that team, zoe works ad operations, tom technical operations, cora compliance;
root administers; bot is an adapter for acme_corp, eve one for globex.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from core import clock, recent
from notifications.models import Channel, Endpoint
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, Principal, Scope, Team, TeamMembership, User
from tasks_app.models.access import default_scopes
from tasks_app.services import NewTask, open_task

PASSWORD = "a long enough pass phrase"

MEMBERS = {
    "ana": ("creative-review", "member"),
    "sam": ("creative-review", "lead"),
    "zoe": ("ad-operations", "member"),
    "tom": ("technical-operations", "member"),
    "cora": ("compliance", "member"),
}


def person(username: str, **fields: Any) -> User:
    """A person who may enter the console; the password is hashed cheaply (tests/conftest.py)."""
    user = User(username=username, email=f"{username}@agency.example", is_staff=True, **fields)
    user.set_password(PASSWORD)
    user.save()
    return user


def add_to_team(user: User, team: str, role: str = "member") -> None:
    TeamMembership.objects.create(user=user, team=Team.objects.get(pk=team), role=role)


@pytest.fixture
def principals(db: None) -> dict[str, Principal]:
    return {
        pk: Principal.objects.create(pk=pk, name=name)
        for pk, name in (("acme_corp", "Acme Corp"), ("globex", "Globex"))
    }


@pytest.fixture
def people(principals: dict[str, Principal]) -> dict[str, User]:
    cast = {}
    for username, (team, role) in MEMBERS.items():
        cast[username] = person(username)
        add_to_team(cast[username], team, role)
    cast["root"] = person("root", is_superuser=True)
    cast["bot"] = User.objects.create(username="bot", kind=User.Kind.SERVICE, password="!")
    cast["eve"] = User.objects.create(username="eve", kind=User.Kind.SERVICE, password="!")
    return cast


def _person_fixture(username: str) -> Any:
    @pytest.fixture(name=username)
    def actor(people: dict[str, User]) -> Actor:
        return Actor(user=people[username], address="127.0.0.1", correlation_id="test")

    return actor


ana, sam, zoe, tom, cora, root = (_person_fixture(name) for name in ("ana", "sam", "zoe", "tom", "cora", "root"))


def adapter(user: User, *principals: str, scopes: list[str] | None = None) -> Actor:
    return Actor(
        user=user,
        scopes=frozenset(default_scopes() if scopes is None else scopes),
        principals=frozenset(principals) if principals else None,
        address="127.0.0.1",
        correlation_id="test",
    )


@pytest.fixture
def bot(people: dict[str, User]) -> Actor:
    return adapter(people["bot"], "acme_corp")


@pytest.fixture
def eve(people: dict[str, User]) -> Actor:
    return adapter(people["eve"], "globex")


@pytest.fixture
def worker_bot(people: dict[str, User]) -> Actor:
    """bot with a token that may also record people's decisions."""
    return adapter(people["bot"], "acme_corp", scopes=[*default_scopes(), Scope.WORK])


def channel(slug: str) -> Channel:
    """A channel of the operator by this slug; nothing is sent to it in tests that do not drain."""
    endpoint = Endpoint.objects.create(url=f"mailto:{slug}@agency.example", created_at=clock.now())
    return Channel.objects.create(slug=slug, name=slug, endpoint=endpoint)


@contextmanager
def remembering() -> Iterator[None]:
    """Types, teams and people are remembered, as in real life: for tests that change none and ask very often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "settings", SimpleNamespace(HITL_LOOKUP_SECONDS=3600.0))
        recent.forget_everything()
        yield
        recent.forget_everything()


@pytest.fixture
def catalogue_remembered() -> Iterator[None]:
    with remembering():
        yield


NewTaskFactory = Callable[..., HumanTask]


@pytest.fixture
def make_task(bot: Actor) -> NewTaskFactory:
    """Open a task as bot; keyword arguments go to NewTask."""

    def make(task_type: str = "creative_approval", *, actor: Actor = bot, **fields: Any) -> HumanTask:
        task, _created = open_task(
            NewTask(task_type=task_type, principal_id=fields.pop("principal_id", "acme_corp"), **fields), actor
        )
        return task

    return make
