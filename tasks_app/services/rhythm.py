"""The rhythm that all services share: lock · permit · transition · write."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Func, TextField
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django_fsm import TransitionNotAllowed

from core import clock, prepared
from core.bulk import update_many
from tasks_app import events, lookups, reasons, writing
from tasks_app.actors import Actor
from tasks_app.exceptions import Conflict, NotAllowed, StaleVersion, TaskNotFound, WrongState
from tasks_app.models import FiredStep, HumanTask, StagedDecision, TaskEvent, User
from tasks_app.permissions import can_see
from tasks_app.sla import deadlines, policies
from tasks_app.sla.clock import Plan
from tasks_app.states import HELD, TRANSITIONS, EventType
from tasks_app.writing import Entry

Permit = Callable[[Actor, HumanTask], bool]


class _LockNeeded(Exception):
    """A change that was begun without the lock writes more than its ledger holds."""


@dataclass
class Ledger:
    """What changes of tasks, one or many, will write together at their end.

    `steps` are the steps taken, `timers` the tasks of which only the next timer changed.
    """

    entries: list[Entry] = field(default_factory=list)
    steps: list[FiredStep] = field(default_factory=list)
    timers: list[HumanTask] = field(default_factory=list)

    def extend(self, other: "Ledger") -> None:
        self.entries += other.entries
        self.steps += other.steps
        self.timers += other.timers

    def write(self) -> None:
        """Within the transaction that holds the locks. A step that was taken before raises IntegrityError."""
        FiredStep.objects.bulk_create(self.steps)
        events.write_many(self.entries)
        update_many(self.timers, ["next_timer_at"])
        self.entries, self.steps, self.timers = [], [], []

    def write_unlocked(self) -> None:
        """The change of one task that was read with its stamp. On PostgreSQL events alone are one statement, hence a
        transaction.

        Raises Conflict, and writes nothing, where the task is no longer as it was read.
        """
        is_one = connection.vendor == "postgresql" and not (self.steps or self.timers)
        with nullcontext() if is_one else transaction.atomic():
            self.write()


@dataclass
class Change:
    """A task under change by one actor at one moment: locked, or read with its stamp (`is_locked` False).

    Nothing is written before its `ledger` is. `fired` are the keys of the steps that the task has taken, `seen_at` is
    when its holder last had it open, where known.
    """

    task: HumanTask
    actor: Actor
    now: datetime
    ledger: Ledger
    fired: set[str] | None = None
    seen_at: datetime | None = None
    is_locked: bool = True

    def need_lock(self) -> None:
        """Called before anything is written that the ledger does not hold."""
        if not self.is_locked:
            raise _LockNeeded

    def permit(self, allowed: bool, refusal: "str | Promise") -> None:
        """Raise NotAllowed with `refusal` unless `allowed`. Nearly all are: so it is translated only if it is said."""
        if not allowed:
            raise NotAllowed(str(refusal), current_version=self.task.version)

    def move(self, name: str, *, reason: str = "", on_behalf_of: User | None = None, **arguments: Any) -> TaskEvent:
        """Run the transition `name` of the table, and note the task with its event in the ledger."""
        if self.task.staged_until is not None:
            self._cancel_staged(TRANSITIONS[name].event)
        before = events.state_of(self.task)
        try:
            getattr(self.task, name)(now=self.now, **arguments)
        except TransitionNotAllowed:
            raise wrong_state(self.task, name) from None
        self._touch()
        schedule(self.task, now=self.now, fired=self.fired)
        if before["held_since"] is not None and not self.task.is_open:
            _settle(self.task)
        return self._record(TRANSITIONS[name].event, before, reason, on_behalf_of)

    def change(self, event: EventType, change: Callable[[], None], *, reason: str = "") -> TaskEvent:
        """Run a change that is no transition, and note the task with its event in the ledger."""
        before, staged_until = events.state_of(self.task), self.task.staged_until
        change()
        self._touch()
        schedule(self.task, now=self.now, fired=self.fired)
        recorded = self._record(event, before, reason, None)
        if self.task.version != before["version"] and staged_until is not None:
            self._cancel_staged(event)
        return recorded

    def note(self, event: EventType, *, reason: str) -> TaskEvent:
        """Note a fact that leaves the task as it is."""
        before = events.state_of(self.task)
        self._touch()
        return self._record(event, before, reason, None)

    def _touch(self) -> None:
        """Whatever its holder does to a task shows that it is not left alone."""
        if self.task.status in HELD and self.task.assigned_to_id == self.actor.user.pk:
            self.task.touch(now=self.now)

    def _cancel_staged(self, event: EventType) -> None:
        """Any other change of a task cancels the decision that waits on it, and the trail says so.

        A decision that is being carried out, or taken back, waits no more: then there is nothing to cancel.
        """
        self.need_lock()
        waiting = StagedDecision.objects.filter(task=self.task, outcome=StagedDecision.Outcome.WAITING)
        sentence = reasons.OVERTAKEN if self.actor.is_system else reasons.OVERTAKEN_BY
        why = sentence % {"who": self.actor.user.get_username(), "what": reasons.word(event.label)}
        ended = {"outcome": StagedDecision.Outcome.CANCELLED, "ended_at": self.now, "why": why}
        if self.actor.user.pk == self.task.assigned_to_id:
            ended["told_at"] = self.now  # the reviewer did it, so need not be told
        if waiting.update(**ended):
            before = events.state_of(self.task)
            self.task.await_decision(until=None)
            self._record(EventType.DECISION_CANCELLED, before, why, None)

    def _record(self, event: EventType, before: dict[str, Any], reason: str, on_behalf_of: User | None) -> TaskEvent:
        told: dict[str, Any] = {"at": self.now, "before": before, "reason": reason, "on_behalf_of": on_behalf_of}
        entry = events.compose(self.task, event, self.actor, **told)
        self.ledger.entries.append(entry)
        return entry.event

    def note_steps(self, notes: Sequence[FiredStep]) -> None:
        """Steps that the task has taken, with what came of them: each once, by the unique key (task, step)."""
        self.ledger.steps.extend(notes)

    def wait(self, plan: Plan | None = None) -> None:
        """Nothing to tell but the timer that holds now. `plan`: one that knows more than the task's own columns."""
        schedule(self.task, now=self.now, fired=self.fired)
        if plan is not None:
            self.task.next_timer_at = plan.next_timer_at
        self.ledger.timers.append(self.task)


