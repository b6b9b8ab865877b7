"""Home: what waits, at a glance, and cards of other apps."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core import clock
from tasks_app.actors import Actor
from tasks_app.admin import home
from tasks_app.events import assign_positions
from tasks_app.models import HourSummary, Principal, Team, User
from tasks_app.services import Decision, claim_task, decide_task
from tasks_app.summaries import roll_up
from tests.admin.conftest import ClientFor, text_of
from tests.cast import NewTaskFactory, add_to_team


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
    assert [card.hint for card in cards[:2]] == ["tasks you hold", "the oldest waits 3 h"]
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
        assert f'"{link}"' not in mine
        assert f'"{link}"' in all_of_it


@pytest.fixture
def past(make_task: NewTaskFactory, ana: Actor, cora: Actor, sam: Actor) -> None:
    """Two creatives decided by Ana, one of them late, and a flagged one by Cora; one that Sam holds is late."""
    for hours in (1, 30):
        with clock.at(clock.now() - timedelta(hours=3)):
            task = make_task(due_in_hours=hours)
        with clock.at(clock.now() - timedelta(hours=1)):
            decide_task(task.pk, ana, Decision("approved"))
    flagged = make_task("compliance_review", priority=4)
    decide_task(flagged.pk, cora, Decision("approved"))
    with clock.at(clock.now() - timedelta(hours=3)):
        held = make_task(due_in_hours=1)
        claim_task(held.pk, sam)
    with transaction.atomic():
        assign_positions()
    roll_up()


def test_it_tells_how_the_team_does(past: None, client_for: ClientFor) -> None:
    page = client_for("ana").get("/admin/")
    day = page.context["day"]
    assert (day.decided, day.breached, day.breach_rate) == (2, 1, "50 %")
    assert (day.escalation_rate, page.context["escalated"]) == ("0 %", "0 escalated, 3 opened")
    assert day.median.startswith(("1 h", "2 h"))
    assert (sum(bar.created for bar in day.bars), sum(bar.resolved for bar in day.bars)) == (3, 2)
    assert "3 tasks were opened and 2 resolved" in page.content.decode()
    assert [(row.label, row.total.number) for row in page.context["open_by_type"]] == [("Creative approval", 1)]
    assert page.context["people"] is None


def test_it_tells_nobody_the_figures_of_other_teams(past: None, people: dict[str, User], client_for: ClientFor) -> None:
    days = {who: client_for(who).get("/admin/").context["day"] for who in ("ana", "cora", "zoe", "root")}
    assert {who: day.decided for who, day in days.items()} == {"ana": 2, "cora": 1, "zoe": 0, "root": 3}
    assert "Creative approval" not in text_of(client_for("cora").get("/admin/"))
    # Who works a type for one principal alone must not learn the numbers of the others: they are kept by type.
    team = Team.objects.get(pk="creative-review")
    team.serves_all_principals = False
    team.save()
    team.principals.set(Principal.objects.filter(pk="globex"))
    assert client_for("ana").get("/admin/").context["day"] is None


def test_it_shows_leads_who_holds_what(past: None, people: dict[str, User], client_for: ClientFor) -> None:
    page = client_for("sam").get("/admin/")
    rows = {row.name: (row.held, row.overdue, row.decided, row.oldest) for row in page.context["people"]}
    assert rows == {"sam": (1, 1, 0, "3 h"), "ana": (0, 0, 2, "")}
    assert {row.name for row in client_for("root").get("/admin/").context["people"]} >= {"ana", "sam", "cora", "zoe"}
    for who in ("ana", "cora", "zoe"):
        assert client_for(who).get("/admin/").context["people"] is None


def test_it_shows_kept_promises_and_operations_to_those_who_see_everything(past: None, client_for: ClientFor) -> None:
    promises = client_for("root").get("/admin/").context["promises"]
    assert sum(row.ended for row in promises.policies) == 3
    assert sum(row.ended for row in promises.operations) == 3
    assert {client_for(who).get("/admin/").context["promises"] for who in ("ana", "sam", "cora", "zoe")} == {None}
    assert "Promises and operations" in text_of(client_for("root").get("/admin/"))


def test_it_counts_for_a_lead_only_what_he_leads(
    make_task: NewTaskFactory, people: dict[str, User], cora: Actor, client_for: ClientFor
) -> None:
    """Sam works in compliance, too, but leads creative review alone."""
    add_to_team(people["sam"], "compliance")
    claim_task(make_task("compliance_review").pk, cora)
    assert [(row.name, row.held) for row in client_for("sam").get("/admin/").context["people"]] == [
        ("ana", 0),
        ("sam", 0),
    ]


def test_it_reads_hours_and_no_closed_tasks(past: None, client_for: ClientFor) -> None:
    with CaptureQueriesContext(connection) as captured:
        client_for("sam").get("/admin/")
    asked = [query["sql"] for query in captured.captured_queries]
    # Of open alerts, the tasks that they are about are looked up one by one.
    of_tasks = [sql for sql in asked if 'FROM "tasks_app_humantask"' in sql and 'FROM "notifications_alert"' not in sql]
    # Open rows, or those with a timer: ended tasks have none, and its index holds no others.
    assert [sql for sql in of_tasks if '"completed_at" IS NULL' not in sql and '"next_timer_at" <' not in sql] == []
    assert HourSummary.objects.exists()


def test_it_draws_a_chart_without_anything_in_it(people: dict[str, User], client_for: ClientFor) -> None:
    page = client_for("ana").get("/admin/")
    assert len(page.context["day"].bars) == 24
    day = page.context["day"]
    assert day.median == day.breach_rate == day.escalation_rate == "–"
