"""The reader's own language and time zone."""

from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client

from hitl.middleware import zone_of
from tasks_app.actors import Actor
from tasks_app.models import User
from tests.admin.conftest import ClientFor, page_of, text_of
from tests.cast import NewTaskFactory

MINE = "/admin/tasks_app/user/mine/"


def zone(response: Any) -> str:
    return str(response.context["zone"])


def test_it_takes_the_zone_of_the_browser_until_one_is_chosen(client_for: ClientFor, ana: Actor) -> None:
    client = client_for("ana")
    assert zone(client.get(MINE)) == "UTC"
    client.cookies["time_zone"] = "America/New_York"
    assert zone(client.get(MINE)) == "America/New_York"
    assert client.post(MINE, {"time_zone": "Asia/Tokyo", "language": ""}).status_code == 302
    assert zone(client.get(MINE)) == "Asia/Tokyo"
    assert LogEntry.objects.get_for_object(ana.user).latest("timestamp").actor == ana.user


@pytest.mark.parametrize(
    "said", ["../../etc/passwd", "Mars/Base", "", "x" * 500, "Europe", "\x00", "é", "posixrules/.."]
)
def test_it_takes_no_zone_that_is_none(said: str) -> None:
    assert zone_of(said) is None


def test_it_shows_times_in_the_readers_zone(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task()
    client = client_for("ana")
    client.cookies["time_zone"] = "Asia/Kathmandu"
    page = client.get(page_of(task)).content.decode()
    assert task.due_by is not None
    assert "+0545" in page
    assert f'datetime="{task.due_by.isoformat()}"' in page, "the moment itself stays marked in UTC"


def test_it_refuses_a_zone_that_is_none(client_for: ClientFor, ana: Actor) -> None:
    answer = client_for("ana").post(MINE, {"time_zone": "Mars/Base", "language": "xx"})
    assert answer.status_code == 400
    assert "Mars/Base is not a time zone" in text_of(answer)
    ana.user.refresh_from_db()
    assert (ana.user.time_zone, ana.user.language) == ("", "")


def test_it_changes_nobody_elses_settings_and_nothing_else(client_for: ClientFor, people: dict[str, User]) -> None:
    client_for("ana").post(MINE, {"time_zone": "Asia/Tokyo", "is_superuser": "on", "username": "root", "pk": "1"})
    assert [user.username for user in User.objects.filter(time_zone="Asia/Tokyo")] == ["ana"]
    assert not User.objects.get(username="ana").is_superuser


def test_it_is_for_the_staff(people: dict[str, User]) -> None:
    assert Client().get(MINE).status_code == 302


def test_it_speaks_german_to_who_wants_it(make_task: NewTaskFactory, client_for: ClientFor, ana: Actor) -> None:
    task = make_task(error_detail="Too loud.")
    client = client_for("ana")
    english = client.get(page_of(task))
    assert english["Content-Language"] == "en"
    assert "Approve" in text_of(english)
    asked = client.get(page_of(task), headers={"accept-language": "de-AT,de;q=0.9,en;q=0.5"})
    for said in ("Freigeben", "Warteschlange", "Warum es einen Menschen braucht", "Noch niemand hat sie übernommen."):
        assert said in text_of(asked)
    client.post(MINE, {"time_zone": "", "language": "de"})
    assert "Freigeben" in text_of(client.get(page_of(task), headers={"accept-language": "en"}))
    assert "Freigeben" in text_of(client.get(page_of(task), headers={"accept-language": "fr"}))
    assert "Decide" not in text_of(client.get("/admin/"))


def test_its_api_stays_english(client_for: ClientFor) -> None:
    answer = client_for("ana").get("/api/v1/tasks/task_nothing/", headers={"accept-language": "de"})
    assert answer.status_code == 404
    assert "Aufgabe" not in answer.content.decode()
