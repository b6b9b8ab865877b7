"""The explained clock on the task page: promise, calendar, what counted and what was on hold, in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

from core import clock
from tasks_app.actors import Actor
from tasks_app.models import SLAPolicy, TaskType, User
from tasks_app.services import Decision, StepSpec, claim_task, decide_task, hold_task, resume_task, save_policy
from tests.admin.conftest import ClientFor, page_of, text_of
from tests.cast import NewTaskFactory
from tests.services.test_sla_policies import office

FRIDAY = datetime(2026, 3, 27, 16, 0, tzinfo=UTC)  # 17:00 in Berlin, before the weekend in which the clocks change


def test_it_unfolds_a_deadline_over_a_hold_and_a_change_of_the_clocks(
    make_task: NewTaskFactory, ana: Actor, client_for: ClientFor
) -> None:
    policy = SLAPolicy(name="Two office hours", to_resolve_minutes=120, to_assign_minutes=60, calendar=office())
    save_policy(policy, [StepSpec("warn", at_percent=50), StepSpec("escalate", at_percent=100)])
    with clock.at(FRIDAY):
        task = make_task()
        claim_task(task.pk, ana)
    with clock.at(FRIDAY + timedelta(minutes=30)):
        hold_task(task.pk, ana, reason="the buyer sends a new file", follow_up_at=datetime(2026, 3, 30, 8, tzinfo=UTC))
        page = text_of(client_for("ana").get(page_of(task)))
        assert "On hold until 2026-03-30 08:00 UTC : the buyer sends a new file" in page
        assert "follow-up: the hold ends by itself" in page
    with clock.at(datetime(2026, 3, 30, 7, 0, tzinfo=UTC)):
        resume_task(task.pk, ana)
        response: Any = client_for("ana").get(page_of(task))
    card = response.context["clock"]
    assert [(bar.label, bar.used, bar.target, bar.percent, bar.tone, bar.verdict) for bar in card.bars] == [
        ("From opening until somebody has it", "0 min", "1 h", 0, "done", "kept"),
        ("From opening to the end", "30 min", "2 h", 25, "calm", "1 h 30 min left"),
    ]
    assert [(s.when, s.length, s.is_hold) for s in card.stretches] == [
        ("Fri 27 Mar 17:00 to 17:30", "30 min", False),
        ("Fri 27 Mar 17:30 to Mon 30 Mar 09:00", "62 h 30 min", True),
    ]
    assert [(step.when, step.text) for step in card.next] == [
        ("Mon 30 Mar 09:30 CEST", "at 50 %: the assignee is warned"),
        ("Mon 30 Mar 10:30 CEST", "at 100 %: the task is escalated"),
    ]
    said = text_of(response)
    assert "Policy “Two office hours” (all tasks) is the most specific that fits." in said
    assert "Time counts by the calendar “Berlin office” (Europe/Berlin)." in said


def test_it_speaks_the_readers_time_round_the_clock_and_tells_misses(
    make_task: NewTaskFactory, ana: Actor, client_for: ClientFor
) -> None:
    User.objects.filter(pk=ana.user.pk).update(time_zone="America/New_York")
    TaskType.objects.filter(pk="creative_approval").update(expires_after_hours=100)
    with clock.at(FRIDAY):
        task = make_task(priority=4)
    with clock.at(FRIDAY + timedelta(hours=3, minutes=30)):
        card = _card(client_for("ana").get(page_of(task)))
        assert (card.zone, card.bars[0].tone, card.bars[0].verdict) == ("America/New_York", "soon", "30 min left")
        assert [step.text for step in card.next] == [
            "at the deadline: the task is escalated",
            "a warning that the task is about to expire",
            "the task expires: it ends without a decision, unless it is extended",
        ]
        assert card.next[0].when == "Fri 27 Mar 16:00 EDT"
    with clock.at(FRIDAY + timedelta(hours=5)):
        assert _card(client_for("ana").get(page_of(task))).bars[0].verdict == "overdue by 1 h"
        decide_task(task.pk, ana, Decision("approved"))
        bar = _card(client_for("ana").get(page_of(task))).bars[0]
        assert (bar.verdict, bar.tone, bar.percent) == ("missed", "late", 100)


def test_it_says_that_there_is_no_deadline_or_that_it_was_given(
    make_task: NewTaskFactory, client_for: ClientFor
) -> None:
    without, given = make_task(priority=1), make_task(due_in_hours=3)
    card = _card(client_for("ana").get(page_of(without)))
    assert (card.bars, card.next, card.basis[-1]) == ([], [], "So the task has no deadline.")
    assert "never moves" in _card(client_for("ana").get(page_of(given))).basis[0]


def _card(response: Any) -> Any:
    return response.context["clock"]
