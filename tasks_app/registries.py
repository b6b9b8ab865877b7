"""What the task page shows of the domain's neighbours. `notifications` fills this in `AppConfig.ready`.

Each entry is asked at every view of a task, so it costs one indexed query at most.
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
