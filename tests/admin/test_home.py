"""Home: what waits, at a glance, and cards of other apps."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from core import clock
from tasks_app.actors import Actor
from tasks_app.admin import home
from tasks_app.services import claim_task
from tests.admin.conftest import ClientFor, text_of
from tests.cast import NewTaskFactory


@pytest.fixture
def sources() -> Iterator[None]:
    before = list(home._SOURCES)
    yield
    home._SOURCES[:] = before


def test_it_counts_what_the_reader_may_see(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    held = make_task()
    claim_task(held.pk, ana)
    with clock.at(clock.now() - timedelta(hours=3)):
        make_task(due_in_hours=1)
    make_task(due_in_hours=0.5)
    make_task("compliance_review")
    cards = client_for("ana").get("/admin/").context["cards"]
    assert {card.title: card.value for card in cards[:5]} == {
        "Mine": "1",
        "Unassigned": "2",
        "Overdue": "1",
        "Due within the hour": "1",
        "Escalated": "0",
    }
    assert {card.value for card in client_for("zoe").get("/admin/").context["cards"][:5]} == {"0"}


def test_it_lists_the_eight_most_urgent_that_one_can_do_something_about(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, client_for: ClientFor
) -> None:
    tasks = [make_task(priority=2) for _ in range(9)]
    urgent, taken = make_task(priority=4), make_task(priority=4)
    claim_task(taken.pk, sam)
    lines = client_for("ana").get("/admin/").context["lines"]
    assert [line.task_id for line in lines] == [urgent.pk, *(task.pk for task in tasks[:7])]


def test_it_shows_cards_of_other_apps(client_for: ClientFor, sources: None) -> None:
    home.register_card(lambda actor: home.Card(f"For {actor.user.get_username()}", "7", tone="red"))
    home.register_card(lambda actor: None)
    text = text_of(client_for("ana").get("/admin/"))
    assert "For ana 7" in text


def test_it_shows_the_sidebar_by_rights(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    claim_task(make_task().pk, ana)
    mine, all_of_it = (client_for(name).get("/admin/").content.decode() for name in ("ana", "root"))
    for link in ("/admin/tasks_app/tasktype/", "/admin/tasks_app/user/", "/admin/auditlog/logentry/"):
        assert link not in mine
        assert link in all_of_it
