"""The state machine on tasks that were never saved: every transition from every status, and long random walks."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from django_fsm import TransitionNotAllowed
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tasks_app.models import HumanTask, Team, User
from tests.stateful.invariants import EDGES, FINISHED
from tests.stateful.invariants import OPEN as OPEN_STATUSES

NOW: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ANA, BEA = User(pk=1, username="ana"), User(pk=2, username="bea")
REVIEW, LEADS = Team(slug="creative-review"), Team(slug="leads")
DECISION: Final[dict[str, Any]] = {"detail": "as agreed", "modifications": {}, "by": ANA}

# Transition -> its arguments and the event whose edges are the graph written by hand.
MOVES: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "assign": ({"to": BEA}, "task.assigned"),
    "claim": ({"by": ANA}, "task.claimed"),
    "start": ({}, "task.started"),
    "hand_over": ({"to": BEA}, "task.handed_over"),
    "release": ({}, "task.released"),
    "put_back": ({}, "task.put_back"),
    "route": ({"team": LEADS}, "task.routed"),
    "complete": ({"resolution": "approved", **DECISION}, "task.completed"),
    "fail": ({"resolution": "rejected", **DECISION}, "task.failed"),
    "refer": ({"first_decision": {"resolution": "approved"}, "by": ANA}, "task.decision_recorded"),
    "escalate": ({"team": LEADS}, "task.escalated"),
    "withdraw": ({"detail": "moot"}, "task.withdrawn"),
    "expire": ({}, "task.expired"),
}


def unsaved(status: str = "pending") -> HumanTask:
    held = ANA if status in ("assigned", "in_progress") else None
    return HumanTask(status=status, team=REVIEW, assigned_to=held, created_at=NOW, updated_at=NOW, last_seen_at=NOW)


@pytest.mark.parametrize("status", [*OPEN_STATUSES, *FINISHED])
@pytest.mark.parametrize("name", MOVES)
def test_it_moves_along_the_graph_and_nowhere_else(name: str, status: str) -> None:
    arguments, event = MOVES[name]
    targets = [target for source, target in EDGES[event] if source == status]
    task = unsaved(status)
    before = dict(task.__dict__)
    if not targets:
        with pytest.raises(TransitionNotAllowed):
            getattr(task, name)(now=NOW, **arguments)
        assert {**task.__dict__, "_state": None} == {**before, "_state": None}
        return
    getattr(task, name)(now=NOW, **arguments)
    assert ([task.status], task.version) == (targets, 2)


class UnsavedTask(RuleBasedStateMachine):
    """Any transition at any moment. A refused one changes nothing; what must always hold, holds after each."""

    def __init__(self) -> None:
        super().__init__()
        self.task = unsaved()
        self.now = NOW
        self.moves = 0
        self.frozen: dict[str, Any] | None = None

    @rule(name=st.sampled_from(sorted(MOVES)), hours=st.integers(0, 30), person=st.sampled_from([ANA, BEA]))
    def move(self, name: str, hours: int, person: User) -> None:
        arguments, event = MOVES[name]
        arguments = {key: person if isinstance(value, User) else value for key, value in arguments.items()}
        before = self.state()
        self.now += timedelta(hours=hours)
        expected = [target for source, target in EDGES[event] if source == before["status"]]
        try:
            getattr(self.task, name)(now=self.now, **arguments)
        except TransitionNotAllowed:
            assert not expected
            assert self.state() == before
        else:
            assert expected == [self.task.status]
            assert self.task.version == before["version"] + 1
            assert self.task.escalation_level == before["escalation_level"] + (name == "escalate")
            if self.task.status in FINISHED:
                assert self.task.assigned_to_id == before["assigned_to_id"]
                self.frozen = self.state()

    @invariant()
    def has_the_assignee_that_its_status_asks_for(self) -> None:
        if self.task.status not in FINISHED:
            held = self.task.status in ("assigned", "in_progress")
            assert held == (self.task.assigned_to_id is not None) == (self.task.assigned_at is not None)
            assert (self.task.started_at is not None) == (self.task.status == "in_progress")

    @invariant()
    def is_frozen_once_it_has_ended(self) -> None:
        assert self.frozen is None or self.state() == self.frozen
        assert self.task.is_open == (self.task.completed_at is None) == (self.task.resolution == "")

    @invariant()
    def keeps_its_moments_in_order(self) -> None:
        moments = [NOW, self.task.assigned_at, self.task.started_at, self.task.completed_at, self.task.updated_at]
        present = [moment for moment in moments if moment is not None]
        assert present == sorted(present)

    def state(self) -> dict[str, Any]:
        return {field.attname: getattr(self.task, field.attname) for field in HumanTask._meta.concrete_fields}


def test_it_holds_on_unsaved_tasks_whatever_the_order_of_moves() -> None:
    run_state_machine_as_test(UnsavedTask)
