"""A fixed tour through the services, with one test per invariant: a patch of tests/mutants turns red its own alone.

The tour is forty short games with drawn moves, and twelve of the deck, the same in every run. A game ends at its first
violation, so that one fault is not blamed for what follows from it.
"""

import random
from collections.abc import Callable, Iterator

import pytest
from django.db import transaction

from tasks_app.actors import Actor
from tests.cast import remembering
from tests.stateful import world
from tests.stateful.invariants import INVARIANTS
from tests.stateful.play import VERBS, Play

GAMES = 40
GAMES_OF_THE_DECK = 12
MOVES = 40


def play(game: int, move: Callable[[Play, random.Random], None]) -> list[tuple[str, str]]:
    """One game; return the violations of its first bad step, or of the closing look."""
    dice = random.Random(game)
    table = Play(world_of_today, dice.choice)
    watch = table.watch
    for number in range(MOVES):
        if len(table.rows) < 4 and (number == 0 or dice.random() < 0.15):
            who = dice.choice(("bot", "bot", "clerk", "eve", "ana"))
            principal = {"bot": "acme_corp", "clerk": "acme_corp", "eve": "globex"}.get(who, "acme_corp")
            if dice.random() < 0.1:
                principal = dice.choice(world.PRINCIPALS)
            table.open(
                who,
                dice.choice((*world.TYPES, world.FOUR_EYES, world.FOUR_EYES)),
                principal,
                dice.randint(1, 4),
                dice.choice(("", "gam-403")),
            )
        elif table.rows:
            move(table, dice)
        if watch.violations:
            return watch.violations
    watch.look_at_everything()
    return watch.violations


def _move(table: Play, dice: random.Random) -> None:
    pk = dice.choice(list(table.rows))
    row = table.rows[pk]
    holder = next((who for who in world.REVIEWERS if world_of_today[who].user.pk == row["assigned_to_id"]), None)
    kind = dice.random()
    if kind < 0.35:
        verb, who = dice.choice(sorted(VERBS)), dice.choice(world.EVERYBODY)
        table.act(verb, who, pk, seen_versions_ago=dice.choice((None, 0, 1)))
    elif kind < 0.7:
        # The next step of a life: by its holder, or by somebody who sees it.
        verb = {"assigned": "start", "in_progress": "resolve"}.get(row["status"], "claim")
        if dice.random() < 0.3:
            verb = dice.choice(("decide", "release", "escalate", "comment", "route", "reveal", "claim", "start"))
        near = [who for who in world.REVIEWERS if world.sees(who, row)]
        who = holder if holder is not None and dice.random() < 0.7 else dice.choice(near)
        if row["stage"] == 2 and dice.random() < 0.7:
            # The second decision: by the first reviewer himself, or by one of the others.
            first = next((name for name in near if world_of_today[name].user.pk == row["first_decided_by_id"]), who)
            verb, who = dice.choice(("agree", "agree", "decide")), dice.choice((first, dice.choice(near)))
        table.act(verb, who, pk, seen_versions_ago=dice.choice((None, None, None, 1)))
    elif kind < 0.78:
        table.claim_next(dice.choice(world.EVERYBODY))
    elif kind < 0.86:
        table.old_holder_decides()
    elif kind < 0.96:
        table.jump(dice.choice((0, 1, 60, 240, 1440, 2880)))
        table.sweep()
    else:
        table.return_all_of(dice.choice(("ana", "bea", "sam", "zoe")))


def _move_of_the_deck(table: Play, dice: random.Random) -> None:
    """Deciding with a moment to take it back, and what may happen meanwhile, by the holder or a colleague."""
    pk = dice.choice(list(table.rows))
    row = table.rows[pk]
    holder = next((who for who in world.REVIEWERS if world_of_today[who].user.pk == row["assigned_to_id"]), None)
    near = [who for who in world.REVIEWERS if world.sees(who, row)]
    who = holder if holder is not None and dice.random() < 0.7 else dice.choice(near)
    if dice.random() < 0.15:
        table.jump(dice.choice((0, 1, 1, 60)))
        table.sweep()
    elif row["staged_until"] is not None:
        verb = dice.choice(("take_back", "release", "assign", "comment", "hand_over", "resolve", "stage", "escalate"))
        table.act(verb, who, pk)
    else:
        table.act(dice.choice(("stage", "stage", "stage", "skip", "hand_over", "claim", "put_back")), who, pk)


world_of_today: dict[str, Actor] = {}


@pytest.fixture(scope="module")
def violations(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[dict[str, list[str]]]:
    """Play all games once for all the tests below; leave the database as it was."""
    found: dict[str, list[str]] = {}
    with django_db_blocker.unblock(), transaction.atomic(), remembering():  # type: ignore[attr-defined]
        world_of_today.update(world.build())
        games = [(game, _move) for game in range(GAMES)]
        for game, move in [*games, *((1_000 + game, _move_of_the_deck) for game in range(GAMES_OF_THE_DECK))]:
            savepoint = transaction.savepoint()
            for code, what in play(game, move):
                found.setdefault(code, []).append(f"game {game}: {what}")
            transaction.savepoint_rollback(savepoint)
        transaction.set_rollback(True)
    yield found
    world_of_today.clear()


@pytest.mark.django_db
@pytest.mark.parametrize("code", INVARIANTS)
def test_it_holds_all_the_way(code: str, violations: dict[str, list[str]]) -> None:
    assert not violations.get(code), "\n".join(violations[code][:5])
