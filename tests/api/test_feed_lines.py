"""The texts that the feed holds ready say what the events say, and where there are none the events are read.

PostgreSQL alone has them; test_tasks.py and test_answers.py hold for both databases.
"""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.api.renderer import dumps
from tasks_app import events, feed, housekeeping
from tasks_app.actors import Actor
from tasks_app.api.serializers import event_out
from tasks_app.models import EventOutbox, FeedLine, User
from tasks_app.services import Decision, claim_task, comment_on_task, decide_task
from tasks_app.trail import checks, verify
from tests.api.conftest import ClientFactory
from tests.cast import NewTaskFactory

FEED = "/api/v1/events/"
AWKWARD = 'quotes " and \\ and \u2028 line, é, 名, \U0001f600, tab\there, 100 % {0} %s'

pytestmark = pytest.mark.postgresql_alone


@pytest.fixture
def told(make_task: NewTaskFactory, worker_bot: Actor, ana: Actor, eve: Actor) -> list[dict[str, Any]]:
    """Some events, three of them on a person's behalf, and what Python makes of them."""
    first, second = make_task(error_detail=AWKWARD, context_data={"é": [AWKWARD, 1e-7, None]}), make_task()
    comment_on_task(first.pk, worker_bot, AWKWARD)
    decide_task(second.pk, worker_bot, Decision("approved", AWKWARD, {"a": AWKWARD}), resolved_by="ana")
    claim_task(first.pk, ana)
    make_task("permission_exception", actor=eve, principal_id="globex")
    while events.assign_positions():
        pass
    columns = ("position", *(f"event__{name}" for name in feed.EVENT_COLUMNS))
    rows = EventOutbox.objects.order_by("position").values(*columns)
    found = [event_out(row, "event__") | {"position": row["position"]} for row in rows]
    assert {row["on_behalf_of"] for row in found} == {None, "ana"}
    parsed: list[dict[str, Any]] = orjson.loads(dumps(found))
    return parsed


def test_it_shows_each_reader_what_python_would(told: list[dict[str, Any]], api: ClientFactory) -> None:
    assert FeedLine.objects.count() == len(told)
    before = FeedLine.objects.values_list("text", flat=True)
    snapshots = EventOutbox.objects.order_by("position").values_list("event__snapshot", flat=True)
    assert all(bytes(snapshot) in bytes(text) for snapshot, text in zip(snapshots, before.order_by("pk"), strict=True))
    acme = [row for row in told if row["snapshot"].get("principal_id") != "globex"]
    for reader, shown in (
        (api("bot", all_principals=True), told),
        (api("bot"), acme),
        (api("eve"), told[-1:]),
        (api("ana"), acme),
        (api("zoe"), told[-1:]),
    ):
        assert reader.get(FEED).json() == {"results": shown, "next": None, "previous": None}
        page = reader.get(f"{FEED}?after={shown[0]['position'] - 1}&limit=1").json()
        assert page["results"] == shown[:1]
        rest = reader.get(page["next"]).json()["results"] if page["next"] else []
        assert rest == shown[1:2]
        assert reader.get(f"{FEED}?after={told[-1]['position']}").json()["results"] == []


def test_it_reads_a_page_by_its_lines_alone(
    told: list[dict[str, Any]], api: ClientFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = api("bot", all_principals=True)
    with CaptureQueriesContext(connection) as asked:
        assert len(bot.get(FEED).json()["results"]) == len(told)
    assert not [query["sql"] for query in asked if "tasks_app_taskevent" in query["sql"]]
    with monkeypatch.context() as patch:  # the control: without lines the events are read
        patch.setattr(feed, "page", lambda *_arguments: None)
        with CaptureQueriesContext(connection) as asked:
            assert len(bot.get(FEED).json()["results"]) == len(told)
        assert [query["sql"] for query in asked if "tasks_app_taskevent" in query["sql"]]


def test_it_shows_people_by_the_names_that_they_have_now(
    told: list[dict[str, Any]], people: dict[str, User], api: ClientFactory
) -> None:
    User.objects.filter(pk=people["ana"].pk).update(username="person 17")
    answer = api("bot").get(FEED)
    names = {(row["actor"], row["on_behalf_of"]) for row in answer.json()["results"]}
    assert names == {("bot", None), ("bot", "person 17"), ("person 17", None)}
    assert b'"ana"' not in answer.content


def test_it_misses_nothing_where_lines_are_missing(
    told: list[dict[str, Any]], api: ClientFactory, settings: Any
) -> None:
    bot = api("bot", all_principals=True)
    FeedLine.objects.filter(pk__in=[2, 4]).delete()  # as an older process leaves it, which knows of no lines
    assert bot.get(FEED).json()["results"] == told
    housekeeping.tidy_up()
    assert FeedLine.objects.count() == len(told)
    assert bot.get(FEED).json()["results"] == told
    settings.HITL_FEED_READY = 3
    housekeeping.tidy_up()
    assert list(FeedLine.objects.order_by("pk").values_list("pk", flat=True)) == [len(told) - n for n in (2, 1, 0)]
    assert bot.get(FEED).json()["results"] == told
    assert bot.get(f"{FEED}?after={len(told) - 2}").json()["results"] == told[-2:]
    settings.HITL_FEED_READY = 0
    housekeeping.tidy_up()
    assert not FeedLine.objects.exists()
    assert bot.get(FEED).json()["results"] == told


@pytest.mark.parametrize(
    "alter",
    [
        lambda: FeedLine.objects.filter(pk=2).update(text=b'"event_id": "evt_1"}'),
        lambda: FeedLine.objects.filter(pk=2).update(actor=User.objects.get(username="sam")),
        lambda: FeedLine.objects.filter(pk=2).update(on_behalf_of=User.objects.get(username="sam")),
    ],
)
def test_a_line_that_was_altered_is_found(
    alter: Callable[[], int], told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verify.verify().sound
    assert alter() == 1
    (finding,) = verify.verify().findings
    assert (finding.check, finding.position) == ("lines", 2)
    monkeypatch.setattr(checks, "lines", lambda _altered: ())
    assert verify.verify().sound, "the control: nothing else of the verifier finds it"
