"""The deck's answers: cards in the queue's order, claimed when shown, given back when left, decided and taken back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core import clock
from tasks_app import services, timers
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, StagedDecision, TaskEvent, TaskType
from tasks_app.services import Decision
from tests.admin.conftest import QUEUE, ClientFor
from tests.cast import NewTaskFactory

DECK = f"{QUEUE}deck/"


def fresh(task: HumanTask) -> HumanTask:
    return HumanTask.objects.get(pk=task.pk)


class Deck:
    """A reviewer's deck without its script."""

    def __init__(self, client: Client, query: str = "") -> None:
        self.client, self.query = client, query

    def card(self, *without: HumanTask) -> Any:
        names = ",".join(task.pk for task in without)
        return next(iter(self.client.get(f"{DECK}card/?{self.query}&not={names}").json()["cards"]), None)

    def post(self, name: str, task: HumanTask, **fields: Any) -> Any:
        return self.client.post(f"{DECK}{name}/", {"task": task.pk, "version": fresh(task).version, **fields})


@pytest.fixture
def deck_for(client_for: ClientFor) -> Callable[..., Deck]:
    return lambda who, query="": Deck(client_for(who), query)


def test_it_shows_the_first_card_and_claims_nothing_by_a_get(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck]
) -> None:
    later, first = make_task(priority=1), make_task(priority=4, error_detail="Look at this.")
    events = TaskEvent.objects.count()
    page = deck_for("ana").client.get(DECK)
    assert f'data-task="{first.pk}"' in page.content.decode()
    assert deck_for("ana").card(first)["task"] == later.pk
    assert (TaskEvent.objects.count(), fresh(first).status) == (events, "pending")


def test_it_takes_the_filter_of_the_address(make_task: NewTaskFactory, deck_for: Callable[..., Deck]) -> None:
    make_task(priority=4)
    wanted = make_task(priority=1)
    assert deck_for("ana", "priority=1").card()["task"] == wanted.pk
    assert deck_for("ana", "type=compliance_review").card() is None
    assert deck_for("ana", "tab=mine").card() is None


def test_it_leaves_out_what_is_not_to_be_decided_now(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], ana: Actor, sam: Actor
) -> None:
    TaskType.objects.filter(pk="creative_approval").update(needs_second_reviewer=True)
    of_sam, held, staged, first_by_ana = (make_task() for _ in range(4))
    make_task("permission_exception")
    services.claim_task(of_sam.pk, sam)
    services.claim_task(held.pk, ana)
    services.hold_task(held.pk, ana, reason="asked", follow_up_at=clock.now() + timedelta(days=1))
    services.stage_decision(staged.pk, ana, Decision("approved"))
    services.decide_task(first_by_ana.pk, ana, Decision("approved"))
    assert deck_for("ana").card() is None
    assert deck_for("sam").card()["task"] in (of_sam.pk, first_by_ana.pk)


def test_it_claims_what_is_shown_and_gives_it_back_when_left(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], ana: Actor
) -> None:
    task, deck = make_task(), deck_for("ana")
    shown = deck.post("show", task).json()
    assert shown == {"claimed": True, "version": 2}
    assert fresh(task).assigned_to == ana.user
    assert deck.post("leave", task).json() == {"left": True, "version": 3}
    assert fresh(task).status == "pending"
    assert deck.post("leave", task).json() == {"left": False}


def test_it_gives_back_an_escalated_task_as_escalated(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], sam: Actor, ana: Actor
) -> None:
    """Looked at and left, skipped with a reason or without: it waits as it waited before, one level above the rest."""
    task, deck = make_task(), deck_for("ana")
    services.escalate_task(task.pk, sam)
    HumanTask.objects.update(team="creative-review")
    for leave in ({}, {"claimed": "1"}, {"text": "not my language"}):
        assert deck.post("show", fresh(task)).json()["claimed"]
        assert fresh(task).status == "assigned"
        deck.post("skip" if leave else "leave", fresh(task), **leave)
        now_is = fresh(task)
        assert (now_is.status, now_is.escalation_level, now_is.assigned_to) == ("escalated", 1, None)
        assert TaskEvent.objects.filter(task=task).latest("seq").type == "task.put_back"
    # What came to its holder otherwise than from the escalated ones goes to the queue.
    services.assign_task(task.pk, sam, assigned_to="ana")
    assert services.put_back_task(task.pk, ana).status == "pending"


