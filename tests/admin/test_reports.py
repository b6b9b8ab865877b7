"""Reports: volume, times, misses and their causes, by whom one may see, in the reader's days; and safe as CSV."""

import csv
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core import clock
from tasks_app import events, reports, summaries
from tasks_app.actors import Actor
from tasks_app.models import Principal, Quarter, SLAPolicy, TaskType, Team, User
from tasks_app.selectors import visible_tasks
from tasks_app.services import Decision, claim_task, decide_task, hold_task, route_task, save_policy
from tests.admin.conftest import ClientFor, text_of
from tests.cast import NewTaskFactory, person

REPORT = "/admin/tasks_app/quarter/"
T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MONDAY = T.date()


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def roll_up() -> None:
    while events.assign_positions():
        pass
    while summaries.roll_up():
        pass


@pytest.fixture
def a_day(make_task: NewTaskFactory, ana: Actor, sam: Actor, cora: Actor) -> None:
    """Creatives, ten hours each: two in time, and one late for each of the four reasons; one for compliance."""
    save_policy(SLAPolicy(name="Ten hours", to_resolve_minutes=600, pauses_on_hold=False))
    Team.objects.get(pk="creative-review").task_types.add(TaskType.objects.get(pk="manual_approval"))

    def work(*, routed: float = 0, taken: float, ended: float, held: float = 0) -> None:
        with clock.at(T):
            task = make_task("manual_approval" if routed else "creative_approval", adapter_name="=mock()")
        if routed:
            with clock.at(T + hours(routed)):
                route_task(task.pk, actor=Actor(user=User.objects.get(username="root")), team="creative-review")
        with clock.at(T + hours(taken)):
            claim_task(task.pk, ana)
            if held:
                hold_task(task.pk, ana, reason="buyer", follow_up_at=T + hours(taken + held))
        with clock.at(T + hours(ended)):
            decide_task(task.pk, ana, Decision("approved"))

    work(taken=1, ended=2)
    work(taken=2, ended=4)
    work(taken=9, ended=11)
    work(taken=1, ended=11)
    work(taken=1, ended=12, held=8)
    work(routed=9, taken=9.5, ended=11)
    with clock.at(T):
        flagged = make_task("compliance_review")
    with clock.at(T + hours(1)):
        decide_task(flagged.pk, cora, Decision("approved"))
    roll_up()


def of(actor: Actor, by: str = "task_type", zone: str = "UTC", day: date = MONDAY) -> reports.Report:
    return reports.report(actor, reports.period_of("day", day, ZoneInfo(zone)), by)


def test_it_tells_volume_times_misses_and_causes(a_day: None, sam: Actor) -> None:
    found = of(sam)
    total = found.total
    assert (total.created, total.ended, total.missed) == (6, 6, 4)
    assert total.causes == {"waited": 1, "worked": 1, "held": 1, "routed": 1}
    assert total.times["ended"].mean == pytest.approx(hours(51 / 6).total_seconds())
    assert total.times["assigned"].median == pytest.approx(hours(1.5).total_seconds(), rel=0.1)
    creatives = found.groups["creative_approval"]
    assert (creatives.created, creatives.ended, creatives.missed, creatives.missed_share) == (5, 5, 3, 0.6)
    assert {name: group.ended for name, group in of(sam, "team").groups.items()} == {
        "creative-review": 6,
        "ad-operations": 0,  # where one of them was opened
    }
    assert {name: group.ended for name, group in of(sam, "adapter_name").groups.items()} == {"=mock()": 6}


def test_it_shows_only_what_one_may_see(a_day: None, sam: Actor, root: Actor, ana: Actor, bot: Actor) -> None:
    assert of(root).total.ended == 7
    assert "compliance_review" not in of(sam).groups
    assert [reports.may_read(actor) for actor in (sam, root, ana, bot)] == [True, True, False, False]
    desk = Team.objects.create(slug="globex-desk", name="Globex desk", serves_all_principals=False)
    desk.principals.set(Principal.objects.filter(pk="globex"))
    desk.task_types.set(TaskType.objects.filter(pk="creative_approval"))
    gus = person("gus")
    desk.memberships.create(user=gus, role="lead")
    assert of(Actor(user=gus)).total.ended == 0  # all of it is acme_corp's


def test_it_is_the_twin_of_what_tasks_one_sees(a_day: None, people: dict[str, User]) -> None:
    for name in ("ana", "sam", "zoe", "cora", "root", "tom"):
        actor = Actor(user=people[name])
        ended = visible_tasks(actor).filter(completed_at__isnull=False).count()
        assert (
            sum(Quarter.objects.filter(reports.in_sight(actor), what="ended").values_list("number", flat=True)) == ended
        )


