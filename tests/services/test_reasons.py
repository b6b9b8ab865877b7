"""Reasons that the system writes: stored in English whoever acts, read in the reader's own language."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils.translation import gettext, override

from core import clock
from tasks_app import reasons, timers
from tasks_app.actors import Actor
from tasks_app.admin.timeline import timeline_of
from tasks_app.models import HumanTask, SLAPolicy, TaskEvent, Team
from tasks_app.services import StepSpec, claim_task, comment_on_task, save_policy
from tasks_app.sla.explain import explain
from tests.cast import NewTaskFactory

T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
VALUES = {
    "n": 15,
    "days": 15,
    "seconds": 15,
    **dict.fromkeys(("deadline", "due", "end", "moment"), "2026-03-02 12:00 UTC"),
    **dict.fromkeys(("name", "person", "team", "who"), "Ana & Co."),
    "first": "approved",
    "second": "rejected",
    "what": "approved",
}


def sweep_at(minutes: float) -> None:
    with clock.at(T + timedelta(minutes=minutes)):
        timers.sweep()


@pytest.mark.parametrize("sentence", reasons.SENTENCES)
def test_it_says_each_stored_sentence_in_the_readers_language(sentence: str) -> None:
    stored = sentence % VALUES
    with override("de"):
        expected = gettext(sentence) % {**VALUES, "what": "freigegeben"}
        assert reasons.shown(stored) == expected != stored
    assert reasons.shown(stored) == stored


@pytest.mark.parametrize(
    ("stored", "german"),
    [
        ("ops: at 80 %: due 2026-03-02 12:00 UTC", "ops: bei 80 %: fällig am 2026-03-02 12:00 UTC"),
        ("reported again\nat 80 %", "erneut gemeldet\nat 80 %"),
        ("due tomorrow", "due tomorrow"),
        ("ana: lost", "ana: lost"),
        ("the buyer is away: untouched for days", "the buyer is away: untouched for days"),
        ("", ""),
    ],
)
def test_it_leaves_what_people_wrote(stored: str, german: str) -> None:
    with override("de"):
        assert reasons.shown(stored) == german


def test_it_stores_english_whatever_the_language_of_the_process(make_task: NewTaskFactory, ana: Actor) -> None:
    Team.objects.update(return_after_minutes=40)
    with override("de"):
        save_policy(SLAPolicy(name="An hour", to_resolve_minutes=60), [StepSpec("escalate", at_percent=50)])
        with clock.at(T):
            stepped, held = make_task(), make_task(due_in_hours=30)
            make_task(dedup_key="once")
            make_task(dedup_key="once")
            claim_task(held.pk, ana)
            comment_on_task(stepped.pk, ana, "reported again")
        for minutes in (30, 40):
            sweep_at(minutes)
        told = set(TaskEvent.objects.exclude(reason="").values_list("reason", flat=True))
        held = HumanTask.objects.get(pk=held.pk)
        shown = timeline_of(held, T).entries[0].reason
        comments = [entry.reason for entry in timeline_of(stepped, T).entries if entry.who == "ana"]
        steps = [text for _at, text in explain(held, T).steps]
    assert told == {
        "at 50 %: due 2026-03-02 10:00 UTC",
        "untouched; it goes back to the queue at 2026-03-02 09:40 UTC",
        "untouched for 40 minutes",
        "reported 2 times",
        "reported again",
    }
    assert shown == "40 Minuten lang unberührt"
    assert comments == ["reported again"]
    assert steps[0].startswith("bei 50 %: ")
    assert explain(held, T).steps[0][1].startswith("at 50 %: ")
