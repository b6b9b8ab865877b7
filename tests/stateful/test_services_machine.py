"""Every service action by everybody, in any order, with clock jumps: the invariants hold after every step."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tasks_app.actors import Actor
from tests.profile import NIGHTLY
from tests.stateful import world
from tests.stateful.play import OF_THE_DECK, VERBS, Play

_hours = st.sampled_from([0, 1, 30, 60, 240, 1440, 2880, 7200])


class Services(RuleBasedStateMachine):
    """One game per example, in a savepoint that is rolled back at its end."""

    actors: dict[str, Actor]

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.savepoint()
        self.choices: st.DataObject | None = None
        self.play = Play(self.actors, self.draw)

    def draw(self, options: Sequence[Any]) -> Any:
        assert self.choices is not None
        return self.choices.draw(st.sampled_from(options))

    def settle(self) -> None:
        assert not self.play.watch.violations, "\n".join(what for _code, what in self.play.watch.violations)

    @initialize(task_type=st.sampled_from(world.TYPES))
    def open_one(self, task_type: str) -> None:
        self.play.open("bot", task_type, "acme_corp", 2, "")
        self.settle()

    @precondition(lambda self: len(self.play.rows) < 5)
    @rule(
        who=st.sampled_from(["bot", "eve", "clerk", "ana", "gus"]),
        task_type=st.sampled_from(world.TYPES),
        principal=st.sampled_from(world.PRINCIPALS),
        priority=st.integers(1, 4),
        dedup_key=st.sampled_from(["", "gam-403"]),
    )
    def open(self, who: str, task_type: str, principal: str, priority: int, dedup_key: str) -> None:
        self.play.open(who, task_type, principal, priority, dedup_key)
        self.settle()

    @rule(
        verb=st.sampled_from(sorted(VERBS)),
        who=st.sampled_from(world.EVERYBODY),
        which=st.integers(0, 4),
        ago=st.sampled_from([None, None, 0, 0, 1]),
        choices=st.data(),
    )
    def act(self, verb: str, who: str, which: int, ago: int | None, choices: st.DataObject) -> None:
        self.choices = choices
        tasks = list(self.play.rows)
        self.play.act(verb, who, tasks[which % len(tasks)], seen_versions_ago=ago)
        self.settle()

    @rule(
        verb=st.sampled_from(["start", "resolve", "decide", "escalate", "release", "comment"]),
        which=st.integers(0, 4),
        choices=st.data(),
    )
    def holder_acts(self, verb: str, which: int, choices: st.DataObject) -> None:
        """Chance rarely meets the one person who may go on, so he gets a rule of his own."""
        self.choices = choices
        held = [pk for pk, row in self.play.rows.items() if row["assigned_to_id"] is not None]
        if held:
            pk = held[which % len(held)]
            holder = self.play.rows[pk]["assigned_to_id"]
            who = next(name for name in world.REVIEWERS if self.actors[name].user.pk == holder)
            self.play.act(verb, who, pk)
            self.settle()

    @rule(
        verb=st.sampled_from(["agree", "decide"]),
        who=st.sampled_from(["ana", "bea", "sam"]),
        which=st.integers(0, 4),
        choices=st.data(),
    )
    def decides_a_second_time(self, verb: str, who: str, which: int, choices: st.DataObject) -> None:
        """Where four eyes are asked for: by the same person or another one."""
        self.choices = choices
        waiting = [pk for pk, row in self.play.rows.items() if row["stage"] == 2]
        if waiting:
            self.play.act(verb, who, waiting[which % len(waiting)])
            self.settle()

    @rule(
        verb=st.sampled_from([*sorted(OF_THE_DECK), "stage"]),
        who=st.sampled_from(world.REVIEWERS),
        by_holder=st.booleans(),
        which=st.integers(0, 4),
        choices=st.data(),
    )
    def works_the_deck(self, verb: str, who: str, by_holder: bool, which: int, choices: st.DataObject) -> None:
        self.choices = choices
        pk = list(self.play.rows)[which % len(self.play.rows)]
        holder = self.play.rows[pk]["assigned_to_id"]
        if by_holder and holder is not None:
            who = next(name for name in world.REVIEWERS if self.actors[name].user.pk == holder)
        self.play.act(verb, who, pk)
        self.settle()

    @rule(who=st.sampled_from(world.EVERYBODY))
    def claim_next(self, who: str) -> None:
        self.play.claim_next(who)
        self.settle()

    @rule()
    def old_holder_decides(self) -> None:
        self.play.draw = lambda options: options[0]
        self.play.old_holder_decides()
        self.play.draw = self.draw
        self.settle()

    @rule(minutes=_hours)
    def time_passes(self, minutes: int) -> None:
        self.play.jump(minutes)
        self.play.sweep()
        self.settle()

    @rule(minutes=_hours)
    def time_passes_before_the_sweep(self, minutes: int) -> None:
        self.play.jump(minutes)

    @rule(who=st.sampled_from(["ana", "bea", "sam", "zoe"]))
    def leaves(self, who: str) -> None:
        self.play.return_all_of(who)
        self.settle()

    def teardown(self) -> None:
        try:
            if not self.play.watch.violations:
                self.play.watch.look_at_everything()
                self.settle()
        finally:
            transaction.savepoint_rollback(self.savepoint)


@pytest.mark.django_db
@pytest.mark.usefixtures("catalogue_remembered")
def test_it_keeps_every_invariant_whatever_happens() -> None:
    Services.actors = world.build()
    # The same games on both databases: on every run, PostgreSQL plays the first of them.
    games = settings().max_examples if NIGHTLY or connection.vendor == "sqlite" else 60
    run_state_machine_as_test(Services, settings=settings(max_examples=games))
