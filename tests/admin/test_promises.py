"""Policies and calendars in the console: preview before saving, versions of steps, words in the timelines, who may."""

import html
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core import clock
from notifications.models import Endpoint
from tasks_app.actors import Actor, system_actor
from tasks_app.admin.months import month_of
from tasks_app.exceptions import InvalidInput
from tasks_app.models import BusinessCalendar, SLAPolicy, SLAStep, TaskEvent, User
from tasks_app.services import StepSpec, apply_changes, claim_task, save_policy
from tasks_app.sla.calendars import Calendar
from tests.admin.conftest import ClientFor, text_of
from tests.admin.test_catalog import form_values
from tests.cast import NewTaskFactory, channel, person
from tests.services.test_sla_policies import office

POLICIES = "/admin/tasks_app/slapolicy/"
CALENDARS = "/admin/tasks_app/businesscalendar/"
NEW = {
    "name": "Creatives in two hours",
    "is_active": "on",
    "task_type": "creative_approval",
    "to_resolve_minutes": "120",
    "pauses_on_hold": "on",
    "steps-TOTAL_FORMS": "1",
    "steps-INITIAL_FORMS": "0",
    "steps-0-clock": "resolve",
    "steps-0-at_percent": "100",
    "steps-0-action": "escalate",
}
HOURS = dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), "09:00-12:30, 13:30-18:00")
BERLIN = {"name": "Berlin", "slug": "berlin", "time_zone": "Europe/Berlin", "country": "DE", "subdivision": "BE"}


@pytest.fixture
def admin(people: dict[str, User]) -> Client:
    user = person("adam")
    user.groups.add(Group.objects.get(name="Administrator"))
    client = Client()
    client.force_login(user)
    return client


def confirmed(client: Client, url: str, sent: dict[str, Any]) -> Any:
    """Send the form, then what the preview would send."""
    page: Any = client.post(url, sent)
    assert page.status_code == 200, page
    assert "preview" in page.context, text_of(page)
    return client.post(url, {**dict(page.context["sent"]), "_confirmed": "1"})


def test_it_shows_what_a_policy_would_change_and_saves_only_then(make_task: NewTaskFactory, admin: Client) -> None:
    with clock.at(clock.now() - timedelta(hours=3)):
        late = make_task(priority=3, operation="add_creative", creative_id="cr_7")
        given = make_task(due_in_hours=48)
    other = make_task("manual_approval")
    page: Any = admin.post(f"{POLICIES}add/", NEW)
    found = page.context["preview"]
    assert (found.matched, found.changed, found.newly_overdue) == (2, 2, 1)
    said = text_of(page)
    for words in ("Nothing is saved yet", "Creative approval", "add_creative · cr_7", "Overdue at once 1"):
        assert words in said
    assert not SLAPolicy.objects.exists()
    assert TaskEvent.objects.filter(type="task.deadline_changed").count() == 0
    answer = admin.post(f"{POLICIES}add/", {**dict(page.context["sent"]), "_confirmed": "1"})
    assert answer.status_code == 302
    for task in (late, given, other):
        task.refresh_from_db()
    assert late.due_by == late.created_at + timedelta(hours=2)
    assert given.due_by == given.created_at + timedelta(hours=48)
    assert other.sla_policy_id is None
    event = TaskEvent.objects.get(task=late, type="task.deadline_changed")
    assert event.reason == "the policy “Creatives in two hours” was changed by adam"
    assert apply_changes(system_actor()) == 0
    entries = LogEntry.objects.filter(object_repr="Creatives in two hours")
    assert {entry.actor.username for entry in entries} == {"adam"}


def test_it_makes_a_new_version_of_an_edited_step(admin: Client) -> None:
    made = save_policy(
        SLAPolicy(name="Steps", to_resolve_minutes=60),
        [StepSpec("warn", at_percent=50), StepSpec("escalate", at_percent=100)],
    )
    warn, escalate = SLAStep.objects.filter(policy=made).order_by("at_percent")
    url = f"{POLICIES}{made.pk}/change/"
    values = form_values(admin.get(url))
    values |= {"steps-0-at_percent": "75", "steps-1-DELETE": "on"}
    assert confirmed(admin, url, values).status_code == 302
    (current,) = SLAStep.objects.filter(policy=made, is_current=True)
    assert (current.key, current.version, current.at_percent) == (warn.key, 2, 75)
    escalate.refresh_from_db()
    assert not escalate.is_current


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"to_resolve_minutes": ""}, "Give at least one of the three times"),
        ({"steps-0-offset_minutes": "5"}, "not both"),
        ({"steps-0-action": "notify"}, "Name the channel to notify"),
        ({"steps-0-at_percent": ""}, "Give a percentage of the target or minutes"),
        ({"name": ""}, "This field is required"),
    ],
)
def test_it_says_what_is_wrong_with_a_policy(admin: Client, wrong: dict[str, str], said: str) -> None:
    page = admin.post(f"{POLICIES}add/", {**NEW, **wrong, "_confirmed": "1"})
    assert page.status_code == 200
    assert said in text_of(page)
    assert not SLAPolicy.objects.exists()


