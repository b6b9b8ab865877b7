"""The open list keeps itself up to date: 304 while it stands, the list anew when it does not."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks_app.actors import Actor
from tasks_app.services import Decision, claim_task, comment_on_task, decide_task
from tests.admin.conftest import QUEUE, ClientFor
from tests.cast import NewTaskFactory

LIVE = f"{QUEUE}live/"


def ask(client: Client, tag: str = "", **query: str) -> Any:
    return client.get(LIVE, {"tab": "all", **query}, headers={"If-None-Match": f'"{tag}"'} if tag else {})


def test_it_answers_304_until_something_changes(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, client_for: ClientFor
) -> None:
    task, client = make_task(), client_for("ana")
    page: Any = client.get(QUEUE, {"tab": "all"})
    tag = page.context["tag"]
    assert ask(client, tag).status_code == 304
    comment_on_task(task.pk, ana, "A comment is no news for the list.")
    assert (ask(client, tag).status_code, ask(client, tag).content) == (304, b"")
    claim_task(task.pk, sam)
    answer = ask(client, tag)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    assert "sam" in answer.content.decode()
    assert b"<html" not in answer.content
    tag = answer.headers["ETag"].strip('"')
    decide_task(task.pk, sam, Decision("approved"))
    assert task.pk not in ask(client, tag).content.decode()


@pytest.mark.parametrize("query", [{"tab": "mine"}, {"priority": "4"}, {"q": "logo"}, {"tab": "closed"}, {"page": "2"}])
def test_it_means_the_list_that_the_page_shows(
    query: dict[str, str], make_task: NewTaskFactory, client_for: ClientFor
) -> None:
    make_task(error_detail="The logo", priority=4), make_task(error_detail="The logo")
    client = client_for("ana")
    page: Any = client.get(QUEUE, {"tab": "all", **query})
    assert ask(client, page.context["tag"], **query).status_code == 304


def test_it_is_silent_about_what_others_do(make_task: NewTaskFactory, zoe: Actor, client_for: ClientFor) -> None:
    """Neither the answer nor that it changed tells of tasks beyond one's sight."""
    make_task()
    client = client_for("ana")
    tag = ask(client).headers["ETag"].strip('"')
    foreign = make_task("permission_exception", priority=4)
    claim_task(foreign.pk, zoe)
    assert ask(client, tag).status_code == 304


def test_it_asks_little(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    client = client_for("ana")

    def asked(number: int) -> list[str]:
        for _ in range(number):
            make_task(), make_task("compliance_review")
        tag = ask(client).headers["ETag"].strip('"')
        with CaptureQueriesContext(connection) as captured:
            assert ask(client, tag).status_code == 304
        return [query["sql"] for query in captured.captured_queries]

    few, many = asked(2), asked(12)
    of_tasks = [sql for sql in many if 'FROM "tasks_app_humantask"' in sql]
    assert len(few) == len(many) <= 10
    assert len(of_tasks) == 1
    assert all('"completed_at" IS NULL' in sql for sql in of_tasks)


def test_it_wants_a_signed_in_reader(people: dict[str, Any], client_for: ClientFor) -> None:
    assert "/admin/login/" in Client().get(LIVE).headers["Location"]
    assert client_for("ana").post(LIVE).status_code == 405


def test_it_counts_the_tabs_when_asked(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    """A list that stands, and numbers that do not: the page asks for them now and then."""
    client = client_for("ana")
    make_task()
    tags = {counts: ask(client, tab="mine", counts=counts).headers["ETag"].strip('"') for counts in ("", "1")}
    make_task()
    assert ask(client, tags[""], tab="mine").status_code == 304
    answer = ask(client, tags["1"], tab="mine", counts="1")
    assert [tab.count for tab in answer.context["tabs"]][:2] == ["0", "2"]


def test_it_keeps_the_groups_up_to_date(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    client, live_url = client_for("ana"), f"{QUEUE}similar/live/"
    for _ in range(2):
        make_task(error_detail="too large")
    make_task("compliance_review", error_detail="beyond ana's sight")
    page: Any = client.get(f"{QUEUE}similar/")
    tag = page.context["tag"]
    assert client.get(live_url, headers={"If-None-Match": f'"{tag}"'}).status_code == 304
    make_task("compliance_review", error_detail="beyond ana's sight")
    assert client.get(live_url, headers={"If-None-Match": f'"{tag}"'}).status_code == 304
    make_task(error_detail="too large")
    answer: Any = client.get(live_url, headers={"If-None-Match": f'"{tag}"'})
    assert answer.status_code == 200
    assert b"<html" not in answer.content
    assert [group.number for group in answer.context["groups"]] == [3]
    assert client.get(live_url, {"order": "due"}).headers["ETag"] == client.get(live_url).headers["ETag"]


def test_it_keeps_one_group_up_to_date(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, client_for: ClientFor
) -> None:
    client = client_for("ana")
    first, second = (make_task(error_detail="too large") for _ in range(2))
    url = f"{QUEUE}similar/{first.similarity_key}/"
    tag = client.get(url).context["tag"]
    assert client.get(f"{url}live/", headers={"If-None-Match": f'"{tag}"'}).status_code == 304
    claim_task(first.pk, sam)
    answer: Any = client.get(f"{url}live/", headers={"If-None-Match": f'"{tag}"'})
    assert answer.status_code == 200
    assert b"sam" in answer.content
    assert b"data-pick autocomplete" in answer.content, "what comes later is not selected by itself"
    assert answer.headers["ETag"].strip('"') == client.get(url).context["tag"]
    decide_task(first.pk, sam, Decision("approved")), decide_task(second.pk, ana, Decision("approved"))
    assert client.get(f"{url}live/").status_code == client.get(url).status_code == 404
    assert client_for("zoe").get(f"{url}live/").status_code == 404


def test_it_asks_as_little_for_groups(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    client = client_for("ana")

    def asked(number: int) -> dict[str, int]:
        tasks = [make_task(error_detail="too large") for _ in range(number)]
        found = {}
        for url in (f"{QUEUE}similar/live/", f"{QUEUE}similar/{tasks[0].similarity_key}/live/"):
            tag = client.get(url).headers["ETag"]
            with CaptureQueriesContext(connection) as captured:
                assert client.get(url, headers={"If-None-Match": tag}).status_code == 304
            found[url] = len(captured.captured_queries)
        return found

    few, many = asked(2), asked(12)
    assert few == many
    assert max(many.values()) <= 8, many
