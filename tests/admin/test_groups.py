"""Similar tasks: grouped by what they share, opened, pruned of what differs, and decided one by one all the same."""

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import clock
from tasks_app.actors import Actor
from tasks_app.admin import group_pages
from tasks_app.admin.differences import differences, leaves_of, words_of
from tasks_app.admin.figures import open_by_type
from tasks_app.groups import groups_in_sight
from tasks_app.models import HumanTask, TaskEvent
from tasks_app.services import Decision, claim_task, decide_task
from tests.admin.conftest import QUEUE, ClientFor, text_of
from tests.cast import NewTaskFactory

GROUPS = f"{QUEUE}similar/"


def alike(make_task: NewTaskFactory, number: int, **fields: Any) -> list[HumanTask]:
    told = {"operation": "add_creative", "error_detail": "Creative {n} is too large by {n} kB", **fields}
    return [
        make_task(creative_id=f"cr_{n}", **{**told, "error_detail": str(told["error_detail"]).format(n=n)})
        for n in range(number)
    ]


def test_it_groups_open_tasks_that_are_alike(
    make_task: NewTaskFactory, ana: Actor, eve: Actor, client_for: ClientFor
) -> None:
    many = alike(make_task, 4)
    few = alike(make_task, 2, error_detail="No sound {n}")
    alike(make_task, 1, operation="another")
    alike(make_task, 1, principal_id="globex", actor=eve)
    done = alike(make_task, 1, error_detail="No sound {n}")[0]
    decide_task(done.pk, ana, Decision("approved"))
    page: Any = client_for("ana").get(GROUPS)
    assert [(group.key, group.number) for group in page.context["groups"]] == [
        (many[0].similarity_key, 4),
        (few[0].similarity_key, 2),
    ]
    assert "6 open tasks in 2 groups" in text_of(page)
    for order in ("age", "due", "size", "x", "'"):
        assert client_for("ana").get(GROUPS, {"order": order}).status_code == 200


def test_it_counts_only_what_the_reader_sees(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    tasks = alike(make_task, 3)
    assert client_for("zoe").get(GROUPS).context["groups"] == []
    foreign = client_for("zoe").get(f"{GROUPS}{tasks[0].similarity_key}/")
    unknown = client_for("zoe").get(f"{GROUPS}{'0' * 32}/")
    assert foreign.status_code == unknown.status_code == 404
    assert text_of(foreign) == text_of(unknown)


def test_it_marks_the_lines_that_have_company(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    alike(make_task, 3), make_task(error_detail="alone")
    page: Any = client_for("ana").get(QUEUE, {"tab": "all"})
    assert list(page.context["alike"].values()) == ["3 alike"]


def test_it_marks_what_differs_and_lists_it_first(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    usual = {"format": {"size": "300x250"}, "languages": ["de"], "asset": 1}
    tasks = alike(make_task, 4, context_data=usual)
    odd = alike(make_task, 1, context_data={**usual, "format": {"size": "728x90"}})[0]
    page: Any = client_for("ana").get(f"{GROUPS}{tasks[0].similarity_key}/")
    assert [one.line.task_id for one in page.context["alike"]] == [odd.pk, *(task.pk for task in tasks)]
    assert [(d.name, d.value) for d in page.context["alike"][0].differs] == [("format.size", "728x90")]
    assert page.context["differing"] == 1
    assert [verb.name for verb in page.context["decisions"]] == ["approve", "reject", "cannot-complete"]


def test_it_decides_the_rest_one_by_one(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, client_for: ClientFor
) -> None:
    tasks = alike(make_task, 5)
    claim_task(tasks[0].pk, sam)
    chosen = [f"{task.pk}:1" for task in tasks[:4]]  # the last one was left out
    sent = {"task": chosen, "confirmed": "1", "decision": "reject", "text": "Under 200 kB, please."}
    answer: Any = client_for("ana").post(f"{QUEUE}bulk/decide/", sent)
    assert answer.context["summary"] == "3 done, 1 skipped: taken by sam"
    assert HumanTask.objects.filter(resolution="rejected", resolved_by=ana.user).count() == 3
    assert TaskEvent.objects.filter(type="task.failed").values("task").distinct().count() == 3
    page: Any = client_for("ana").get(f"{GROUPS}{tasks[0].similarity_key}/")
    assert page.context["total"] == 2


def test_it_tells_apart_by_values_that_most_share() -> None:
    tasks = [{"id": str(n), "size": "s", "lang": "de"} for n in range(5)]
    tasks[1]["size"], tasks[3]["lang"] = "xl", "fr"
    del tasks[4]["lang"]
    found = [[(d.name, d.value) for d in unlike] for unlike in differences(tasks)]
    assert found == [[], [("size", "xl")], [], [("lang", "fr")], [("lang", "–")]]
    assert differences([{"a": "1"}, {"a": "2"}]) == [[], []]
    assert differences([]) == []


def test_it_bounds_what_it_compares() -> None:
    deep: dict[str, Any] = {"a": 1}
    for _ in range(30):
        deep = {"x": deep}
    assert next(iter(leaves_of(deep)))[1] == "1"
    assert len(list(leaves_of({str(n): n for n in range(1_000)}))) == 80
    assert len(list(words_of("w " * 1_000))) == 80
    assert dict(leaves_of({"a": [{"b": 1}, 2], "c": [1, 2]})) == {"a.1.b": "1", "a.2": "2", "c": "1, 2"}


def test_it_reads_one_index_and_no_rows(make_task: NewTaskFactory, ana: Actor) -> None:
    """Groups and the home page's table read all open rows: from one index that holds what they ask for.

    SQLite says so in its plan; PostgreSQL decides by its statistics.
    """
    alike(make_task, 3)
    with CaptureQueriesContext(connection) as captured:
        assert groups_in_sight(ana, clock.now())
        assert open_by_type(ana)
    sums = [query["sql"] for query in captured.captured_queries if "GROUP BY" in query["sql"]]
    assert len(sums) == 2
    if connection.vendor == "sqlite":
        for sql in sums:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                assert "COVERING INDEX task_open_alike" in str(cursor.fetchall())


def test_it_says_that_more_follow_than_it_shows(
    make_task: NewTaskFactory, client_for: ClientFor, monkeypatch: Any
) -> None:
    """Never silently fewer: on the page, before the decision and after it."""
    monkeypatch.setattr(group_pages, "SHOWN", 3)
    tasks = alike(make_task, 5)
    client, key = client_for("ana"), tasks[0].similarity_key
    page: Any = client.get(f"{GROUPS}{key}/")
    assert "These are the 3 oldest of 5. Decide these; 2 more follow." in text_of(page)
    assert "Creative approval: 5 tasks" in text_of(page)
    sent = {"task": [f"{one.line.task_id}:1" for one in page.context["alike"]], "group": key}
    preview: Any = client.post(f"{QUEUE}bulk/decide/", sent)
    assert "2 more of this group follow: they can be decided next." in text_of(preview)
    assert f'name="group" value="{key}"' in preview.content.decode()
    done: Any = client.post(f"{QUEUE}bulk/decide/", {**sent, "confirmed": "1", "decision": "approve"})
    assert "2 tasks of this group are still open." in text_of(done)
    page = client.get(f"{GROUPS}{key}/")
    assert [one.line.task_id for one in page.context["alike"]] == [task.pk for task in tasks[3:]]
    assert "more follow" not in text_of(page)
    foreign: Any = client_for("zoe").post(f"{QUEUE}bulk/decide/", sent)
    assert "of this group" not in text_of(foreign)
