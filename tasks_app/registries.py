"""What the console shows of its neighbours: cards on the home page, notes on a task's page.

The domain knows nothing of `notifications`, which fills these lists in `AppConfig.ready`. Each entry is asked at every
page view, so it costs one indexed query at most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks_app.actors import Actor
from tasks_app.models import HumanTask

Tone = Literal["info", "success", "warning", "danger"]


@dataclass(frozen=True, slots=True)
class Card:
    """A figure on the home page, with a sentence below it and the page to go to (an address, or empty)."""

    title: str
    figure: str
    text: str = ""
    tone: Tone = "info"
    url: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence at the top of a task's page."""

    text: str
    tone: Tone = "warning"
    url: str = ""


CardMaker = Callable[[Actor], Card | None]
NoteMaker = Callable[[HumanTask, Actor], Sequence[Note]]

_cards: list[CardMaker] = []
_notes: list[NoteMaker] = []


def register_card(make: CardMaker) -> None:
    """Add a card; `make` answers None where this person has nothing to see."""
    if make not in _cards:
        _cards.append(make)


def register_task_note(make: NoteMaker) -> None:
    """Add notes on a task's page."""
    if make not in _notes:
        _notes.append(make)


def cards_for(actor: Actor) -> list[Card]:
    """The cards that this person sees, in the order of registration."""
    return [card for make in _cards if (card := make(actor)) is not None]


def notes_on(task: HumanTask, actor: Actor) -> list[Note]:
    """The notes on one task for this person."""
    return [note for make in _notes for note in make(task, actor)]