def test_it_does_not_give_back_what_was_touched_meanwhile(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], ana: Actor, sam: Actor
) -> None:
    begun, moved = make_task(), make_task()
    deck = deck_for("ana")
    for task in (begun, moved):
        deck.post("show", task)
    services.start_task(begun.pk, ana)
    services.assign_task(moved.pk, sam, assigned_to="ana")
    assert deck.post("leave", begun, version=3).json() == {"left": False}
    assert deck.post("leave", moved, version=2).json() == {"left": False}
    assert {fresh(task).assigned_to for task in (begun, moved)} == {ana.user}


def test_it_says_who_was_faster(make_task: NewTaskFactory, deck_for: Callable[..., Deck], sam: Actor) -> None:
    task, deck = make_task(), deck_for("ana")
    services.claim_task(task.pk, sam)
    answer = deck.post("show", task, version=1)
    assert answer.status_code == 409
    assert answer.json()["said"] == "sam has taken this task just now."


def test_it_shows_a_card_anew_that_has_changed_while_it_waited(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], sam: Actor
) -> None:
    task, deck = make_task(), deck_for("ana")
    services.change_priority(task.pk, sam, priority=4)
    answer = deck.post("show", task, version=1).json()
    assert answer["claimed"] is True
    assert "Urgent" in answer["card"]["html"]
    assert answer["said"]


def test_it_decides_with_one_key_and_takes_it_back(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], ana: Actor
) -> None:
    task, deck = make_task(creative_id="cr_9"), deck_for("ana")
    deck.post("show", task)
    staged = deck.post("act/reject", task, text="The logo is cut off.").json()["staged"]
    assert (staged["label"], staged["name"]) == ("Rejected", "cr_9")
    assert 8 < staged["seconds"] <= 10
    assert fresh(task).is_open
    back = deck.post("undo", task).json()
    assert back["typed"] == {"verb": "reject", "text": "The logo is cut off.", "modifications": {}}
    assert (back["card"]["task"], back["card"]["version"]) == (task.pk, fresh(task).version)
    assert deck.post("undo", task).status_code == 409


def test_it_carries_out_when_the_page_asks_after_the_time(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], ana: Actor
) -> None:
    task, deck = make_task(), deck_for("ana")
    staged = deck.post("act/approve", task).json()["staged"]
    assert deck.post("poll", task, ids=staged["id"]).json()["decisions"][0]["outcome"] == ""
    with clock.at(clock.now() + timedelta(seconds=11)):
        answer = deck.post("poll", task, ids=f"{staged['id']},x,999999999999999999999").json()
    assert [became["outcome"] for became in answer["decisions"]] == ["carried_out"]
    assert (fresh(task).resolution, fresh(task).resolved_by) == ("approved", ana.user)


def test_it_tells_of_a_decision_that_was_not_carried_out_and_why(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], sam: Actor
) -> None:
    task, deck = make_task(), deck_for("ana")
    staged = deck.post("act/approve", task).json()["staged"]
    services.release_task(task.pk, sam)
    (news,) = deck.client.get(f"{QUEUE}news/").json()["news"]
    assert news["text"] == "Your decision 'approved' was not carried out. sam: released"
    (became,) = deck.post("poll", task, ids=staged["id"]).json()["decisions"]
    assert (became["outcome"], became["why"]) == ("cancelled", "sam: released")
    assert deck.client.get(f"{QUEUE}news/").json()["news"] == [], "told once"


def test_it_shows_after_a_reload_what_can_still_be_taken_back(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck]
) -> None:
    task, deck = make_task(creative_id="cr_8"), deck_for("ana")
    deck.post("act/approve", task)
    page: Any = deck.client.get(DECK)
    assert [line["name"] for line in page.context["staged"]] == ["cr_8"]


def test_it_says_what_a_rejection_lacks(make_task: NewTaskFactory, deck_for: Callable[..., Deck]) -> None:
    task, deck = make_task(), deck_for("ana")
    answer = deck.post("act/reject", task, text=" ")
    assert answer.status_code == 400
    assert "Write a text" in answer.json()["errors"]["text"][0]
    assert fresh(task).status == "pending"


