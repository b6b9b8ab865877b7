"""Nobody holds what he may not work on, whatever took the right away, and whenever the claim came."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks_app import jobs, services
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, TaskEvent, Team, TeamMembership, User
from tests.cast import NewTaskFactory, add_to_team, person


@pytest.fixture
def mia(people: dict[str, User]) -> Actor:
    """Works by a role, without a team."""
    person("mia").user_permissions.add(Permission.objects.get(codename="manage_every_task"))
    return Actor(user=User.objects.get(username="mia"))


def test_it_gives_back_what_a_deactivated_person_claimed_in_the_last_moment(
    make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    task, kept = make_task(), make_task()
    services.claim_task(kept.pk, sam)
    User.objects.filter(pk=ana.user.pk).update(is_active=False)
    assert services.claim_task(task.pk, ana).assigned_to == ana.user  # by what was read before
    jobs.return_stranded()
    task.refresh_from_db()
    kept.refresh_from_db()
    assert (task.status, task.assigned_to, kept.assigned_to) == ("pending", None, sam.user)
    assert TaskEvent.objects.filter(task=task).latest("seq").reason == "the account was deactivated"


@pytest.mark.parametrize("how", ["membership", "team", "role"])
def test_it_gives_back_what_a_person_lost_the_right_to(
    how: str, make_task: NewTaskFactory, ana: Actor, sam: Actor, mia: Actor
) -> None:
    who = mia if how == "role" else ana
    lost, kept = make_task(), make_task("permission_exception")
    add_to_team(ana.user, "ad-operations")
    for task in (lost, kept):
        services.claim_task(task.pk, Actor(user=who.user))
    if how == "membership":
        TeamMembership.objects.filter(user=ana.user, team="creative-review").delete()
    elif how == "team":
        Team.objects.filter(pk="creative-review").update(is_active=False)
    else:
        who.user.user_permissions.clear()
        add_to_team(who.user, "ad-operations")
    jobs.return_stranded()
    lost.refresh_from_db()
    kept.refresh_from_db()
    assert (lost.status, kept.assigned_to) == ("pending", who.user)


def test_it_leaves_what_is_in_order_alone_and_asks_as_much_for_many(make_task: NewTaskFactory, ana: Actor) -> None:
    asked = []
    for number in (1, 12):
        for index in range(number):
            add_to_team(person(f"p{number}-{index}"), "creative-review")
            services.claim_task(make_task().pk, Actor(user=User.objects.get(username=f"p{number}-{index}")))
        make_task("permission_exception")
        with CaptureQueriesContext(connection) as queries:
            jobs.return_stranded()
        asked.append(len(queries))
    assert asked == [6, 6]  # the system user, and five
    assert HumanTask.objects.filter(assigned_to__isnull=False).count() == 13
