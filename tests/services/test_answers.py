"""Answers that the database writes say the same as those built in Python, and counts that are remembered are right."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core import clock, prepared
from core.api.renderer import dumps
from core.json_rows import made_by_database
from tasks_app import counts, selectors
from tasks_app.actors import Actor
from tasks_app.api.answers import event_answers, event_rows, sight, task_answers, task_detail, task_rows
from tasks_app.api.serializers import TASK_COLUMNS, event_out, task_out, task_row
from tasks_app.feed import EVENT_COLUMNS
from tasks_app.models import HumanTask, TaskEvent, TaskType, User
from tasks_app.permissions import available_actions
from tasks_app.services import (
    Decision,
    claim_task,
    comment_on_task,
    decide_task,
    escalate_task,
    hold_task,
    withdraw_task,
)
from tests.cast import NewTaskFactory, adapter

AWKWARD = 'quotes " and \\ and \u2028 line, é, 名, \U0001f600, </script>, tab\there, 100 % {0} %s'


@pytest.fixture
def tasks(people: dict[str, User], make_task: NewTaskFactory) -> list[HumanTask]:
    """Tasks in every state, with awkward texts, numbers and moments."""
    ana, bot = Actor(user=people["ana"]), adapter(people["bot"], "acme_corp")
    context = {"text": AWKWARD, "deep": {"n": [1, -2.5, 1e-7, 2**53, None, True, {}]}, "": "empty key", "é": []}
    waiting = make_task(error_detail=AWKWARD, context_data=context, operation=AWKWARD[:60], priority=1)
    make_task(priority=4, media_buy_id="", creative_id="cr_1")
    followed = make_task()
    withdraw_task(followed.pk, bot, reason=AWKWARD)
    make_task(follows=followed.pk)
    held = make_task()
    claim_task(held.pk, ana)
    hold_task(held.pk, ana, reason=AWKWARD, follow_up_at=clock.now() + timedelta(hours=1))
    decided = make_task()
    decide_task(decided.pk, ana, Decision("approved", AWKWARD, {"format": AWKWARD}))
    comment_on_task(decided.pk, ana, AWKWARD)
    TaskType.objects.filter(pk="creative_approval").update(needs_second_reviewer=True, expires_after_hours=5)
    second = make_task()
    decide_task(second.pk, ana, Decision("approved"))
    escalate_task(waiting.pk, Actor(user=people["sam"]), reason=AWKWARD)
    whole_second = clock.now().replace(microsecond=0)
    HumanTask.objects.filter(pk=held.pk).update(due_by=whole_second - timedelta(hours=1), created_at=whole_second)
    return list(HumanTask.objects.order_by("pk"))


def parsed(fragment: Any) -> Any:
    return orjson.loads(dumps(fragment))


def test_lists_of_tasks_say_what_python_would(tasks: list[HumanTask]) -> None:
    """On PostgreSQL the database writes the rows; on SQLite both sides are Python's."""
    now = clock.now()
    shown = parsed(task_answers(list(task_rows(HumanTask.objects.order_by("pk"), now)), now))
    rows = HumanTask.objects.order_by("pk").values(*TASK_COLUMNS)
    assert shown == [orjson.loads(dumps(task_out(row, now))) for row in rows]
    assert {row["is_overdue"] for row in shown} == {True, False}


def test_lists_of_events_say_what_python_would(tasks: list[HumanTask]) -> None:
    events = TaskEvent.objects.order_by("task_id", "seq")
    answers = event_answers(list(event_rows(events)))
    rows = list(events.values(*EVENT_COLUMNS))
    assert parsed(answers) == [orjson.loads(dumps(event_out(row))) for row in rows]
    if made_by_database():  # passed through, byte for byte
        text = orjson.dumps(answers).decode()
        assert all(bytes(row["snapshot"]).decode() in text for row in rows)