def test_it_answers_a_stale_card_with_the_card_as_it_is_now(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], ana: Actor, sam: Actor
) -> None:
    task, deck = make_task(), deck_for("ana")
    deck.post("show", task)
    services.change_priority(task.pk, sam, priority=4)
    answer = deck.post("act/approve", task, version=2)
    assert answer.status_code == 412
    assert "sam has changed the priority" in answer.json()["said"]
    assert "Urgent" in answer.json()["card"]["html"]
    assert not StagedDecision.objects.exists()
    services.assign_task(task.pk, sam, assigned_to="sam")
    lost = deck.post("act/approve", task, version=3)
    assert (lost.status_code, "card" in lost.json()) == (412, False)


def test_it_escalates_and_hands_over_at_once(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], sam: Actor
) -> None:
    up, over = make_task(), make_task(creative_id="cr_5")
    deck = deck_for("ana")
    for task in (up, over):
        deck.post("show", task)
    assert deck.post("act/escalate", up, text="too big").json()["done"]
    assert fresh(up).status == "escalated"
    assert deck.post("act/hand-over", over, colleague="sam", text="you know them").json()["done"]
    assert fresh(over).assigned_to == sam.user
    (news,) = deck_for("sam").client.get(f"{QUEUE}news/").json()["news"]
    assert (news["text"], news["name"]) == ("ana handed this task over to you: you know them", "cr_5")


def test_it_does_not_bring_back_what_was_skipped(make_task: NewTaskFactory, deck_for: Callable[..., Deck]) -> None:
    first, second = make_task(), make_task()
    deck = deck_for("ana")
    for task, reason in ((first, "not my language"), (second, "")):
        deck.post("show", task)
        assert deck.post("skip", task, text=reason, claimed="1").json()["done"]
    assert deck.card() is None
    assert {fresh(first).status, fresh(second).status} == {"pending"}
    assert [event.reason for event in TaskEvent.objects.filter(type="task.skipped")] == ["not my language"]
    assert deck_for("sam").card()["task"] == first.pk


def test_it_answers_for_unknown_and_foreign_tasks_alike(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck]
) -> None:
    task, deck = make_task(), deck_for("zoe")
    for name in ("show", "undo", "skip", "act/approve", "leave"):
        foreign = deck.client.post(f"{DECK}{name}/", {"task": task.pk, "version": 1})
        unknown = deck.client.post(f"{DECK}{name}/", {"task": "task_nothing", "version": 1})
        assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content)
    assert deck.client.get(f"{DECK}card/?task={task.pk}").json()["cards"] == []
    assert fresh(task).version == 1


def test_it_wants_a_post_and_its_token(make_task: NewTaskFactory, ana: Actor) -> None:
    task = make_task()
    client = Client(enforce_csrf_checks=True)
    client.force_login(ana.user)
    for name in ("show", "undo", "skip", "act/approve", "leave", "poll"):
        assert client.get(f"{DECK}{name}/").status_code == 405
        assert client.post(f"{DECK}{name}/", {"task": task.pk, "version": 1}).status_code == 403
    assert fresh(task).version == 1


def test_it_asks_as_many_questions_for_many_tasks_as_for_few(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck]
) -> None:
    def asked() -> list[int]:
        numbers = []
        for url in (DECK, f"{DECK}card/", f"{DECK}card/?count=2"):
            with CaptureQueriesContext(connection) as captured:
                assert deck.client.get(url).status_code == 200
            numbers.append(len(captured))
        return numbers

    deck = deck_for("ana")
    for _ in range(2):
        make_task(), make_task("compliance_review")
    few = asked()
    for _ in range(12):
        make_task(), make_task("compliance_review")
    assert asked() == few
    assert max(few[:2]) <= 26, few
    assert few[2] <= 40, few
    cards = deck.client.get(f"{DECK}card/?count=8").json()["cards"]
    assert len(cards) == 8
    assert [card["rank"] for card in cards] == sorted(card["rank"] for card in cards), "as the queue's order"
    for count in ("99", "-1", "x", "²", ""):
        assert 1 <= len(deck.client.get(f"{DECK}card/", {"count": count}).json()["cards"]) <= 10


def test_it_decides_at_once_where_nothing_is_to_be_taken_back(
    make_task: NewTaskFactory, deck_for: Callable[..., Deck], settings: Any
) -> None:
    settings.HITL_UNDO_SECONDS = 0
    task = make_task()
    assert deck_for("ana").post("act/approve", task).json()["done"] == "Approved."
    assert timers.sweep() == 0
    assert fresh(task).resolution == "approved"