def test_it_refuses_a_channel_that_does_not_exist(admin: Client) -> None:
    """Such a step would tell nobody, and nobody would notice."""
    wrong = {**NEW, "steps-0-action": "notify", "steps-0-channel": "opps", "_confirmed": "1"}
    page = admin.post(f"{POLICIES}add/", wrong)
    assert "There is no channel 'opps', nor any other: make one first." in html.unescape(text_of(page))
    channel("ops"), channel("night")
    page = admin.post(f"{POLICIES}add/", wrong)
    assert "There is no channel 'opps'. Channels are: night, ops." in html.unescape(text_of(page))
    with pytest.raises(InvalidInput, match="Channels are: night, ops"):
        save_policy(SLAPolicy(name="x", to_resolve_minutes=60), [StepSpec("notify", at_percent=50, channel="opps")])
    assert not SLAPolicy.objects.exists()
    assert admin.post(f"{POLICIES}add/", {**wrong, "steps-0-channel": "ops"}).status_code == 302
    assert SLAStep.objects.get().channel == "ops"
    # A channel that left later refuses no edit of the rest of its policy.
    Endpoint.objects.update(removed_at=clock.now())
    url = f"{POLICIES}{SLAPolicy.objects.get().pk}/change/"
    assert confirmed(admin, url, {**form_values(admin.get(url)), "name": "Renamed"}).status_code == 302
    assert SLAPolicy.objects.get().name == "Renamed"


def test_leads_see_and_only_administrators_edit(client_for: ClientFor, admin: Client) -> None:
    made, calendar = (
        save_policy(SLAPolicy(name="All", to_resolve_minutes=60), [StepSpec("warn", at_percent=50)]),
        office(),
    )
    auditor = person("audrey")
    auditor.groups.add(Group.objects.get(name="Auditor"))
    audrey = Client()
    audrey.force_login(auditor)
    for url in (POLICIES, f"{POLICIES}{made.pk}/change/", CALENDARS, f"{CALENDARS}{calendar.pk}/change/"):
        assert client_for("ana").get(url).status_code == 403
        assert client_for("sam").get(url).status_code == audrey.get(url).status_code == 200
    for client in (client_for("sam"), audrey, client_for("ana")):
        for sent in (NEW, {**NEW, "_confirmed": "1"}):
            assert client.post(f"{POLICIES}add/", sent).status_code == 403
            assert client.post(f"{POLICIES}{made.pk}/change/", sent).status_code == 403
            assert client.post(f"{CALENDARS}add/", {**BERLIN, **HOURS, "_confirmed": "1"}).status_code == 403
    assert list(SLAPolicy.objects.values_list("name", flat=True)) == ["All"]
    assert admin.get(f"{POLICIES}add/").status_code == admin.get(f"{CALENDARS}add/").status_code == 200


