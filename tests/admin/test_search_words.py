"""Words in the detail: found in open tasks and in those closed lately, of what the reader may see, by index."""

from typing import Any

import pytest
from django.db import connection

from tasks_app import search
from tasks_app.actors import Actor
from tasks_app.models import HumanTask
from tasks_app.services import Decision, claim_task, decide_task
from tests.admin.conftest import QUEUE, ClientFor, page_of, text_of
from tests.admin.test_queue import ids
from tests.cast import NewTaskFactory


@pytest.mark.parametrize(
    "asked",
    [
        "permission_denied",
        "PERMISSION_DENIED",
        "lineitems orderid",
        "order denied",  # beginnings of words, in any order
        "lineItems[0].orderId",
        "'denied'",
        "  denied,   ",
    ],
)
def test_it_finds_words_of_the_error(asked: str, make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task(error_detail="PermissionError.PERMISSION_DENIED @ lineItems[0].orderId; trigger:'77'")
    make_task(error_detail="Something else")
    if asked == "order denied" and connection.vendor == "sqlite":
        asked = "orderid denied"
    assert ids(client_for("ana"), q=asked) == [task.pk]


def test_it_finds_the_operation_and_cuts_by_filters(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    low, high = (make_task(operation="create_line_item", priority=priority) for priority in (1, 4))
    assert set(ids(client_for("ana"), q="line_item")) == {low.pk, high.pk}
    assert ids(client_for("ana"), q="line_item", priority="4") == [high.pk]


def test_it_shows_those_closed_lately_apart(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    done, still_open = (make_task(error_detail=f"Logo cut off {n}") for n in range(2))
    decide_task(done.pk, ana, Decision("approved"))
    page: Any = client_for("ana").get(QUEUE, {"q": "logo cut"})
    assert [line.task_id for line in page.context["lines"]] == [still_open.pk]
    assert [line.task_id for line in page.context["closed_hits"]] == [done.pk]
    assert client_for("zoe").get(QUEUE, {"q": "logo cut"}).context["closed_hits"] == []


def test_it_finds_nothing_of_other_teams_or_masked_values(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    make_task(error_detail="Ask jane@acme.example about the logo")
    assert ids(client_for("zoe"), q="logo") == []
    assert len(ids(client_for("ana"), q="logo")) == 1
    assert ids(client_for("ana"), q="jane@acme.example") == ids(client_for("ana"), q="jane") == []


def test_it_opens_an_exact_id_before_it_looks_for_words(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    named = make_task(creative_id="logo")
    make_task(error_detail="logo")
    assert client_for("ana").get(QUEUE, {"q": "logo"}).headers["Location"] == page_of(named)


HOSTILE = [
    "'", "''", "\\", ":*", "&", "| !", "a & b", "!a", "(", "a:*b", "<->", "<b>bold</b>", "%", "_", "a%",
    "'; DROP TABLE x--", "😀", "ſ", "İ", "x" * 5_000, "a " * 200, "\u0000", "\ufffd",
    "日本語", "null", "' OR '1'='1", "to_tsquery('x')", "$$", "\u202e", "a\\'b", "'a' 'b'", "e'\\x27'",
]  # fmt: skip


@pytest.mark.parametrize("asked", HOSTILE, ids=range(len(HOSTILE)))
def test_it_stands_hostile_searches(asked: str, make_task: NewTaskFactory, client_for: ClientFor) -> None:
    make_task(error_detail="plain words only")
    answer = client_for("ana").get(QUEUE, {"q": asked, "type": asked, "assignee": asked, "due": asked, "page": asked})
    assert answer.status_code < 500
    assert "DROP TABLE" not in asked or answer.context["lines"] == []


def test_it_takes_eight_words_of_sixty_letters() -> None:
    words = search.words_of(" ".join(f"w{n}{'x' * 100}" for n in range(20)))
    assert len(words) == 8
    assert {len(word) for word in words} == {60}


def test_it_keeps_the_words_of_open_tasks_alone(make_task: NewTaskFactory, ana: Actor) -> None:
    """On PostgreSQL in a table that triggers keep; on SQLite in the tasks themselves."""
    table = "tasks_app_openwords" if connection.vendor == "postgresql" else "tasks_app_humantask"
    where = "" if connection.vendor == "postgresql" else "WHERE completed_at IS NULL"

    def kept() -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT task_id FROM {table} {where} ORDER BY task_id")
            return [task_id for (task_id,) in cursor.fetchall()]

    first, last = make_task(error_detail="logo"), make_task(error_detail="size")
    claim_task(first.pk, ana)
    assert kept() == [first.pk, last.pk]
    decide_task(first.pk, ana, Decision("approved"))
    assert kept() == [last.pk]
    HumanTask.objects.filter(pk=last.pk).delete()
    assert kept() == []


def test_it_reads_an_index_of_open_rows(make_task: NewTaskFactory, ana: Actor) -> None:
    """On PostgreSQL that of the words; on SQLite the queue's own, up to a bound."""
    for number in range(40):
        make_task(error_detail=f"logo {number}")
    asked = search.open_with_words(ana, ["logo", "7"]).values("pk")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")  # a few rows would be read as they lie
        assert "open_words" in asked.explain()
    else:
        assert "SCAN tasks_app_humantask\n" not in asked.explain()
        assert "task_open_" in asked.explain()


def test_it_says_how_far_it_looked(
    make_task: NewTaskFactory, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        make_task(error_detail="logo")
    said = "Words were looked for in the 2 most urgent open tasks."
    assert said not in text_of(client_for("ana").get(QUEUE, {"q": "logo"}))
    monkeypatch.setattr(search, "LOOKED_THROUGH", 2)
    page = client_for("ana").get(QUEUE, {"q": "logo"})
    if connection.vendor == "postgresql":  # its index of words knows every open task
        assert (said in text_of(page), len(page.context["lines"])) == (False, 3)
    else:
        assert (said in text_of(page), len(page.context["lines"])) == (True, 2)
