"""The hand-written statement and its twin leave the same rows; a task not as it was found stays as it is."""

import contextlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import orjson
import pytest
from auditlog.models import LogEntry
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core import clock, recent
from tasks_app import events, writing
from tasks_app.actors import Actor
from tasks_app.exceptions import Conflict
from tasks_app.models import EventOutbox, HumanTask, Principal, SLAPolicy, TaskEvent, TaskType
from tasks_app.services import Decision, claim_task, decide_task, save_policy, start_task
from tasks_app.services.create import similarity_key
from tasks_app.services.rhythm import Change, Ledger, schedule, written_at_the_end
from tasks_app.states import EventType
from tasks_app.writing import Entry
from tests.cast import NewTaskFactory

pytestmark = pytest.mark.django_db

HARD = 'naïve \\ "quoted" {"a": 1} \u2028 \t\r\n %s $1 \'; DROP TABLE x -- 汉字 🦊'
TREE: dict[str, Any] = {HARD: [None, True, 1.5, -0.0, 2**63 - 1, -(2**63), {"": HARD}], "é": [], "empty": {}}
TABLES: tuple[Any, ...] = (HumanTask, TaskEvent, EventOutbox, LogEntry)
BOTH = (writing.write_by_statement, writing.write_by_table)


def rows() -> dict[str, list[dict[str, Any]]]:
    """Everything in the four tables but the numbers that the database gives."""
    found = {}
    for model in TABLES:
        names = [f.attname for f in model._meta.concrete_fields if f.attname != "id"]
        stored = list(model._default_manager.order_by("pk").values(*names))
        found[model.__name__] = [
            {name: bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()}
            for row in stored
        ]
    return found


def written_by(write: Callable[[Sequence[Entry]], int], entries: Sequence[Entry]) -> dict[str, Any]:
    with transaction.atomic():
        count = write(entries)
        found = rows()
        transaction.set_rollback(True)
    return found | {"written": count}


def new_task(actor: Actor, **fields: Any) -> HumanTask:
    kind, now = TaskType.objects.select_related("default_team").get(pk="creative_approval"), clock.now()
    task = HumanTask(
        task_type=kind,
        principal=Principal.objects.get(pk="acme_corp"),
        team=kind.default_team,
        requested_by=actor.user,
        created_at=now,
        updated_at=now,
        last_seen_at=now,
        **fields,
    )
    task.similarity_key = similarity_key(task)
    schedule(task, now=now)
    return task


def opened(actor: Actor, *tasks: HumanTask) -> list[Entry]:
    return [events.compose(task, EventType.CREATED, actor, at=task.created_at, before=None) for task in tasks]


def full_task(bot: Actor) -> HumanTask:
    texts = dict.fromkeys(("adapter_name", "media_buy_id", "creative_id"), HARD[:60])
    texts |= {"operation": HARD, "error_detail": HARD * 50, "dedup_key": "d" * 64}
    whole_second = clock.now().replace(microsecond=0)
    return new_task(bot, **texts, context_data=TREE, due_by=whole_second + timedelta(days=1), due_is_explicit=True)


