"""Every page asks a fixed number of questions, whatever the number of tasks, and none of them over closed ones."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks_app.actors import Actor
from tasks_app.models import HumanTask, SealedDetail
from tasks_app.services import Decision, claim_task, comment_on_task, decide_task
from tests.admin.conftest import QUEUE, ClientFor, page_of
from tests.cast import NewTaskFactory, adapter

PAGES = {
    "home": "/admin/",
    "queue": f"{QUEUE}?tab=all",
    "filtered": f"{QUEUE}?tab=all&priority=2&type=creative_approval&assignee=ana",
    "mine": f"{QUEUE}?tab=mine",
    "closed": f"{QUEUE}?tab=closed",
    "search": f"{QUEUE}?q=mb_1",
    "words": f"{QUEUE}?q=ask",
    "groups": f"{QUEUE}similar/",
}


def queries(client: Client, url: str) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


@pytest.fixture
def grow(make_task: NewTaskFactory, people: dict[str, Any], ana: Actor, zoe: Actor) -> Callable[[int], HumanTask]:
    """Add tasks of the reader's team and of others, open, held, commented and closed; return one with a history."""

    def add(number: int) -> HumanTask:
        for n in range(number):
            make_task(media_buy_id="mb_1", error_detail=f"ask jane{n}@acme.example")
            held, closed = make_task(media_buy_id="mb_1"), make_task(media_buy_id="mb_1")
            claim_task(held.pk, ana)
            comment_on_task(held.pk, ana, "hm")
            decide_task(closed.pk, ana, Decision("approved"))
            make_task("permission_exception", actor=adapter(people["eve"], "globex"), principal_id="globex")
        return held

    return add


def test_it_asks_as_many_questions_for_many_tasks_as_for_few(
    grow: Callable[[int], HumanTask], client_for: ClientFor
) -> None:
    for reader in ("ana", "sam", "root"):
        client_for(reader)
    task = grow(2)
    group = f"{QUEUE}similar/{task.similarity_key}/"
    urls = {**PAGES, "task": page_of(task), "group": group}
    few = {
        (who, name): len(queries(client_for(who), url)) for who in ("ana", "sam", "root") for name, url in urls.items()
    }
    later = grow(12)
    urls["task"] = page_of(later)
    many = {
        (who, name): len(queries(client_for(who), url)) for who in ("ana", "sam", "root") for name, url in urls.items()
    }
    assert many == few
    assert max(many.values()) <= 27, many


def test_it_reads_no_closed_tasks_for_the_open_ones(grow: Callable[[int], HumanTask], client_for: ClientFor) -> None:
    grow(2)
    for name in ("home", "queue", "filtered", "mine", "groups"):
        asked = [sql for sql in queries(client_for("ana"), PAGES[name]) if 'FROM "tasks_app_humantask"' in sql]
        assert asked
        # Open rows, or those with a timer: ended tasks have none.
        assert all('"completed_at" IS NULL' in sql or '"next_timer_at" <' in sql for sql in asked), asked


def test_it_reads_no_secrets_for_a_list(grow: Callable[[int], HumanTask], client_for: ClientFor) -> None:
    grow(2)
    assert SealedDetail.objects.exists()
    for url in PAGES.values():
        assert not any("sealed" in sql for sql in queries(client_for("sam"), url))
