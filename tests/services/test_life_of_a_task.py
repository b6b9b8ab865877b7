"""The main line: open, claim, start, decide, through the one door."""

import pytest
from auditlog.models import LogEntry
from django.db import models

from tasks_app import events
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput, NotAllowed, StaleVersion, TakenByAnother, TaskNotFound, WrongState
from tasks_app.models import EventOutbox, SealedDetail, TaskEvent, TaskType, Team
from tasks_app.services import (
    Decision,
    assign_task,
    claim_next_task,
    claim_task,
    decide_task,
    escalate_task,
    release_task,
    resolve_task,
    start_task,
)
from tests.cast import NewTaskFactory


def test_it_goes_from_pending_to_approved_with_an_event_each_step(make_task: NewTaskFactory, ana: Actor) -> None:
    task = make_task(error_detail="format not auto-approved")
    claim_task(task.pk, ana)
    start_task(task.pk, ana)
    done = resolve_task(task.pk, ana, Decision("approved", "looks fine"))
    assert (done.status, done.resolution, done.resolved_by, done.version) == ("completed", "approved", ana.user, 4)
    types = list(TaskEvent.objects.filter(task=task).order_by("seq").values_list("type", flat=True))
    assert types == ["task.created", "task.claimed", "task.started", "task.completed"]
    assert EventOutbox.objects.count() == LogEntry.objects.filter(object_pk=task.pk).count() == 4
    assert not LogEntry.objects.filter(actor=None, object_pk=task.pk).exists()


def test_it_decides_in_one_call_and_leaves_every_step(make_task: NewTaskFactory, ana: Actor) -> None:
    task = make_task()
    assert decide_task(task.pk, ana, Decision("rejected", "logo is cut off")).status == "failed"
    assert TaskEvent.objects.filter(task=task).count() == 4