def changed(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> list[Entry]:
    """Several tasks, some with several events, and every kind of value that changes."""
    ledger, now = Ledger(), clock.now()
    decided, held, noted = (
        Change(HumanTask.objects.select_related("task_type").get(pk=make_task().pk), ana, now, ledger) for _ in range(3)
    )
    decided.move("claim", by=ana.user)
    held.move("claim", by=ana.user, on_behalf_of=sam.user)
    decided.move("start")
    held.change(
        EventType.HELD, lambda: held.task.hold(until=now + timedelta(days=1), reason=HARD, now=now), reason=HARD
    )
    noted.note(EventType.COMMENTED, reason=HARD)
    decided.move("complete", resolution="approved", detail=HARD, modifications=TREE, by=ana.user, reason=HARD)
    return ledger.entries


@pytest.mark.postgresql_alone
def test_its_twins_open_alike(bot: Actor, people: Any) -> None:
    here = Actor(user=bot.user, address="fe80::1%eth0", correlation_id="")
    entries = [*opened(bot, full_task(bot), new_task(bot)), *opened(here, new_task(bot))]
    by_statement, by_table = (
        written_by(write, entries) for write in (writing.write_by_statement, writing.write_by_table)
    )
    assert by_statement["written"] == 3
    assert by_statement == by_table


@pytest.mark.postgresql_alone
def test_its_twins_change_alike(make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    entries = changed(make_task, ana, sam)
    by_statement, by_table = (
        written_by(write, entries) for write in (writing.write_by_statement, writing.write_by_table)
    )
    assert by_statement["written"] == 3
    assert by_statement == by_table
    assert [row["seq"] for row in by_table["TaskEvent"]].count(4) == 1, "three events joined the first of one task"


def test_it_would_notice_a_twin_that_forgets(
    make_task: NewTaskFactory, ana: Actor, sam: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    entries = changed(make_task, ana, sam)
    whole = written_by(writing.write_by_table, entries)
    most = tuple(field for field in writing.columns(whole=False) if field.attname != "held_reason")
    monkeypatch.setattr(writing, "columns", lambda **_options: most)
    assert written_by(writing.write_by_table, entries) != whole


def test_it_stores_what_the_snapshots_say(bot: Actor, make_task: NewTaskFactory, ana: Actor, sam: Actor) -> None:
    """The row read back, and the trail's last words about it, are the same."""
    task = full_task(bot)
    writing.write([*opened(bot, task), *changed(make_task, ana, sam)])
    for stored in HumanTask.objects.all():
        told: dict[str, Any] = {}
        for event in TaskEvent.objects.filter(task=stored).order_by("seq"):
            told |= orjson.loads(bytes(event.snapshot))
        assert orjson.loads(events.freeze(events.state_of(stored, whole=True))) == told
        assert (stored.last_event_seq, stored.last_event_hash) == (event.seq, event.hash)


@pytest.mark.postgresql_alone
def test_it_takes_one_round_trip_for_many(make_task: NewTaskFactory, ana: Actor, sam: Actor, bot: Actor) -> None:
    for count in (1, 20):
        entries = opened(bot, *(new_task(bot) for _ in range(count)))
        with CaptureQueriesContext(connection) as queries:
            writing.write(entries)
        assert len(queries) == 1, f"for {count}"
    entries = changed(make_task, ana, sam)
    with CaptureQueriesContext(connection) as queries:
        writing.write(entries)
    assert len(queries) == 1


@pytest.mark.parametrize("meanwhile", [{"version": 7}, {"last_event_seq": 7}], ids=["changed", "noted"])
def test_it_refuses_a_task_that_is_not_as_it_was_found(
    make_task: NewTaskFactory, ana: Actor, meanwhile: dict[str, int]
) -> None:
    """Whoever comes here holds the lock; should the lock ever fail, nothing is overwritten and nothing is told."""
    pk, ledger = make_task().pk, Ledger()
    change = Change(HumanTask.objects.select_related("task_type").get(pk=pk), ana, clock.now(), ledger)
    change.move("claim", by=ana.user)
    HumanTask.objects.filter(pk=pk).update(**meanwhile)
    with pytest.raises(Conflict), transaction.atomic():
        ledger.write()
    assert (HumanTask.objects.get(pk=pk).status, TaskEvent.objects.filter(task=pk).count()) == ("pending", 1)


def test_it_writes_nothing_of_a_block_that_failed(make_task: NewTaskFactory, ana: Actor) -> None:
    pk = make_task().pk
    with contextlib.suppress(RuntimeError), written_at_the_end() as ledger:
        Change(HumanTask.objects.get(pk=pk), ana, clock.now(), ledger).move("claim", by=ana.user)
        raise RuntimeError
    assert TaskEvent.objects.filter(task=pk).count() == 1


# -- policies that are remembered --------------------------------------------------------------------------------------


def test_it_opens_no_task_under_policies_of_yesterday(make_task: NewTaskFactory) -> None:
    """The policies are not asked for before each task; the writing statement sees that they have changed."""
    make_task()
    policy = save_policy(SLAPolicy(name="An hour", to_resolve_minutes=60))
    task = make_task()
    assert task.sla_policy_id == policy.pk
    assert task.due_by == task.created_at + timedelta(hours=1)
    policy.to_resolve_minutes = 30
    save_policy(policy)
    assert (later := make_task()).due_by == later.created_at + timedelta(minutes=30)


@pytest.mark.postgresql_alone
def test_it_would_without_the_comparison(make_task: NewTaskFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    make_task()
    save_policy(SLAPolicy(name="An hour", to_resolve_minutes=60))
    write = writing.write
    monkeypatch.setattr(writing, "write", lambda entries, revision: write(entries))
    assert make_task().sla_policy_id is None


@pytest.mark.postgresql_alone
def test_it_opens_a_task_with_one_statement(make_task: NewTaskFactory, settings: Any) -> None:
    settings.HITL_LOOKUP_SECONDS = 60.0
    make_task()
    with CaptureQueriesContext(connection) as queries:
        make_task()
    assert len(queries) == 1
    recent.forget_everything()


@pytest.mark.postgresql_alone
def test_it_decides_a_task_with_two_statements(make_task: NewTaskFactory, ana: Actor, settings: Any) -> None:
    settings.HITL_LOOKUP_SECONDS = 60.0
    for task in (make_task(), make_task()):
        claim_task(task.pk, ana)
        start_task(task.pk, ana)
        with CaptureQueriesContext(connection) as queries:
            decide_task(task.pk, ana, Decision("approved"))
    assert len(queries) == 2, [query["sql"][:60] for query in queries]
