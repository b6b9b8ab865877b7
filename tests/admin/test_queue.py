"""The queue: each tab holds what it says, of what the reader may see, in the order of work."""

from datetime import timedelta

import pytest
from django.test import Client

from core import clock
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, Principal
from tasks_app.services import Decision, claim_task, decide_task, escalate_task
from tests.admin.conftest import QUEUE, ClientFor, page_of, text_of
from tests.cast import NewTaskFactory, add_to_team


def ids(client: Client, **query: str) -> list[str]:
    return [line.task_id for line in client.get(QUEUE, query).context["lines"]]


def test_it_shows_each_tab_what_belongs_there(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    waiting, held, raised, done = (make_task(creative_id=f"cr_{n}") for n in range(4))
    with clock.at(clock.now() - timedelta(hours=3)):
        late = make_task(due_in_hours=1)
    claim_task(held.pk, ana)
    claim_task(raised.pk, ana)
    escalate_task(raised.pk, ana)
    decide_task(done.pk, ana, Decision("approved"))
    client = client_for("ana")
    assert ids(client, tab="mine") == [held.pk]
    assert ids(client, tab="unassigned") == [raised.pk, late.pk, waiting.pk]
    assert ids(client, tab="overdue") == [late.pk]
    assert ids(client, tab="escalated") == [raised.pk]
    assert set(ids(client, tab="all")) == {waiting.pk, held.pk, raised.pk, late.pk}
    assert ids(client, tab="closed") == [done.pk]


def test_it_opens_with_ones_own_tasks_or_else_with_those_that_wait(
    make_task: NewTaskFactory, ana: Actor, client_for: ClientFor
) -> None:
    first, second = make_task(), make_task()
    assert ids(client_for("ana")) == [first.pk, second.pk]
    claim_task(second.pk, ana)
    assert ids(client_for("ana")) == [second.pk]


def test_it_hides_the_tasks_of_other_teams_everywhere(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    make_task(media_buy_id="mb_secret")
    client = client_for("zoe")
    for tab in ("mine", "unassigned", "overdue", "escalated", "all", "closed"):
        assert ids(client, tab=tab) == []
    response = client.get(QUEUE, {"tab": "all"})
    assert {tab.count for tab in response.context["tabs"]} == {"0", None}
    assert [f.choices for f in response.context["filters"] if f.name == "principal"] == [[]]
    assert ids(client, q="mb_secret") == []


def test_it_shows_administrators_everything(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    tasks = {make_task().pk, make_task("compliance_review").pk}
    assert set(ids(client_for("root"), tab="all")) == tasks


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"type": "compliance_review"}, {"compliance"}),
        ({"priority": "4"}, {"urgent"}),
        ({"principal": "globex"}, {"globex"}),
        ({"adapter": "kevel"}, {"kevel"}),
        ({"assignee": "ana"}, {"held"}),
        ({"status": "assigned"}, {"held"}),
        ({"due": "soon"}, {"soon"}),
        ({"priority": "4", "principal": "globex"}, set()),
        ({"type": "no such type"}, set()),
        (
            {"priority": "9", "status": "completed", "due": "x"},
            {"compliance", "urgent", "globex", "kevel", "held", "soon"},
        ),
    ],
)
def test_it_filters(
    query: dict[str, str],
    found: set[str],
    make_task: NewTaskFactory,
    ana: Actor,
    eve: Actor,
    client_for: ClientFor,
) -> None:
    tasks = {
        "compliance": make_task("compliance_review"),
        "urgent": make_task(priority=4),
        "globex": make_task(principal_id="globex", actor=eve),
        "kevel": make_task(adapter_name="kevel"),
        "held": make_task(),
        "soon": make_task(due_in_hours=0.5),
    }
    claim_task(tasks["held"].pk, ana)
    assert set(ids(client_for("root"), tab="all", **query)) == {tasks[name].pk for name in found}


