"""The figures: hours from the feed, each event once; the summary, its rights, and what Prometheus reads."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from core import clock
from tasks_app import counts, events, hours, metrics, summaries, timers
from tasks_app.actors import Actor
from tasks_app.models import HourSummary, SLAPolicy
from tasks_app.services import Decision, claim_task, decide_task, save_policy
from tests.cast import NewTaskFactory

T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


@pytest.fixture
def a_morning(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    """Ten creatives, claimed after 1 to 10 minutes, decided after 10 to 100; half of them late; one still waits."""
    save_policy(SLAPolicy(name="55 minutes", to_resolve_minutes=55))
    for number in range(1, 11):
        with clock.at(T):
            task = make_task(adapter_name="mock", operation="add_creative")
        with clock.at(T + minutes(number)):
            claim_task(task.pk, ana if number % 2 else sam)
        with clock.at(T + minutes(10 * number)):
            decision = Decision("rejected", "no") if number <= 3 else Decision("approved")
            decide_task(task.pk, ana if number % 2 else sam, decision)
    with clock.at(T + minutes(30)):
        make_task()
    events.assign_positions()
    with clock.at(T + minutes(100)):
        timers.sweep()  # the one that waits is overdue and escalates
    events.assign_positions()


def summary() -> dict[str, Any]:
    return metrics.summary(T + minutes(110), people=Q())


def test_it_tells_times_rates_and_people(a_morning: None) -> None:
    while summaries.roll_up(limit=7):
        pass
    told = summary()
    kind = told["types"]["creative_approval"]
    assert (kind["created"], kind["resolved"], kind["escalation_rate"]) == (11, 10, round(1 / 11, 4))
    assert kind["seconds_to_resolution"]["mean"] == 55 * 60
    assert kind["seconds_to_resolution"]["median"] == pytest.approx(55 * 60, rel=0.1)
    assert kind["seconds_to_resolution"]["p90"] == pytest.approx(90 * 60, rel=0.2)
    assert kind["seconds_to_assignment"]["mean"] == 330
    assert told["policies"] == {
        "55 minutes": {
            "resolved": 10,
            "breach_rate": 0.5,
            "clocks": {"to_assign": None, "assigned_to_resolve": None, "to_resolve": 0.5},
        }
    }
    assert kind["seconds_of_work"]["mean"] == (550 - 55) * 60 / 10
    assert told["operations"] == [
        {
            "adapter_name": "mock",
            "operation": "add_creative",
            "resolved": 10,
            "failure_rate": 0.0,
            "rejection_rate": 0.3,
        }
    ]
    assert told["decisions"] == {"ana": 5, "sam": 5}
    assert sum(hour["created"] for hour in told["hours"]) == 11
    assert told["open"]["oldest_unassigned_seconds"] == 80 * 60
    assert (told["open"]["total"], told["open"]["overdue"]) == (1, 1)


def test_the_median_of_an_even_number_lies_between_the_two_in_the_middle() -> None:
    """Of two tasks it would else be the quicker one."""
    counted = summaries.Count()
    assert summaries.Durations().median is summaries.Durations().p90 is None
    for seconds in (600, 600 * 9):
        counted.add(seconds)
    dense = [counted.buckets.get(place, 0) for place in range(len(summaries.BOUNDS) + 1)]
    sparse = summaries.Durations(6000, dict(counted.buckets))
    for times in (hours.Times(2, 6000, dense), sparse):
        assert times.median == pytest.approx(3000, rel=0.1)
        assert times.p90 == pytest.approx(5400, rel=0.1)


def test_it_tells_prometheus_no_rate_of_escalated_tasks_where_none_was_opened(a_morning: None) -> None:
    """0 would say that all is well."""
    while summaries.roll_up():
        pass

    def rates(after: float) -> list[float]:
        (metric,) = [m for m in metrics.collect(T + minutes(after)) if m.name == "escalation_ratio_24h"]
        return [sample.value for sample in metric.samples]

    assert rates(110) == [round(1 / 11, 4)]
    assert rates(24 * 60 + 30) == []  # the hour of the opening is past, that of the escalation is not
    assert metrics.summary(T + minutes(24 * 60 + 30), period=timedelta(days=1))["types"]


def test_it_counts_each_event_once_however_often_it_runs(a_morning: None) -> None:
    assert summaries.roll_up() > 0
    before = list(HourSummary.objects.order_by("pk").values())
    assert summaries.roll_up() == 0
    assert list(HourSummary.objects.order_by("pk").values()) == before


def test_it_keeps_as_many_rows_for_ten_times_the_tasks(make_task: NewTaskFactory, ana: Actor) -> None:
    def work(count: int) -> tuple[int, int]:
        for _ in range(count):
            with clock.at(T):
                task = make_task()
            with clock.at(T + minutes(5)):
                decide_task(task.pk, ana, Decision("approved"))
        events.assign_positions()
        summaries.roll_up()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            summary()
        return HourSummary.objects.count(), len(queries)

    assert work(2) == work(20)


def test_it_takes_figures_of_others_in(a_morning: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_collectors", list(metrics._collectors))
    metrics.register(lambda now: [metrics.Metric("webhook_lag_seconds", "How long.", [metrics.Sample(1.5)])])
    names = [metric.name for metric in metrics.collect()]
    assert names[-1] == "webhook_lag_seconds"
    assert "open_tasks" in names


def asked(now: datetime) -> tuple[dict[str, Any], int]:
    with CaptureQueriesContext(connection) as queries:
        told = metrics.summary(now, people=Q())
    return told, len(queries)


def rolled_up() -> None:
    with transaction.atomic():
        events.assign_positions()
    summaries.roll_up()


@pytest.mark.django_db(transaction=True)
def test_it_remembers_figures_until_something_happens(
    make_task: NewTaskFactory, ana: Actor, settings: Settings
) -> None:
    """Outside transactions: what is counted while somebody writes is not remembered."""
    settings.HITL_LOOKUP_SECONDS = 60
    counts.forget()
    hours.forget()
    now = T + minutes(110)
    with clock.at(T):
        task = make_task(due_in_hours=2)
    rolled_up()
    first, queries = asked(now)
    again, few = asked(now)
    assert again == first
    assert queries - few == 5  # the open rows, and four questions to the hours
    assert first["open"]["overdue"] == 0
    assert asked(now + minutes(11))[0]["open"]["overdue"] == 1  # its deadline has passed
    with clock.at(now):
        decide_task(task.pk, ana, Decision("approved"))
    assert asked(now)[0]["open"]["total"] == 0
    assert asked(now)[0]["types"]["creative_approval"]["resolved"] == 0  # not rolled up yet
    rolled_up()
    told, _queries = asked(now)
    assert (told["types"]["creative_approval"]["resolved"], told["decisions"]) == (1, {"ana": 1})
    assert asked(now + timedelta(days=8))[0]["types"] == {}
    counts.forget()
    hours.forget()
