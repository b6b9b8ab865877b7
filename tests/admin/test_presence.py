"""Two people, one task: who has it open, what a colleague did meanwhile, and what nobody else is told."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core import clock
from tasks_app import services
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, TaskEvent, TaskPresence, TaskType, Team, User
from tasks_app.permissions import can_see
from tasks_app.services import Decision
from tasks_app.services.presence import who_sees
from tests.admin.conftest import QUEUE, ClientFor, page_of, text_of
from tests.cast import NewTaskFactory, add_to_team, person


def beat(client: Client, task: HumanTask, **fields: Any) -> Any:
    return client.post(f"{QUEUE}{task.pk}/presence/", {"version": HumanTask.objects.get(pk=task.pk).version, **fields})


def test_it_names_who_else_has_the_task_open(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task()
    assert beat(client_for("ana"), task).json()["others"] == ""
    assert beat(client_for("sam"), task).json()["others"] == "ana has this open now"
    assert beat(client_for("root"), task).json()["others"] == "sam and ana have this open now"
    assert TaskEvent.objects.filter(task=task).count() == 1, "no event tells of it"


def test_it_forgets_after_45_seconds_and_when_one_leaves(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task()
    for name in ("ana", "root"):
        beat(client_for(name), task)
    client_for("root").post(f"{QUEUE}{task.pk}/presence/left/")
    assert beat(client_for("sam"), task).json()["others"] == "ana has this open now"
    with clock.at(clock.now() + timedelta(seconds=46)):
        assert beat(client_for("sam"), task).json()["others"] == ""


def test_it_lists_only_people_who_may_see_the_task(
    make_task: NewTaskFactory, client_for: ClientFor, people: dict[str, User]
) -> None:
    task = make_task()
    assert beat(client_for("zoe"), task).status_code == 404
    assert not TaskPresence.objects.exists()
    beat(client_for("ana"), task)
    people["ana"].memberships.all().delete()
    assert beat(client_for("sam"), task).json()["others"] == ""


def test_it_says_the_same_of_who_sees_as_the_permission(make_task: NewTaskFactory, people: dict[str, User]) -> None:
    """Twins: the filter on people, and the function in memory."""
    desk = Team.objects.create(slug="globex-desk", name="Globex desk", serves_all_principals=False)
    desk.task_types.set(TaskType.objects.filter(pk="creative_approval"))
    add_to_team(person("gus"), "globex-desk")
    add_to_team(person("lea"), "leads")
    person("gone", is_active=False)
    for task in (make_task(), make_task("compliance_review")):
        listed = set(User.objects.filter(who_sees(task), is_active=True))
        assert listed == {user for user in User.objects.filter(kind="person") if can_see(Actor(user=user), task)}


def test_it_answers_nothing_where_the_page_knows_all(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task, client = make_task(), client_for("ana")
    tag = beat(client, task).json()["tag"]
    assert beat(client, task, tag=tag).status_code == 204
    beat(client_for("sam"), task)
    assert beat(client, task, tag=tag).json()["others"] == "sam has this open now"


def test_it_tells_what_a_colleague_did_while_a_dialog_is_open(
    make_task: NewTaskFactory, client_for: ClientFor, sam: Actor
) -> None:
    task, client = make_task(), client_for("ana")
    tag = beat(client, task).json()["tag"]
    services.decide_task(task.pk, sam, Decision("approved"))
    answer = beat(client, task, tag=tag, version=1).json()
    assert answer["said"] == "sam has decided this task just now: approved."
    assert answer["standing"] == "Decided by sam just now."


def test_it_shows_that_somebody_is_deciding(make_task: NewTaskFactory, client_for: ClientFor, ana: Actor) -> None:
    task = make_task()
    services.stage_decision(task.pk, ana, Decision("approved"))
    assert "ana is deciding it right now." in text_of(client_for("sam").get(page_of(task)))
    assert "Deciding" in text_of(client_for("sam").get(f"{QUEUE}?tab=all"))
    assert "You have decided it" in text_of(client_for("ana").get(page_of(task)))


def test_it_writes_at_most_every_ten_seconds(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task, client = make_task(), client_for("ana")
    beat(client, task)
    seen = TaskPresence.objects.get().seen_at
    with CaptureQueriesContext(connection) as captured:
        beat(client, task)
    assert TaskPresence.objects.get().seen_at == seen
    assert not [query for query in captured.captured_queries if "INSERT" in query["sql"]]
    with clock.at(clock.now() + timedelta(seconds=11)):
        beat(client, task)
    assert TaskPresence.objects.get().seen_at > seen


def test_it_asks_as_many_questions_with_many_people_as_with_one(
    make_task: NewTaskFactory, client_for: ClientFor, ana: Actor
) -> None:
    task, client = make_task(), client_for("ana")

    def asked() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert beat(client, task).status_code == 200
        return len(captured)

    beat(client_for("sam"), task)
    beat(client, task)
    few = asked()
    for number in range(12):
        colleague = person(f"colleague{number}")
        add_to_team(colleague, "creative-review")
        TaskPresence.objects.create(task=task, user=colleague, seen_at=clock.now())
    assert asked() == few
    assert few <= 12, few


def test_it_tells_the_holder_on_any_page_that_a_task_goes_back(
    make_task: NewTaskFactory, client_for: ClientFor, ana: Actor
) -> None:
    task = make_task(creative_id="cr_3")
    services.claim_task(task.pk, ana)
    assert client_for("ana").get(f"{QUEUE}news/").json() == {"news": []}
    Team.objects.filter(pk="creative-review").update(return_after_minutes=30)
    HumanTask.objects.filter(pk=task.pk).update(return_warned_at=clock.now())
    (news,) = client_for("ana").get(f"{QUEUE}news/").json()["news"]
    assert news["text"].startswith("You have left this task alone; it goes back to the queue at ")
    assert client_for("sam").get(f"{QUEUE}news/").json() == {"news": []}


@pytest.mark.parametrize("path", ["presence/", "presence/left/"])
def test_it_wants_a_post_and_its_token(make_task: NewTaskFactory, ana: Actor, path: str) -> None:
    task = make_task()
    client = Client(enforce_csrf_checks=True)
    client.force_login(ana.user)
    assert client.get(f"{QUEUE}{task.pk}/{path}").status_code == 405
    assert client.post(f"{QUEUE}{task.pk}/{path}", {"version": 1}).status_code == 403


def test_it_hands_over_on_the_task_page(make_task: NewTaskFactory, press: Any, ana: Actor, sam: Actor) -> None:
    task = make_task()
    services.claim_task(task.pk, ana)
    task.refresh_from_db()
    assert press("ana", task, "hand-over", colleague="sam", text=" ").status_code == 400
    assert press("ana", task, "hand-over", colleague="zoe", text="yours").status_code == 400
    assert press("ana", task, "hand-over", colleague="sam", text="yours").status_code == 302
    assert HumanTask.objects.get(pk=task.pk).assigned_to == sam.user