def wrong_state(task: HumanTask, name: str) -> WrongState:
    """The conflict that says where the task stands."""
    return WrongState(
        _("The task is %(status)s; it cannot be changed by '%(verb)s' now.")
        % {"status": task.get_status_display().lower(), "verb": name},
        current_version=task.version,
        current_status=str(task.status),
    )


def schedule(task: HumanTask, *, now: datetime, fired: Collection[str] | None = None) -> None:
    """Write the deadlines, the queue key and the next timer from what they depend on."""
    if not task.is_open:
        return
    plan = policies.plan(task, policies.policy_of(task), fired)
    task.assign_by = plan.assign.deadline if plan.assign else None
    task.due_by = plan.due.deadline if plan.due else None
    task.start_by = start_by_of(task, task.due_by)
    task.next_timer_at = plan.next_timer_at


def start_by_of(task: HumanTask, due_by: datetime | None) -> datetime:
    """The task's place in the queue, if it is due then."""
    usual = task.task_type.usual_handling_minutes
    return deadlines.start_by(due_by, task.created_at, usual, task.value_at_risk)


def _settle(task: HumanTask) -> None:
    """The deadline of a task that ended on hold, whose hold had been counted up to its follow-up."""
    plan = policies.plan(task, policies.policy_of(task), ())
    task.due_by = plan.due.deadline if plan.due else None


@contextmanager
def written_at_the_end() -> Iterator[Ledger]:
    """A ledger that is written at the end of the block, in the caller's transaction; nothing where the block fails."""
    ledger = Ledger()
    yield ledger
    ledger.write()


@contextmanager
def changing(task_id: str, actor: Actor, *, expected_version: int | None = None) -> Iterator[Change]:
    """Open a transaction with the task's row locked.

    Raises TaskNotFound where the task is unknown or out of the actor's sight (the same answer), StaleVersion where it
    has moved on from `expected_version`.
    """
    lookups.refresh()
    actor.grants  # noqa: B018  (read before the lock is taken)
    with transaction.atomic():
        task = _admitted(lock(task_id), actor, expected_version)
        with written_at_the_end() as ledger:
            yield Change(task=task, actor=actor, now=clock.now(), ledger=ledger)


def _admitted(task: HumanTask | None, actor: Actor, expected_version: int | None) -> HumanTask:
    if task is None or not can_see(actor, task):
        raise TaskNotFound
    if expected_version is not None and expected_version != task.version:
        raise StaleVersion(current_version=task.version, current_status=str(task.status))
    return task


def changed(
    task_id: str, actor: Actor, work: Callable[[Change], None], *, expected_version: int | None = None
) -> HumanTask:
    """The task after `work`, which asks for the lock (`need_lock`) before it writes anything but its ledger.

    No lock is held while it works: the row is read with its stamp, and what the work left is written on condition that
    the row still carries it (two round trips on PostgreSQL; on SQLite nobody else waits meanwhile). Where somebody came
    between, or the lock is needed, the work is done once more, as `changing` does it. Raises what `changing` raises.
    """
    task, ledger = _admitted(_read(task_id), actor, expected_version), Ledger()
    with suppress(_LockNeeded, Conflict):
        work(Change(task=task, actor=actor, now=clock.now(), ledger=ledger, is_locked=False))
        ledger.write_unlocked()
        return task
    with changing(task_id, actor, expected_version=expected_version) as change:
        work(change)
    return change.task


class _Stamp(Func):
    """What PostgreSQL notes in a row with every change: the number of the transaction that wrote it."""

    template = '"tasks_app_humantask".xmin::text'
    output_field = TextField()


def _read(task_id: str) -> HumanTask | None:
    """The task as it stands, with its stamp. SQLite notes nothing: there it is all that the row says."""
    if connection.vendor != "postgresql":
        task = writing.read_stamped(task_id)
        return None if task is None else lookups.complete(task)
    found = prepared.instances(
        "read with stamp", lambda: HumanTask.objects.filter(pk=prepared.TEXT).annotate(stamp=_Stamp()), text=task_id
    )
    return lookups.complete(found[0]) if found else None


def lock(task_id: str) -> HumanTask | None:
    """The task with its row locked until the end of the transaction (SQLite locks the database at BEGIN IMMEDIATE).

    Nothing is joined to it: PostgreSQL, having waited for a lock, reads the locked row anew but keeps the rows joined
    to it as they were before; a holder who came meanwhile would be missing, and a task that changed teams would not be
    found at all. Type, team and people are looked up by what the locked row says.
    """
    found = prepared.instances(
        "lock", lambda: HumanTask.objects.select_for_update().filter(pk=prepared.TEXT), text=task_id
    )
    return lookups.complete(found[0]) if found else None
