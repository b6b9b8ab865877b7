"""A task as one line: what the queue, the home page and the list of related tasks show of it.

Read as values and not as objects: fifty lines need few columns, and no full error text of a megabyte.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import F
from django.db.models.functions import Left
from django.utils.translation import gettext as _

from tasks_app.actors import Actor
from tasks_app.admin.texts import TimeLeft, span, time_left
from tasks_app.catalog_data import shown
from tasks_app.models.task import TaskQuerySet
from tasks_app.states import Priority, Resolution, Status

_COLUMNS: Final = (
    "task_id",
    "adapter_name",
    "status",
    "priority",
    "media_buy_id",
    "creative_id",
    "operation",
    "principal_id",
    "assigned_to_id",
    "due_by",
    "created_at",
    "completed_at",
    "resolution",
    "escalation_level",
    "occurrences",
    "stage",
    "version",
    "similarity_key",
    "staged_until",
)
_JOINED: Final = {
    "type_label": F("task_type__label"),
    "principal_name": F("principal__name"),
    "assignee": F("assigned_to__username"),
    "error": Left("error_detail", 240),
}

PRIORITY_TONES: Final = {Priority.URGENT: "red", Priority.HIGH: "orange", Priority.MEDIUM: "blue", Priority.LOW: "grey"}
STATUS_TONES: Final = {
    Status.PENDING: "grey",
    Status.ASSIGNED: "blue",
    Status.IN_PROGRESS: "primary",
    Status.ESCALATED: "violet",
    Status.COMPLETED: "green",
    Status.FAILED: "grey",
}
RESOLUTION_TONES: Final = {Resolution.APPROVED: "green", Resolution.COMPLETED: "green", Resolution.REJECTED: "red"}


@dataclass(frozen=True)
class Label:
    text: str
    tone: str


def priority_label(priority: int) -> Label:
    return Label(str(Priority(priority).label), PRIORITY_TONES[Priority(priority)])


def status_label(status: str, resolution: str, *, is_deciding: bool = False) -> Label:
    """The status; for an ended task the resolution, which says more, and for a decision that waits, that one does."""
    if is_deciding:
        return Label(_("Deciding"), "primary")
    if resolution:
        return Label(str(Resolution(resolution).label), RESOLUTION_TONES.get(Resolution(resolution), "grey"))
    return Label(str(Status(status).label), STATUS_TONES[Status(status)])


@dataclass(frozen=True)
class TaskLine:
    task_id: str
    type_label: str
    subject: str
    operation: str
    thing: str
    gist: str
    principal: str
    adapter: str
    priority: Label
    status: Label
    assignee: str
    is_mine: bool
    time_left: TimeLeft
    age: str
    since: datetime
    escalation_level: int
    occurrences: int
    awaits_second: bool
    version: int
    similarity_key: str
    due_by: datetime | None
    created_at: datetime

    @property
    def mark(self) -> str:
        """Changes whenever the line reads differently for another reason than the passing of time."""
        return f"{self.version}.{self.occurrences}"

    @property
    def name(self) -> str:
        return " · ".join(part for part in (self.type_label, self.subject) if part)


def lines_of(tasks: TaskQuerySet, actor: Actor, now: datetime) -> list[TaskLine]:
    """The tasks as lines, in the query's order: one query."""
    return [_line(row, actor, now) for row in tasks.annotate(**_JOINED).values(*_COLUMNS, *_JOINED)]


def _line(row: dict[str, Any], actor: Actor, now: datetime) -> TaskLine:
    ended_at = row["completed_at"]
    subject = [row["operation"], row["creative_id"] or row["media_buy_id"]]
    since = ended_at or row["created_at"]
    return TaskLine(
        task_id=row["task_id"],
        type_label=shown(row["type_label"]),
        subject=" · ".join(part for part in subject if part),
        operation=row["operation"],
        thing=row["creative_id"] or row["media_buy_id"] or row["task_id"],
        gist=" ".join(row["error"].split()),
        principal=row["principal_name"] or row["principal_id"],
        adapter=row["adapter_name"],
        priority=priority_label(row["priority"]),
        status=status_label(row["status"], row["resolution"], is_deciding=row["staged_until"] is not None),
        assignee=row["assignee"] or "",
        is_mine=row["assigned_to_id"] == actor.user.pk,
        time_left=time_left(row["due_by"], now, ended_at=ended_at),
        age=span(now - (ended_at or row["created_at"]), coarse=True),
        since=since,
        escalation_level=row["escalation_level"],
        occurrences=row["occurrences"],
        awaits_second=row["stage"] == 2,
        version=row["version"],
        similarity_key=row["similarity_key"],
        due_by=row["due_by"],
        created_at=row["created_at"],
    )