def test_it_makes_a_calendar_of_hours_as_people_write_them(admin: Client) -> None:
    sent = {**BERLIN, **HOURS, "sat": "22:00 to 6:00", "dates": "2026-12-24 9:00-12:00\n2026-12-31 closed\n"}
    assert confirmed(admin, f"{CALENDARS}add/", sent).status_code == 302
    row = BusinessCalendar.objects.get()
    assert row.weekly_hours["mon"] == [["09:00", "12:30"], ["13:30", "18:00"]]
    assert (row.weekly_hours["sat"], "sun" in row.weekly_hours) == ([["22:00", "06:00"]], False)
    assert row.own_dates == {"2026-12-24": [["09:00", "12:00"]], "2026-12-31": []}
    url = f"{CALENDARS}berlin/change/"
    page: Any = admin.get(f"{url}?month=2026-03")
    said = text_of(page)
    assert "March 2026" in said
    assert "Women's Day" in said.replace("&#x27;", "'")  # a holiday in Berlin alone
    assert "clocks go forward" in said
    values = form_values(page)
    assert (values["dates"], values["mon"]) == ("2026-12-24 09:00-12:00\n2026-12-31 closed", "09:00-12:30, 13:30-18:00")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mon": "nine to five"}, "is not a range of hours"),
        ({"mon": "09:00-12:00, 11:00-18:00"}, "overlap"),
        ({"mon": "09:00-09:00"}, "empty"),
        ({"mon": "25:00-26:00"}, "is not a time of day"),
        ({"dates": "someday closed"}, "is not a date"),
        ({"dates": "2026-12-24 closed\n2026-12-24 09:00-10:00"}, "stands there twice"),
        ({"subdivision": "XX"}, "Regions: BB, BE"),
        ({"time_zone": "Mars/Base"}, "Select a valid choice"),
        (dict.fromkeys(HOURS, ""), "at least one day"),
    ],
)
def test_it_says_what_is_wrong_with_a_calendar(admin: Client, wrong: dict[str, str], said: str) -> None:
    page = admin.post(f"{CALENDARS}add/", {**BERLIN, **HOURS, **wrong, "_confirmed": "1"})
    assert page.status_code == 200
    assert said in text_of(page)
    assert not BusinessCalendar.objects.exists()


def test_it_shows_what_a_calendar_would_change(make_task: NewTaskFactory, admin: Client) -> None:
    calendar = office()
    save_policy(SLAPolicy(name="An hour", to_resolve_minutes=60, calendar=calendar))
    monday = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # 09:00 in Berlin
    with clock.at(monday):
        task = make_task()
        url = f"{CALENDARS}{calendar.pk}/change/"
        values = form_values(admin.get(url)) | {"mon": "12:00-18:00"}
        page: Any = admin.post(url, values)
        (change,) = page.context["preview"].differences
        assert (change.due_before, change.due_after) == (monday + timedelta(hours=1), monday + timedelta(hours=4))
        assert "March 2026" in text_of(page)
        confirmed(admin, url, values)
    task.refresh_from_db()
    assert task.due_by == monday + timedelta(hours=4)


def test_it_asks_as_much_for_many_open_tasks_as_for_few(make_task: NewTaskFactory, ana: Actor, admin: Client) -> None:
    save_policy(SLAPolicy(name="All", to_resolve_minutes=60), [StepSpec("warn", at_percent=50)])
    admin.post(f"{POLICIES}add/", NEW)  # what is read once
    asked: list[list[str]] = []
    for number in (2, 20):
        for _ in range(number):
            claim_task(make_task().pk, ana)
        with CaptureQueriesContext(connection) as queries:
            assert admin.post(f"{POLICIES}add/", NEW).status_code == 200
        asked.append([query["sql"][:200] for query in queries])
    assert len(asked[0]) == len(asked[1]), "\n".join(asked[1])


def test_it_reads_a_month() -> None:
    calendar = Calendar.of("Europe/Berlin", {"sun": [["00:00", "06:00"]], "mon": [["22:00", "06:00"]]}, country="DE")
    month = month_of(calendar, date(2026, 3, 1))
    days = {day.number: day for week in month.weeks for day in week if day.is_in_month}
    assert (month.title, month.previous, month.next, len(days)) == ("March 2026", "2026-02", "2026-04", 31)
    assert (days[29].hours, days[29].total, days[29].note) == (["00:00–06:00"], "5 h", "clocks go forward")
    assert (days[2].hours, days[3].tone) == (["22:00–06:00"], "closed")
    nights = Calendar.of(
        "Europe/Berlin", {"mon": [["22:00", "10:00"]], "tue": [["09:00", "17:00"], ["21:00", "22:00"]]}
    )
    overlapping = month_of(nights, date(2026, 3, 1))  # five of each; from 09:00 to 10:00 it is one hour, not two
    assert (overlapping.weeks[1][0].total, overlapping.weeks[1][1].total, overlapping.total) == ("12 h", "8 h", "100 h")
    april = month_of(calendar, date(2026, 4, 1))
    easter = {day.number: day for week in april.weeks for day in week if day.is_in_month}[6]
    assert (easter.note, easter.hours, easter.tone) == ("Easter Monday", [], "holiday")
