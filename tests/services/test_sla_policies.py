"""Policies: the most specific wins, deadlines by calendar, changes told in the timeline, the preview."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from core import clock
from tasks_app.actors import Actor, system_actor
from tasks_app.exceptions import InvalidInput, NotAllowed
from tasks_app.models import BusinessCalendar, HumanTask, SLAPolicy, SLAStep, TaskEvent, TaskType
from tasks_app.services import (
    StepSpec,
    apply_changes,
    assign_task,
    change_priority,
    claim_task,
    decide_task,
    note_type_changed,
    recompute_open_tasks,
    release_task,
    save_calendar,
    save_policy,
    withdraw_task,
)
from tasks_app.services.resolve import Decision
from tasks_app.sla.clock import Step
from tasks_app.sla.explain import explain
from tasks_app.sla.preview import preview_policy
from tests.cast import NewTaskFactory

FRIDAY = datetime(2026, 3, 27, 16, 0, tzinfo=UTC)  # 17:00 in Berlin, the last working hour before the clocks change
OFFICE = {day: [["09:00", "12:30"], ["13:30", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}


def office() -> BusinessCalendar:
    return save_calendar(
        BusinessCalendar(
            slug="office", name="Berlin office", time_zone="Europe/Berlin", weekly_hours=OFFICE, country="DE"
        )
    )


def policy(name: str = "All", *, minutes: int = 120, **fields: object) -> SLAPolicy:
    return save_policy(SLAPolicy(name=name, to_resolve_minutes=minutes, **fields))


def types_of(task: HumanTask) -> list[str]:
    return list(TaskEvent.objects.filter(task=task).order_by("seq").values_list("type", flat=True))


@pytest.mark.parametrize(("priority", "hours"), [(4, 4), (3, 24), (2, 48), (1, None)])
def test_it_keeps_the_defaults_without_a_policy(make_task: NewTaskFactory, priority: int, hours: int | None) -> None:
    task = make_task(priority=priority)
    assert task.sla_policy_id is None
    assert task.due_by == (None if hours is None else task.created_at + timedelta(hours=hours))
    assert task.next_timer_at == task.due_by


def test_it_lets_the_most_specific_policy_win(make_task: NewTaskFactory) -> None:
    policy("All")
    policy("Urgent", priority=4)
    policy("Creatives", task_type_id="creative_approval")
    policy("Acme", principal_id="acme_corp")
    both = policy("Urgent creatives", task_type_id="creative_approval", priority=4)

    def name(**fields: object) -> str:
        task = make_task(**fields)
        assert task.sla_policy is not None
        return task.sla_policy.name

    assert name(priority=4) == "Urgent creatives"
    assert name(priority=2) == "Acme"
    both.is_active = False
    save_policy(both)
    assert name(priority=4) == "Acme"
    assert name(task_type="manual_approval", priority=4) == "Acme"


def test_it_counts_business_time_over_a_weekend_in_which_the_clocks_change(make_task: NewTaskFactory) -> None:
    policy(calendar=office())
    with clock.at(FRIDAY):
        assert make_task().due_by == datetime(2026, 3, 30, 8, 0, tzinfo=UTC)  # Monday 10:00 in Berlin


def test_it_runs_three_clocks(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    save_policy(SLAPolicy(name="Three", to_assign_minutes=30, assigned_to_resolve_minutes=60, to_resolve_minutes=240))
    with clock.at(FRIDAY):
        task = make_task()
    assert (task.assign_by, task.due_by) == (FRIDAY + timedelta(minutes=30), FRIDAY + timedelta(minutes=240))
    with clock.at(FRIDAY + timedelta(minutes=10)):
        task = claim_task(task.pk, ana)
    assert (task.assign_by, task.due_by) == (None, FRIDAY + timedelta(minutes=70))
    with clock.at(FRIDAY + timedelta(minutes=20)):
        task = release_task(task.pk, ana)
    assert (task.assign_by, task.due_by) == (None, FRIDAY + timedelta(minutes=240))
    with clock.at(FRIDAY + timedelta(minutes=200)):
        task = assign_task(task.pk, sam, assigned_to="ana")
    assert task.due_by == FRIDAY + timedelta(minutes=240)
    assert task.first_assigned_at == FRIDAY + timedelta(minutes=10)


def test_it_never_moves_an_explicit_deadline(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    with clock.at(FRIDAY):
        task = make_task(due_in_hours=3)
        policy("All", minutes=10, calendar=office())
        assert recompute_open_tasks(system_actor()) == 1  # it runs under the policy's steps now
        change_priority(task.pk, sam, priority=4)
        claim_task(task.pk, ana)
    task.refresh_from_db()
    assert task.due_by == FRIDAY + timedelta(hours=3)
    assert "never moves" in explain(task, FRIDAY).sentences[0]


def test_it_follows_a_change_of_priority(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    policy("Urgent", minutes=60, priority=4)
    with clock.at(FRIDAY):
        task = make_task(priority=2)
        with pytest.raises(NotAllowed):
            change_priority(task.pk, ana, priority=4)
        with pytest.raises(InvalidInput):
            change_priority(task.pk, sam, priority=2)
        changed = change_priority(task.pk, sam, priority=4, reason="the campaign starts tonight")
    assert (changed.due_by, changed.version) == (FRIDAY + timedelta(hours=1), 2)


def test_it_recomputes_open_tasks_and_says_so(make_task: NewTaskFactory, ana: Actor) -> None:
    with clock.at(FRIDAY):
        tasks = [make_task() for _ in range(5)]
        ended = make_task()
        decide_task(ended.pk, ana, Decision("approved"))
        slow = policy("Slow", minutes=600)
        assert recompute_open_tasks(system_actor(), reason="policy Slow", batch=2) == 5
        assert recompute_open_tasks(system_actor(), batch=2) == 0
    for task in tasks:
        task.refresh_from_db()
        assert (task.due_by, task.sla_policy_id, task.version) == (FRIDAY + timedelta(hours=10), slow.pk, 2)
        assert types_of(task) == ["task.created", "task.deadline_changed"]
        assert TaskEvent.objects.get(task=task, seq=2).reason == "policy Slow"
    assert "task.deadline_changed" not in types_of(ended)
    slow.is_active = False
    save_policy(slow)
    with clock.at(FRIDAY + timedelta(hours=1)):
        assert recompute_open_tasks(system_actor()) == 5
    tasks[0].refresh_from_db()
    assert tasks[0].due_by == FRIDAY + timedelta(hours=48)


def test_it_previews_what_it_then_does(make_task: NewTaskFactory) -> None:
    with clock.at(FRIDAY):
        old, explicit = make_task(priority=4), make_task(due_in_hours=3)
        make_task("manual_approval")
    with clock.at(FRIDAY + timedelta(hours=2)):
        candidate = SLAPolicy(
            name="Creatives", task_type_id="creative_approval", to_resolve_minutes=60, calendar=office()
        )
        preview = preview_policy(candidate)
        assert (preview.matched, preview.changed, preview.newly_overdue) == (2, 2, 1)
        shown = {d.task_id: (d.policy_after, d.due_after) for d in preview.differences}
        assert TaskEvent.objects.filter(type="task.deadline_changed").count() == 0
        save_policy(candidate)
        assert recompute_open_tasks(system_actor()) == preview.changed
    for task in (old, explicit):
        task.refresh_from_db()
        assert shown[task.pk] == ("Creatives", task.due_by)


def test_it_previews_no_change_where_a_policy_gets_another_name(make_task: NewTaskFactory) -> None:
    made = policy("All")
    make_task()
    made.name = "Everything"
    assert (preview_policy(made).matched, preview_policy(made).changed) == (1, 0)


def test_it_previews_on_how_many_tasks_its_steps_would_act_at_once(make_task: NewTaskFactory) -> None:
    made = policy("All", minutes=60)
    with clock.at(FRIDAY):
        make_task(), make_task(due_in_hours=3)
    with clock.at(FRIDAY + timedelta(minutes=40)):
        found = preview_policy(made, [Step(0, "new", "resolve", 50, None, "warn")])
    assert (found.matched, found.changed, found.acted_upon) == (2, 0, 1)


def test_it_explains_what_was_promised_when_a_task_ended_and_not_what_is_now(
    make_task: NewTaskFactory, ana: Actor
) -> None:
    made = policy("An hour", minutes=60)
    with clock.at(FRIDAY):
        task = make_task()
    with clock.at(FRIDAY + timedelta(minutes=30)):
        ended = decide_task(task.pk, ana, Decision("approved"))
    assert explain(ended, FRIDAY).clocks[0].is_met
    made.to_resolve_minutes = 10
    save_policy(made)
    told = explain(ended, FRIDAY + timedelta(hours=2))
    assert (told.due_by, told.clocks) == (FRIDAY + timedelta(hours=1), ())
    assert told.sentences == (
        "Its deadline was Fri 2026-03-27 17:00 UTC: kept.",
        "By the policies as they are now it would be Fri 2026-03-27 16:10 UTC; that does not count.",
    )


def test_it_says_of_a_task_that_ended_while_nobody_had_it_that_it_was_not_late(
    make_task: NewTaskFactory, bot: Actor
) -> None:
    save_policy(SLAPolicy(name="Thirty", to_assign_minutes=30))
    with clock.at(FRIDAY):
        early, late = make_task(), make_task()
    for task, minutes in ((early, 5), (late, 31)):
        with clock.at(FRIDAY + timedelta(minutes=minutes)):
            withdraw_task(task.pk, bot)
    told = [explain(HumanTask.objects.get(pk=t.pk), FRIDAY + timedelta(days=1)).sentences[-1] for t in (early, late)]
    assert told[0].endswith("5 min were used: kept.")
    assert told[1].endswith("31 min were used: missed.")


def test_it_follows_a_types_expiry_and_handling_time(make_task: NewTaskFactory) -> None:
    """An open task has both in its timer and in its place in the queue."""
    with clock.at(FRIDAY):
        task = make_task(priority=1)
        place, kind = task.start_by, TaskType.objects.get(pk=task.task_type_id)
        kind.expires_after_hours, kind.usual_handling_minutes = 8, kind.usual_handling_minutes + 60
        kind.save()
        note_type_changed("the type was changed")
        assert apply_changes(system_actor()) == 1
        assert recompute_open_tasks(system_actor()) == 0
    task.refresh_from_db()
    assert (task.next_timer_at, task.start_by) == (FRIDAY + timedelta(hours=6), place - timedelta(hours=1))
    assert (types_of(task)[-1], task.version) == ("task.deadline_changed", 1)


@pytest.mark.django_db
def test_it_keeps_versions_of_edited_steps() -> None:
    made = save_policy(
        SLAPolicy(name="Steps", to_resolve_minutes=60),
        [StepSpec("warn", at_percent=50), StepSpec("escalate", at_percent=100)],
    )
    warn, escalate = SLAStep.objects.filter(policy=made).order_by("id")
    save_policy(
        made, [StepSpec("warn", at_percent=75, key=warn.key), StepSpec("escalate", at_percent=100, key=escalate.key)]
    )
    current = SLAStep.objects.filter(policy=made, is_current=True).order_by("at_percent")
    assert [(s.key, s.version, s.at_percent) for s in current] == [(warn.key, 2, 75), (escalate.key, 1, 100)]
    warn.refresh_from_db()
    assert (warn.is_current, warn.at_percent) == (False, 50)
    save_policy(made, [])
    assert SLAStep.objects.filter(policy=made).count() == 3
    assert not SLAStep.objects.filter(policy=made, is_current=True).exists()


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([StepSpec("notify", at_percent=50)], "steps"),
        ([StepSpec("route", at_percent=50)], "steps"),
        ([StepSpec("warn")], "steps"),
        ([StepSpec("warn", at_percent=50, offset_minutes=-5)], "steps"),
        ([StepSpec("shout", at_percent=50)], "action"),
        ([StepSpec("notify", at_percent=50, channel="nowhere")], "steps"),
        ([StepSpec("route", at_percent=50, team="nobody")], "steps"),
    ],
)
@pytest.mark.django_db
def test_it_refuses_a_step_that_says_too_little(steps: list[StepSpec], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        save_policy(SLAPolicy(name="Steps", to_resolve_minutes=60), steps)
    assert refused.value.field == field
    assert not SLAPolicy.objects.exists()


@pytest.mark.django_db
def test_it_refuses_promises_that_nobody_can_keep_or_that_never_end() -> None:
    with pytest.raises(InvalidInput, match="at least one minute"):
        policy(minutes=0)
    slow = save_calendar(BusinessCalendar(slug="slow", name="Slow", weekly_hours={"mon": [["09:00", "09:30"]]}))
    with pytest.raises(InvalidInput, match="within ten years"):
        policy(minutes=60 * 500, calendar=slow)
    with pytest.raises(InvalidInput, match="would never come"):
        save_policy(SLAPolicy(name="x", to_resolve_minutes=60), [StepSpec("escalate", clock="assign", at_percent=100)])
    assert not SLAPolicy.objects.exists()


def test_it_says_that_a_calendar_does_not_open_for_so_long(make_task: NewTaskFactory) -> None:
    """It did when the policy was saved; then its hours were cut."""
    calendar = office()
    policy(minutes=60 * 24 * 300, calendar=calendar)
    calendar.weekly_hours = {"mon": [["09:00", "09:30"]]}
    save_calendar(calendar)
    task = make_task()
    assert task.due_by is None
    assert explain(task, clock.now()).basis[-2:] == (
        "It does not open for so long within ten years.",
        "So the task has no deadline.",
    )


@pytest.mark.django_db
def test_it_refuses_two_policies_for_the_same_tasks_and_calendars_that_never_open() -> None:
    policy("One", priority=4)
    with pytest.raises(InvalidInput, match="already"):
        policy("Two", priority=4)
    with pytest.raises(InvalidInput, match="at least one day"):
        save_calendar(BusinessCalendar(slug="never", name="Never"))
    with pytest.raises(InvalidInput, match="not a time zone"):
        save_calendar(BusinessCalendar(slug="x", name="X", time_zone="Mars/Base", weekly_hours=OFFICE))


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"time_zone": "../etc"}, "time_zone", "not a time zone"),
        ({"country": "HolidayBase"}, "country", "no holidays for 'HolidayBase'"),
        ({"country": "DE", "subdivision": "ZZ"}, "subdivision", "no holidays for 'DE-ZZ'"),
        ({"subdivision": "BY"}, "subdivision", "needs its country"),
        ({"own_dates": {"2026-02-30": []}}, "own_dates", "not a date"),
        ({"own_dates": {"2026-02-03": [["10:00", "10:00"]]}}, "own_dates", "2026-02-03: .* is empty"),
        ({"weekly_hours": {"tue": [["09:00", "12:00"], ["11:00", "13:00"]]}}, "weekly_hours", "tue: .* overlap"),
    ],
)
@pytest.mark.django_db
def test_it_names_the_field_of_a_calendar_that_is_wrong(fields: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        save_calendar(BusinessCalendar(**{"slug": "x", "name": "X", "weekly_hours": OFFICE, **fields}))
    assert refused.value.field == field


def test_it_forgets_policies_of_a_transaction_that_was_rolled_back(make_task: NewTaskFactory) -> None:
    savepoint = transaction.savepoint()
    policy("Lost", minutes=1)
    assert make_task().sla_policy_id is not None
    transaction.savepoint_rollback(savepoint)
    assert make_task().sla_policy_id is None