def test_one_task_answers_like_the_task_in_memory(tasks: list[HumanTask], people: dict[str, User]) -> None:
    now = clock.now()
    for actor in (Actor(user=people["ana"]), Actor(user=people["sam"]), adapter(people["bot"], "acme_corp")):
        for task in tasks:
            found = task_detail(task.pk, actor, now)
            assert found is not None
            expected = task_out(task_row(task), now) | {"allowed_actions": available_actions(actor, task)}
            assert parsed(found[0]) == orjson.loads(dumps(expected))
            assert found[1] == task.version
    assert task_detail(tasks[0].pk, adapter(people["eve"], "globex"), now) is None
    assert task_detail(prepared.TEXT, Actor(user=people["ana"]), now) is None


def test_a_remembered_query_keeps_actors_apart(tasks: list[HumanTask], people: dict[str, User]) -> None:
    """The same SQL text must not serve somebody who sees other tasks."""
    now = clock.now()
    seen = [adapter(people["bot"], *names) for names in ([], ["acme_corp"], ["globex"])]
    seen += [Actor(user=people[name]) for name in ("ana", "sam", "zoe", "cora")]
    for actor in seen * 2:
        expected = selectors.visible_tasks(actor).filter(pk=tasks[0].pk).exists()
        assert (task_detail(tasks[0].pk, actor, now) is not None) == expected


def counted(actor: Actor) -> dict[str, int]:
    return counts.open_counts(("test", sight(actor)), lambda: selectors.open_tasks(actor), clock.now())


@pytest.fixture
def remembering(settings: Any) -> Any:
    settings.HITL_LOOKUP_SECONDS = 1.0
    counts.forget()
    yield
    counts.forget()


@pytest.mark.django_db(transaction=True)
def test_counts_are_remembered_until_something_happens(
    remembering: None, people: dict[str, User], make_task: NewTaskFactory, assert_counts: Callable[..., None]
) -> None:
    ana, bot = Actor(user=people["ana"]), adapter(people["bot"], "acme_corp")
    first = make_task(priority=4)  # urgent: due in four hours
    assert_counts(ana, total=1, overdue=0, again=True)
    make_task()
    assert_counts(ana, total=2, overdue=0, again=True)
    withdraw_task(first.pk, bot)
    assert_counts(ana, total=1, overdue=0, again=True)
    make_task(priority=4)
    assert_counts(ana, total=2, overdue=0, again=True)
    with time_machine.travel(clock.now() + timedelta(hours=5), tick=False):
        assert_counts(ana, total=2, overdue=1, again=True)


@pytest.fixture
def assert_counts() -> Callable[..., None]:
    def check(actor: Actor, *, total: int, overdue: int, again: bool) -> None:
        assert counted(actor) == {"total_count": total, "overdue_count": overdue}
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert counted(actor) == {"total_count": total, "overdue_count": overdue}
        assert (len(asked) == 1) == again

    return check


@pytest.mark.django_db(transaction=True)
def test_a_count_is_remembered_only_if_nobody_writes(
    remembering: None, people: dict[str, User], make_task: NewTaskFactory, assert_counts: Callable[..., None]
) -> None:
    """On PostgreSQL an older outbox row may be committed behind the newest one: no count of before may survive that."""
    ana = Actor(user=people["ana"])
    make_task()
    if connection.vendor == "postgresql":
        other = connection.copy()
        with contextlib.closing(other), other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_current_xact_id()")  # as any write would get one
            assert_counts(ana, total=1, overdue=0, again=False)
            cursor.execute("ROLLBACK")
    assert_counts(ana, total=1, overdue=0, again=True)


def test_the_list_counts_what_was_just_opened(
    client: Client, people: dict[str, User], make_task: NewTaskFactory
) -> None:
    client.force_login(people["ana"])
    make_task()
    assert client.get("/api/v1/tasks/pending/").json()["total_count"] == 1
    make_task()
    answer = client.get("/api/v1/tasks/pending/?limit=1").json()
    assert (answer["total_count"], len(answer["results"])) == (2, 1)
    assert answer["next"]
    rest = client.get(answer["next"]).json()
    assert [rest["total_count"], len(rest["results"]), rest["next"]] == [2, 1, None]
    assert rest["results"][0]["task_id"] != answer["results"][0]["task_id"]