def test_a_day_is_the_readers(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    """Kathmandu is 5 h 45 min ahead: its second of March ends at 18:15 UTC, within an hour."""
    for minute in (10, 20):
        with clock.at(T.replace(hour=18, minute=minute)):
            decide_task(make_task().pk, ana, Decision("approved"))
    roll_up()
    days = [of(sam, zone="Asia/Kathmandu", day=date(2026, 3, day)).total.ended for day in (2, 3)]
    assert days == [1, 1]
    assert of(sam).total.ended == 2


@pytest.mark.parametrize(
    ("kind", "first", "last"),
    [("day", "2026-03-29", "2026-03-29"), ("week", "2026-03-23", "2026-03-29"), ("month", "2026-03-01", "2026-03-31")],
)
def test_periods_are_whole_days_of_the_zone_over_a_change_of_the_clocks(kind: str, first: str, last: str) -> None:
    period = reports.period_of(kind, date(2026, 3, 29), ZoneInfo("Europe/Berlin"))
    assert (str(period.first), str(period.last)) == (first, last)
    assert (period.end.astimezone(UTC) - period.start.astimezone(UTC)) == timedelta(days=len(period.days), hours=-1)


def test_a_period_of_ones_own_lasts_a_year_at_most() -> None:
    period = reports.period_of("custom", date(2020, 1, 1), ZoneInfo("UTC"), last=date(2030, 1, 1))
    assert len(period.days) == 366
    assert len(reports.period_of("custom", date(2020, 1, 9), ZoneInfo("UTC"), last=date(2020, 1, 1)).days) == 1


def test_its_page_and_csv_are_for_leads_and_auditors(a_day: None, client_for: ClientFor) -> None:
    auditor = person("audrey")
    auditor.groups.add(Group.objects.get(name="Auditor"))
    audrey = Client()
    audrey.force_login(auditor)
    asked = f"{REPORT}?period=month&date=2026-03-15&by=team"
    for who in ("ana", "zoe"):
        assert client_for(who).get(asked).status_code == client_for(who).get(f"{asked}&format=csv").status_code == 403
    page = text_of(client_for("sam").get(asked))
    for words in ("March 2026", "Creative review", "worked on too long", "67 %"):
        assert words in page
    assert "Compliance" not in page.split("Until taken")[2]
    rows = list(csv.reader(StringIO(audrey.get(f"{asked}&format=csv").content.decode("utf-8-sig"))))
    head, groups = rows[0], {row[4]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}
    assert head[:5] == ["from", "to", "time_zone", "by", "group"]
    assert groups["total"]["ended"] == "7"
    assert groups["creative-review"]["missed_share"] == str(round(4 / 6, 4))
    assert {groups["2026-03-02"][name] for name in ("opened", "ended")} == {"7"}
    # Of one day all happened: its row says what the total says.
    assert [*groups["2026-03-02"].values()][5:] == [*groups["total"].values()][5:]
    assert groups["total"]["to_end_median_s"]
    assert len(rows) == 1 + len(groups) == 1 + 3 + 1 + 31


def test_it_tells_groups_of_one_name_apart(a_day: None, client_for: ClientFor) -> None:
    Team.objects.filter(pk__in=["creative-review", "ad-operations"]).update(name="Desk")
    page = client_for("sam").get(f"{REPORT}?period=day&date=2026-03-02&by=team")
    lines = {line.name: line.figures.ended for line in page.context["lines"]}
    assert lines == {"Desk (creative-review)": 6, "Desk (ad-operations)": 0}


def test_its_cells_are_no_formulas(a_day: None, client_for: ClientFor) -> None:
    body = client_for("sam").get(f"{REPORT}?period=day&date=2026-03-02&by=adapter_name&format=csv").content.decode()
    assert "'=mock()" in body
    assert ",=mock()" not in body


def test_it_costs_the_same_for_ten_times_the_tasks(
    make_task: NewTaskFactory, ana: Actor, client_for: ClientFor
) -> None:
    def cost(number: int) -> tuple[int, int]:
        with clock.at(T):
            tasks = [make_task() for _ in range(number)]
        with clock.at(T + hours(1)):
            for task in tasks:
                decide_task(task.pk, ana, Decision("approved"))
        roll_up()
        client = client_for("sam")
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"{REPORT}?period=day&date=2026-03-02").status_code == 200
        assert not [q for q in queries if "tasks_app_humantask" in q["sql"] and 'completed_at" IS NULL' not in q["sql"]]
        return Quarter.objects.count(), len(queries)

    assert cost(2) == cost(20)


def test_it_says_what_makes_no_sense_of_an_address(client_for: ClientFor) -> None:
    """The page does so above what it shows instead; a table could not, and is refused."""
    sam = client_for("sam")
    for asked, said in (
        ("period=x", "period: there is no “x”; give one of day, week, month, custom."),
        ("date=0000-99-99", "date: “0000-99-99” is no date like 2026-03-31."),
        ("period=custom&date=9999-01-01&to=1", "date: “9999-01-01” is too far away."),
        ("by=password", "by: there is no “password”; give one of task_type, team, principal, adapter_name."),
        ("period=custom&date=2026-03-02&to=2026-03-01", "to: it is before the first day."),
        ("period=custom&date=2024-01-01&to=2026-01-01", "to: a report is of a year at most."),
        ("period=custom&date=2026-03-01&to=2027-03-01", ""),
        ("period=custom&date=2026-03-01", ""),
        ("", ""),
    ):
        page, table = sam.get(f"{REPORT}?{asked}"), sam.get(f"{REPORT}?format=csv&{asked}")
        assert (page.status_code, said in text_of(page)) == (200, True), asked
        assert (table.status_code, said in table.content.decode()) == (400 if said else 200, True), asked
        assert bool(page.context["wrong"]) == bool(said)