def test_it_lets_nobody_steal(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    task = make_task()
    claim_task(task.pk, ana)
    with pytest.raises(TakenByAnother, match="ana is working on this task"):
        claim_task(task.pk, sam)
    with pytest.raises(TakenByAnother, match="ana is working on this task"):
        decide_task(task.pk, sam, Decision("approved"))


def test_it_hides_tasks_of_other_teams_and_principals(make_task: NewTaskFactory, zoe: Actor, eve: Actor) -> None:
    task = make_task()
    for stranger in (zoe, eve):
        with pytest.raises(TaskNotFound):
            claim_task(task.pk, stranger)


def test_it_asks_for_a_text_with_a_rejection(make_task: NewTaskFactory, ana: Actor) -> None:
    with pytest.raises(InvalidInput, match="resolution_detail"):
        decide_task(make_task().pk, ana, Decision("rejected"))


def test_it_refuses_a_resolution_that_the_type_does_not_allow(make_task: NewTaskFactory, zoe: Actor) -> None:
    with pytest.raises(InvalidInput, match="completed"):
        decide_task(make_task("permission_exception").pk, zoe, Decision("approved"))


def test_it_lets_adapters_decide_only_in_a_persons_name(
    make_task: NewTaskFactory, bot: Actor, worker_bot: Actor, ana: Actor
) -> None:
    task = make_task()
    with pytest.raises(NotAllowed):
        decide_task(task.pk, bot, Decision("approved"), resolved_by="ana")
    with pytest.raises(InvalidInput, match="resolved_by"):
        decide_task(task.pk, worker_bot, Decision("approved"))
    with pytest.raises(InvalidInput, match="resolved_by"):
        decide_task(task.pk, worker_bot, Decision("approved"), resolved_by="zoe")
    assert (
        decide_task(task.pk, worker_bot, Decision("approved"), resolved_by="ana@agency.example").resolved_by == ana.user
    )


def test_it_takes_two_reviewers_at_their_words_also_where_these_were_masked(
    make_task: NewTaskFactory, ana: Actor, sam: Actor
) -> None:
    TaskType.objects.filter(pk="creative_approval").update(needs_second_reviewer=True)
    asks = {"contact": "a@b.example", "phone": 4155552671}
    for second, agree in ((asks, True), ({**asks, "contact": "c@d.example"}, False)):
        task = make_task(error_detail="from x@y.example")
        decide_task(task.pk, ana, Decision("approved", "for a@b.example", asks))
        done = decide_task(task.pk, sam, Decision("approved", "", second))
        assert (done.status == "completed", done.stage) == (agree, 2 if agree else 1)
        assert "@" not in str(done.resolution_data)


def test_it_assigns_by_lead_to_entitled_people_alone(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    task = make_task()
    with pytest.raises(NotAllowed):
        assign_task(task.pk, ana, assigned_to="sam")
    with pytest.raises(InvalidInput, match="zoe"):
        assign_task(task.pk, sam, assigned_to="zoe")
    assert assign_task(task.pk, sam, assigned_to="ana").assigned_to == ana.user


def test_it_answers_stale_versions_and_wrong_states(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    task = make_task()
    claim_task(task.pk, ana, expected_version=1)
    with pytest.raises(StaleVersion) as stale:
        release_task(task.pk, ana, expected_version=1)
    assert stale.value.extra["current_version"] == 2
    start_task(task.pk, ana)
    with pytest.raises(WrongState):
        start_task(task.pk, ana)


def test_it_passes_over_teams_of_the_chain_that_were_switched_off(make_task: NewTaskFactory, sam: Actor) -> None:
    """Nobody would see the task there."""
    first = Team.objects.get(pk="creative-review")
    last = first.escalation_team
    off = Team.objects.create(slug="off", name="Off", is_active=False, escalation_team=last)
    first.escalation_team = off
    first.save()
    assert escalate_task(make_task().pk, sam).team == last
    off.escalation_team = first  # round and round
    off.save()
    assert escalate_task(make_task().pk, sam).team == first


def test_it_escalates_to_the_escalation_team_and_puts_it_first(make_task: NewTaskFactory, ana: Actor) -> None:
    urgent, task = make_task(priority=4), make_task(priority=1)
    claim_task(task.pk, ana)
    escalated = escalate_task(task.pk, ana, reason="needs a lawyer, mail jane@acme.example")
    assert (escalated.status, escalated.team_id, escalated.escalation_level, escalated.assigned_to) == (
        "escalated",
        "leads",
        1,
        None,
    )
    assert "jane@" not in TaskEvent.objects.get(task=task, type="task.escalated").reason
    assert SealedDetail.objects.filter(task=task).count() == 1
    assert claim_next_task(ana) == task
    assert claim_next_task(ana) == urgent
    assert claim_next_task(ana) is None


def test_it_masks_before_it_stores(make_task: NewTaskFactory) -> None:
    task = make_task(
        error_detail="401 for ops@acme.example, token=abcdef1234567890",
        context_data={"password": "hunter2", "size": "300x250"},
    )
    task.refresh_from_db()
    named = make_task(media_buy_id="mb jane@acme.example", creative_id="jane@acme.example", adapter_name="a@b.example")
    assert (named.media_buy_id, named.creative_id) == ("mb [email 2]", "[email 2]")
    assert "ops@acme.example" not in task.error_detail
    assert task.context_data["password"] != "hunter2"
    assert task.context_data["size"] == "300x250"
    stored = b"".join(bytes(value) for value in TaskEvent.objects.values_list("snapshot", flat=True))
    assert b"hunter2" not in stored


def test_it_folds_a_storm_into_one_task(make_task: NewTaskFactory) -> None:
    first = make_task(dedup_key="gam-403", priority=2)
    for _ in range(11):
        assert make_task(dedup_key="gam-403", priority=2) == first
    assert make_task(dedup_key="gam-403", priority=4).priority == 4
    first.refresh_from_db()
    assert (first.occurrences, first.version) == (13, 2)
    types = list(TaskEvent.objects.filter(task=first).order_by("seq").values_list("type", flat=True))
    assert types == ["task.created", "task.recurred", "task.recurred", "task.priority_changed"]


def test_it_gives_gapless_positions(make_task: NewTaskFactory) -> None:
    for _ in range(3):
        make_task()
    assert events.assign_positions() == 3
    make_task()
    assert events.assign_positions() == 1
    assert list(EventOutbox.objects.order_by("id").values_list("position", flat=True)) == [1, 2, 3, 4]


def test_its_status_can_be_set_by_transitions_alone(make_task: NewTaskFactory) -> None:
    task = make_task()
    with pytest.raises(AttributeError):
        task.status = "completed"
    task.refresh_from_db()
    assert isinstance(task, models.Model)
    assert task.status == "pending"
