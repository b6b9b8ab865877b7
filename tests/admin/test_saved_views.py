"""One's own named views, and the filters that they keep."""

from datetime import timedelta
from typing import Any

import pytest

from core import clock
from tasks_app.models import SavedView
from tests.admin.conftest import QUEUE, ClientFor
from tests.admin.test_queue import ids
from tests.cast import NewTaskFactory

SAVE = f"{QUEUE}views/"


def test_it_saves_renames_and_deletes_a_view(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    urgent = make_task(priority=4)
    make_task()
    client = client_for("ana")
    answer = client.post(SAVE, {"name": " Burning ", "query": "priority=4&tab=all&page=3&evil=1"})
    assert answer.headers["Location"] == f"{QUEUE}?tab=all&priority=4"
    page: Any = client.get(answer.headers["Location"])
    (view,) = page.context["saved"]
    assert (view.name, view.is_active) == ("Burning", True)
    assert [line.task_id for line in page.context["lines"]] == [urgent.pk]
    client.post(f"{SAVE}{view.pk}/", {"name": "On fire"})
    assert [v.name for v in client.get(QUEUE).context["saved"]] == ["On fire"]
    client.post(f"{SAVE}{view.pk}/", {"what": "delete"})
    assert not SavedView.objects.exists()


def test_it_replaces_a_view_of_the_same_name_and_never_a_second_one(
    people: dict[str, Any], client_for: ClientFor
) -> None:
    client = client_for("ana")
    for query in ("tab=all", "tab=overdue"):
        client.post(SAVE, {"name": "Mine", "query": query})
    client.post(SAVE, {"name": "Other", "query": "tab=all"})
    assert dict(SavedView.objects.values_list("name", "query")) == {"Mine": "tab=overdue", "Other": "tab=all"}
    other = SavedView.objects.get(name="Other")
    client.post(f"{SAVE}{other.pk}/", {"name": "Mine"})
    assert SavedView.objects.get(pk=other.pk).name == "Other"


def test_it_keeps_views_to_their_owner(people: dict[str, Any], client_for: ClientFor) -> None:
    client_for("ana").post(SAVE, {"name": "Mine", "query": "tab=all"})
    view, client = SavedView.objects.get(), client_for("sam")
    assert client.get(QUEUE).context["saved"] == []
    foreign, unknown = (client.post(f"{SAVE}{pk}/", {"what": "delete"}) for pk in (view.pk, 999))
    assert foreign.headers["Location"] == unknown.headers["Location"] == QUEUE
    assert client.post(f"{SAVE}{2**70}/", {"name": "x"}).status_code == 302
    assert SavedView.objects.get() == view


@pytest.mark.parametrize(("name", "status"), [("", 302), ("   ", 302), ("x" * 61, 302), ("nul\x00", 400)])
def test_it_wants_a_name(name: str, status: int, people: dict[str, Any], client_for: ClientFor) -> None:
    assert client_for("ana").post(SAVE, {"name": name, "query": "tab=all"}).status_code == status
    assert not SavedView.objects.exists()


def test_it_has_room_for_thirty(people: dict[str, Any], client_for: ClientFor) -> None:
    client = client_for("ana")
    for number in range(31):
        client.post(SAVE, {"name": f"View {number}", "query": "tab=all"})
    client.post(SAVE, {"name": "View 3", "query": "tab=overdue"})
    assert SavedView.objects.count() == 30
    assert SavedView.objects.get(name="View 3").query == "tab=overdue"


def test_it_stays_empty_where_what_it_filters_by_is_gone(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    """A view of a principal without tasks today must not show everybody else's."""
    make_task()
    page: Any = client_for("root").get(QUEUE, {"tab": "all", "principal": "globex", "adapter": "kevel"})
    assert page.context["lines"] == []
    chosen = {f.name: f.value for f in page.context["filters"] if f.value}
    assert chosen == {"principal": "globex", "adapter": "kevel"}


def test_it_cuts_by_when_a_task_is_due(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    now = clock.now().replace(hour=10, minute=0, second=0, microsecond=0) + timedelta(days=1)
    with clock.at(now):
        tasks = {name: make_task(due_in_hours=hours) for name, hours in (("3h", 3), ("30h", 30), ("100h", 100))}
        tasks["never"] = make_task(priority=1)
        client = client_for("ana")

        def found(**query: str) -> set[str]:
            wanted = ids(client, tab="all", **query)
            return {name for name, task in tasks.items() if task.pk in wanted}

        assert found(due="4h") == found(due="today") == {"3h"}
        assert found(due="tomorrow") == {"3h", "30h"}
        assert found(due="week") == {"3h", "30h", "100h"}
        assert found(due="none") == {"never"}
        day = (now + timedelta(hours=30)).date().isoformat()
        assert found(due_from=day) == {"30h", "100h"}
        assert found(due_to=day) == {"3h", "30h"}
        assert found(due_from=day, due_to=day) == {"30h"}
        for wild in ("x", "0000-00-00", "9999-12-31", "0001-01-01", "2026-02-30", "'", "%"):
            assert found(due_from=wild, due_to=wild) == set(tasks)


def test_it_reads_days_in_the_readers_zone(
    make_task: NewTaskFactory, people: dict[str, Any], client_for: ClientFor
) -> None:
    people["ana"].time_zone = "Pacific/Auckland"
    people["ana"].save()
    with clock.at(clock.now().replace(hour=8, minute=0)):
        task = make_task(due_in_hours=6)  # 14:00 in London, and tomorrow in Auckland
        assert task.due_by is not None
        day = (task.due_by + timedelta(hours=12)).date().isoformat()
        assert ids(client_for("ana"), tab="all", due_from=day, due_to=day) == [task.pk]
        assert ids(client_for("sam"), tab="all", due_from=day) == []
