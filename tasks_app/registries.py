"""What the domain asks of its neighbours. `notifications` fills this in `AppConfig.ready`.

Notes are asked for at every view of a task, so each costs one indexed query at most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks_app.actors import Actor
from tasks_app.models import HumanTask


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence at the top of a task's page. `url`: where to act on it, for those who may; or empty."""

    text: str
    url: str = ""


NoteMaker = Callable[[HumanTask, Actor], Sequence[Note]]
_notes: list[NoteMaker] = []


def register_task_note(make: NoteMaker) -> None:
    """Ask `make` for notes whenever a task's page is shown."""
    if make not in _notes:
        _notes.append(make)


def notes_on(task: HumanTask, actor: Actor) -> list[Note]:
    """The notes on one task for this person."""
    return [note for make in _notes for note in make(task, actor)]


ChannelSource = Callable[[], Sequence[str]]
_channels: list[ChannelSource] = []


def register_channels(source: ChannelSource) -> None:
    """Ask `source` for the slugs of channels that a step of a deadline policy may name."""
    if source not in _channels:
        _channels.append(source)


def known_channels() -> list[str]:
    """The slugs that a step may name, by name."""
    return sorted({slug for source in _channels for slug in source()})