def test_it_finds_exact_ids_alone_and_opens_a_single_hit(
    make_task: NewTaskFactory, ana: Actor, client_for: ClientFor
) -> None:
    one = make_task(media_buy_id="mb_1", creative_id="cr_1")
    two = make_task(media_buy_id="mb_1")
    decide_task(two.pk, ana, Decision("approved"))
    client = client_for("ana")
    assert ids(client, q=" mb_1 ") == [two.pk, one.pk]
    assert client.get(QUEUE, {"q": "cr_1"}).headers["Location"] == page_of(one)
    assert client.get(QUEUE, {"q": two.pk}).headers["Location"] == page_of(two)
    assert ids(client, q="mb_") == ids(client, q="%") == []
    assert client.get(QUEUE, {"q": "nul\x00"}).status_code < 500


def test_it_pages_without_counting(
    make_task: NewTaskFactory, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks_app.admin.queue.PER_PAGE", 2)
    tasks = [make_task().pk for _ in range(5)]
    client = client_for("ana")
    pages = [client.get(QUEUE, {"tab": "all", "page": number}) for number in ("1", "2", "3")]
    assert [line.task_id for page in pages for line in page.context["lines"]] == tasks
    assert [bool(page.context["next_url"]) for page in pages] == [True, True, False]
    for wild in ("0", "-1", "x", "9" * 40, "٣"):
        assert client.get(QUEUE, {"tab": "all", "page": wild}).status_code == 200


def test_it_says_the_time_left_in_words_and_colour(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    with clock.at(clock.now() - timedelta(hours=3)):
        make_task(due_in_hours=1)
    make_task(due_in_hours=0.5)
    make_task(due_in_hours=5.51)
    make_task(priority=1)
    lines = client_for("ana").get(QUEUE, {"tab": "all"}).context["lines"]
    assert {(line.time_left.tone, line.time_left.text.split()[-1]) for line in lines} == {
        ("late", "late"),
        ("soon", "left"),
        ("calm", "left"),
        ("none", "deadline"),
    }


def test_it_tells_moments_in_the_readers_zone(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    ana.user.time_zone = "Asia/Tokyo"
    ana.user.save()
    task = make_task(due_in_hours=2)
    assert task.due_by is not None
    assert f"{(task.due_by + timedelta(hours=9)):%H:%M} JST" in client_for("ana").get(QUEUE).content.decode()


def test_it_takes_the_next_task_by_post_alone(make_task: NewTaskFactory, ana: Actor, client_for: ClientFor) -> None:
    make_task(), make_task("compliance_review", priority=4)
    urgent = make_task(priority=4)
    client = client_for("ana")
    assert client.get(f"{QUEUE}next/").status_code == 405
    assert client.post(f"{QUEUE}next/").headers["Location"] == page_of(urgent)
    urgent.refresh_from_db()
    assert urgent.assigned_to == ana.user


def test_it_takes_the_next_of_the_chosen_type(make_task: NewTaskFactory, cora: Actor, client_for: ClientFor) -> None:
    add_to_team(cora.user, "creative-review")
    make_task(priority=4)
    review = make_task("compliance_review", priority=1)
    answer = client_for("cora").post(f"{QUEUE}next/", {"task_type": "compliance_review"})
    assert answer.headers["Location"] == page_of(review)


def test_it_says_when_nothing_waits(client_for: ClientFor) -> None:
    answer = client_for("ana").post(f"{QUEUE}next/", follow=True)
    assert "Nothing is waiting for you to take." in text_of(answer)


def test_it_offers_the_principals_of_open_tasks_alone(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    Principal.objects.create(pk="idle")
    make_task()
    filters = client_for("ana").get(QUEUE).context["filters"]
    assert [[c.value for c in f.choices] for f in filters if f.name == "principal"] == [["acme_corp"]]


def test_it_has_no_addresses_to_add_or_delete(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task, client = make_task(), client_for("root")
    for url in (f"{QUEUE}add/", f"{QUEUE}{task.pk}/delete/", f"{QUEUE}{task.pk}/history/"):
        client.post(url, {"post": "yes"})
        assert HumanTask.objects.get() == task
        assert client.get(url).status_code in (302, 404)


def test_it_asks_to_sign_in(make_task: NewTaskFactory) -> None:
    task = make_task()
    for url in (QUEUE, page_of(task), f"{QUEUE}{task.pk}/approve/", "/admin/"):
        assert "/admin/login/" in Client().get(url).headers["Location"]
        assert "/admin/login/" in Client().post(url).headers["Location"]
