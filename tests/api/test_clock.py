"""GET /tasks/{id}/clock/, hold/ and resume/ over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from core import clock
from tasks_app.models import SLAPolicy, TaskType
from tasks_app.services import save_policy
from tests.api.conftest import TASKS, ClientFactory
from tests.services.test_sla_policies import office

Opened = Callable[..., dict[str, Any]]
FRIDAY = datetime(2026, 3, 27, 16, 0, tzinfo=UTC)


def test_it_explains_a_deadline_in_words_and_figures(api: ClientFactory, opened: Opened) -> None:
    save_policy(SLAPolicy(name="Two office hours", to_resolve_minutes=120, calendar=office()))
    with clock.at(FRIDAY):
        task = opened()
        api("ana").post(f"{TASKS}{task['task_id']}/claim/")
    with clock.at(FRIDAY + timedelta(minutes=30)):
        body = {"reason": "waits for the buyer", "follow_up_at": "2026-03-30T07:00:00Z"}
        held = api("ana").post(f"{TASKS}{task['task_id']}/hold/", body)
        assert held.status_code == 200, held.content
        assert held.json()["held_since"] == "2026-03-27T16:30:00Z"
    with clock.at(datetime(2026, 3, 30, 7, 0, tzinfo=UTC)):
        resumed = api("ana").post(f"{TASKS}{task['task_id']}/resume/", {"reason": "she answered"})
        assert (resumed.status_code, resumed.json()["held_since"]) == (200, None)
        shown = api("ana").get(f"{TASKS}{task['task_id']}/clock/").json()
    assert (shown["policy"], shown["calendar"], shown["time_zone"]) == (
        "Two office hours",
        "Berlin office",
        "Europe/Berlin",
    )
    assert shown["due_by"] == resumed.json()["due_by"] == "2026-03-30T08:30:00Z"
    (resolve,) = shown["clocks"]
    assert (resolve["target_minutes"], resolve["used_minutes"], resolve["is_met"]) == (120, 30, None)
    assert resolve["counted"] == [{"from": "2026-03-27T16:00:00Z", "to": "2026-03-27T16:30:00Z"}]
    assert shown["held"] == [{"from": "2026-03-27T16:30:00Z", "to": "2026-03-30T07:00:00Z"}]
    assert shown["explanation"] == [
        "Policy “Two office hours” (all tasks) is the most specific that fits.",
        "Time counts by the calendar “Berlin office” (Europe/Berlin).",
        "From opening to the end: 2 h from Fri 2026-03-27 17:00 CET; 30 min are used, "
        "the rest lasts until Mon 2026-03-30 10:30 CEST.",
        "On hold from Fri 2026-03-27 17:30 CET to Mon 2026-03-30 09:00 CEST; the clocks stood still.",
    ]


def test_it_explains_defaults_explicit_deadlines_and_none(api: ClientFactory, opened: Opened) -> None:
    bot = api("bot")

    def first(**fields: Any) -> str:
        return str(bot.get(f"{TASKS}{opened(**fields)['task_id']}/clock/").json()["explanation"][0])

    assert "priority urgent have 4 hours" in first(priority="urgent")
    assert "never moves" in first(due_in_hours=3)
    assert "no deadline by default" in first(priority="low")


def test_it_hides_clocks_like_their_tasks(api: ClientFactory, opened: Opened) -> None:
    task = opened()
    for who in ("zoe", "eve"):
        for call in ("clock/", "hold/", "resume/"):
            client = api(who)
            send = client.get if call == "clock/" else client.post
            body = {"reason": "x", "follow_up_at": "2099-01-01T00:00:00Z"} if call == "hold/" else {}
            assert send(f"{TASKS}{task['task_id']}/{call}", body).status_code == 404


def test_it_offers_hold_and_resume_to_the_holder(api: ClientFactory, opened: Opened) -> None:
    ana, task = api("ana"), opened()
    address = f"{TASKS}{task['task_id']}/"
    ana.post(f"{address}claim/")
    assert "hold" in ana.get(address).json()["allowed_actions"]
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    assert ana.post(f"{address}hold/", {"follow_up_at": until}).status_code == 400
    assert (
        ana.post(f"{address}hold/", {"reason": "buyer", "follow_up_at": until}, HTTP_IF_MATCH='"1"').status_code == 412
    )
    assert (
        ana.post(f"{address}hold/", {"reason": "buyer", "follow_up_at": until}, HTTP_IF_MATCH='"2"').status_code == 200
    )
    actions = ana.get(address).json()["allowed_actions"]
    assert "resume" in actions
    assert "hold" not in actions
    assert ana.post(f"{address}hold/", {"reason": "buyer", "follow_up_at": until}).status_code == 409


def test_it_puts_off_the_end_of_a_task_that_expires(api: ClientFactory, opened: Opened) -> None:
    sam, task = api("sam"), opened()
    address = f"{TASKS}{task['task_id']}/"
    until = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    refused = sam.post(f"{address}extend/", {"until": until})
    assert (refused.status_code, "do not expire" in refused.content.decode()) == (400, True)
    TaskType.objects.filter(pk="creative_approval").update(expires_after_hours=8)
    assert "extend" in sam.get(address).json()["allowed_actions"]
    assert "Give the offset too" in sam.post(f"{address}extend/", {"until": "2099-01-01T17:00"}).content.decode()
    assert sam.post(f"{address}extend/", {"until": until, "reason": "the buyer is away"}).status_code == 200
    assert api("ana").post(f"{address}extend/", {"until": until}).status_code == 403
