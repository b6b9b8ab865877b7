"""Twins: what a filter says in the database and what a function says in memory is the same for every actor and task."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.db.models import Q

from tasks_app import permissions
from tasks_app.actors import Actor, system_actor
from tasks_app.models import HumanTask, Principal, Scope, TaskType, Team, User
from tasks_app.models.access import default_scopes
from tasks_app.permissions import can_claim, can_see, served_by, visible_to
from tasks_app.selectors import claimable, open_tasks, visible_tasks
from tasks_app.services import Decision, claim_task, decide_task, escalate_task, route_task, withdraw_task
from tasks_app.states import WAITING
from tests.cast import NewTaskFactory, adapter, add_to_team, person

Actors = dict[str, Actor]


@pytest.fixture
def actors(people: dict[str, User]) -> Actors:
    """The cast, and everybody whose sight is cut in an unusual way."""
    desk = Team.objects.create(slug="globex-desk", name="Globex desk", serves_all_principals=False)
    desk.principals.set(Principal.objects.filter(pk="globex"))
    desk.task_types.set(TaskType.objects.filter(pk__in=["creative_approval", "manual_approval"]))
    closed = Team.objects.create(slug="closed", name="Closed", is_active=False)
    closed.task_types.set(TaskType.objects.filter(pk="creative_approval"))
    idle = Team.objects.create(slug="idle", name="Without work")
    for name, team in (("gus", desk), ("clo", closed), ("ida", idle), ("lea", Team.objects.get(pk="leads"))):
        add_to_team(person(name), team.pk, "lead")
    two = person("two")
    add_to_team(two, "globex-desk")
    add_to_team(two, "compliance", "lead")
    person("nobody")
    add_to_team(person("gone", is_active=False), "creative-review", "lead")
    person("audrey").user_permissions.add(Permission.objects.get(codename="view_every_task"))
    person("mia").user_permissions.add(Permission.objects.get(codename="manage_every_task"))
    bot, eve = people["bot"], people["eve"]
    sleeping = User.objects.create(username="sleeping", kind=User.Kind.SERVICE, password="!", is_active=False)
    return {
        **{user.username: Actor(user=user) for user in User.objects.filter(kind=User.Kind.PERSON)},
        "bot": adapter(bot, "acme_corp"),
        "eve": adapter(eve, "globex"),
        "both": adapter(bot, "acme_corp", "globex"),
        "all": adapter(bot),
        "writer": adapter(bot, "acme_corp", scopes=[Scope.CREATE]),
        "clerk": adapter(bot, "acme_corp", scopes=[*default_scopes(), Scope.WORK]),
        "no principal": Actor(user=bot, scopes=frozenset(default_scopes()), principals=frozenset()),
        "sleeping": adapter(sleeping, "acme_corp"),
        "system": system_actor(),
    }


@pytest.fixture
def tasks(actors: Actors, make_task: NewTaskFactory) -> list[HumanTask]:
    """Tasks of every type, principal, status and stage, with teams that their types would not give."""
    TaskType.objects.filter(pk="creative_approval").update(needs_second_reviewer=True)
    ana, sam, system = actors["ana"], actors["sam"], actors["system"]
    for principal, opener in (("acme_corp", actors["bot"]), ("globex", actors["eve"])):
        made = {
            kind.pk: make_task(kind.pk, actor=opener, principal_id=principal)
            for kind in TaskType.objects.order_by("slug")
        }
        escalate_task(made["compliance_review"].pk, system)
        route_task(made["manual_approval"].pk, system, team="creative-review")
        withdraw_task(made["configuration_required"].pk, opener)
        second = make_task(actor=opener, principal_id=principal)
        decide_task(second.pk, ana, Decision("approved"))
        held = make_task(actor=opener, principal_id=principal)
        decide_task(held.pk, ana, Decision("approved"))
        claim_task(held.pk, sam)
        ended = make_task(actor=opener, principal_id=principal)
        decide_task(ended.pk, ana, Decision("approved"))
        decide_task(ended.pk, sam, Decision("approved"))
        odd = make_task("permission_exception", actor=opener, principal_id=principal)
        route_task(odd.pk, system, team="idle")
    asked = make_task(actor=sam)
    decide_task(asked.pk, ana, Decision("approved"))
    return list(HumanTask.objects.select_related("task_type"))


def differences(actors: Actors, tasks: list[HumanTask], query: Callable[[Actor], Q]) -> list[str]:
    """Where `can_see` and a filter part."""
    found = []
    for name, actor in actors.items():
        listed = set(HumanTask.objects.filter(query(actor)).values_list("pk", flat=True))
        found += [f"{name}: {task.pk}" for task in tasks if (task.pk in listed) != can_see(actor, task)]
    return found


def test_it_lists_what_it_shows(actors: Actors, tasks: list[HumanTask]) -> None:
    assert not differences(actors, tasks, visible_to)
    seen = {name: sum(can_see(actor, task) for task in tasks) for name, actor in actors.items()}
    assert {name for name, number in seen.items() if number == 0} == {
        "clo", "gone", "nobody", "no principal", "sleeping", "writer",
    }  # fmt: skip
    assert {name for name, number in seen.items() if number == len(tasks)} == {
        "all",
        "audrey",
        "both",
        "mia",
        "root",
        "system",
    }
    assert 0 < seen["gus"] < seen["ana"] < len(tasks)


def test_it_would_notice_a_twin_that_sees_too_much(actors: Actors, tasks: list[HumanTask]) -> None:
    """Negative control."""
    assert differences(actors, tasks, lambda actor: visible_to(actor) | Q(principal="globex"))
    assert differences(actors, tasks, lambda actor: visible_to(actor) & ~Q(team="idle"))


def test_it_offers_what_one_may_claim(actors: Actors, tasks: list[HumanTask]) -> None:
    for name, actor in actors.items():
        offered = set(claimable(actor).values_list("pk", flat=True))
        assert offered == {task.pk for task in tasks if task.status in WAITING and can_claim(actor, task)}, name
        for task_type in TaskType.objects.all():
            narrowed = set(claimable(actor, task_type=task_type.pk, principal_id="globex").values_list("pk", flat=True))
            assert narrowed == {
                t.pk for t in tasks if t.pk in offered and (t.task_type_id, t.principal_id) == (task_type.pk, "globex")
            }


def test_it_serves_what_it_works_on(actors: Actors, tasks: list[HumanTask]) -> None:
    for name, actor in actors.items():
        if not actor.is_person:
            continue
        served = set(HumanTask.objects.filter(served_by(actor)).values_list("pk", flat=True))
        assert served == {task.pk for task in tasks if permissions._serves(actor, task)}, name
        assert served <= set(visible_tasks(actor).values_list("pk", flat=True)), name


def test_it_counts_in_lists_only_what_is_open_and_seen(actors: Actors, tasks: list[HumanTask]) -> None:
    for name, actor in actors.items():
        assert open_tasks(actor).count() == sum(task.is_open and can_see(actor, task) for task in tasks), name
