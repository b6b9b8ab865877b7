"""The state machine as data: statuses, priorities, resolutions, event types and the transition table.

`models/task.py` derives its django-fsm transitions from `TRANSITIONS`; the database constraint, the docs and the tests
are compared with it. Nothing else names a source or a target.
"""

from dataclasses import dataclass
from typing import Final

from django.db.models import IntegerChoices, TextChoices
from django.utils.translation import gettext_lazy as _


class Status(TextChoices):
    PENDING = "pending", _("Pending")
    ASSIGNED = "assigned", _("Assigned")
    IN_PROGRESS = "in_progress", _("In progress")
    COMPLETED = "completed", _("Completed")
    FAILED = "failed", _("Failed")
    ESCALATED = "escalated", _("Escalated")


class Priority(IntegerChoices):
    """Stored as a number so that it sorts; named in the API."""

    LOW = 1, _("Low")
    MEDIUM = 2, _("Medium")
    HIGH = 3, _("High")
    URGENT = 4, _("Urgent")

    @property
    def slug(self) -> str:
        return self.name.lower()

    @classmethod
    def from_slug(cls, slug: str) -> "Priority":
        """`high` -> Priority.HIGH. Raises KeyError."""
        return cls[slug.upper()]


class Resolution(TextChoices):
    """How a task ended. The first four are given by people; nobody decided the last two."""

    APPROVED = "approved", _("Approved")
    REJECTED = "rejected", _("Rejected")
    COMPLETED = "completed", _("Completed")
    CANNOT_COMPLETE = "cannot_complete", _("Cannot complete")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    EXPIRED = "expired", _("Expired")


class EventType(TextChoices):
    CREATED = "task.created", _("Created")
    ASSIGNED = "task.assigned", _("Assigned")
    CLAIMED = "task.claimed", _("Claimed")
    STARTED = "task.started", _("Started")
    HANDED_OVER = "task.handed_over", _("Handed over")
    RELEASED = "task.released", _("Released")
    PUT_BACK = "task.put_back", _("Put back as it was")
    ROUTED = "task.routed", _("Routed")
    DECISION_RECORDED = "task.decision_recorded", _("First decision recorded")
    COMPLETED = "task.completed", _("Completed")
    FAILED = "task.failed", _("Failed")
    ESCALATED = "task.escalated", _("Escalated")
    WITHDRAWN = "task.withdrawn", _("Withdrawn")
    EXPIRED = "task.expired", _("Expired")
    RECURRED = "task.recurred", _("Reported again")
    COMMENTED = "task.commented", _("Comment")
    DETAIL_REVEALED = "task.detail_revealed", _("Masked value revealed")
    DETAILS_ERASED = "task.details_erased", _("Masked values erased")
    PRIORITY_CHANGED = "task.priority_changed", _("Priority changed")
    SLA_WARNED = "task.sla_warned", _("Deadline warning")
    CHANNEL_NOTIFIED = "task.channel_notified", _("Channel notified")
    DEADLINE_CHANGED = "task.deadline_changed", _("Deadline changed")
    EXTENDED = "task.extended", _("Expiry put off")
    HELD = "task.held", _("Put on hold")
    RESUMED = "task.resumed", _("Taken up again")
    DECISION_STAGED = "task.decision_staged", _("Decided, can be taken back")
    DECISION_TAKEN_BACK = "task.decision_taken_back", _("Decision taken back")
    DECISION_CANCELLED = "task.decision_cancelled", _("Decision not carried out")
    SKIPPED = "task.skipped", _("Skipped")
    REMOVED = "task.removed", _("Left by retention")
    RETURN_WARNED = "task.return_warned", _("Untouched: warning")


OPEN: Final = frozenset({Status.PENDING, Status.ASSIGNED, Status.IN_PROGRESS, Status.ESCALATED})
HELD: Final = frozenset({Status.ASSIGNED, Status.IN_PROGRESS})  # somebody has it
WAITING: Final = frozenset({Status.PENDING, Status.ESCALATED})  # nobody has it
FINISHED: Final = frozenset({Status.COMPLETED, Status.FAILED})

OUTCOMES: Final = (EventType.COMPLETED, EventType.FAILED, EventType.WITHDRAWN, EventType.EXPIRED)
NEEDS_TEXT: Final = frozenset({Resolution.REJECTED, Resolution.CANNOT_COMPLETE})
MAY_CARRY_MODIFICATIONS: Final = frozenset({Resolution.APPROVED, Resolution.REJECTED})


@dataclass(frozen=True)
class Transition:
    """One row of the table. `resolutions` are those with which it may end the task; empty: it does not end it."""

    name: str
    sources: frozenset[Status]
    target: Status
    event: EventType
    resolutions: frozenset[Resolution] = frozenset()


def _table(*rows: Transition) -> dict[str, Transition]:
    return {row.name: row for row in rows}


TRANSITIONS: Final = _table(
    Transition("assign", OPEN, Status.ASSIGNED, EventType.ASSIGNED),
    Transition("claim", WAITING, Status.ASSIGNED, EventType.CLAIMED),
    Transition("start", frozenset({Status.ASSIGNED}), Status.IN_PROGRESS, EventType.STARTED),
    Transition("hand_over", HELD, Status.ASSIGNED, EventType.HANDED_OVER),
    Transition("release", HELD, Status.PENDING, EventType.RELEASED),
    Transition("put_back", frozenset({Status.ASSIGNED}), Status.ESCALATED, EventType.PUT_BACK),
    Transition(
        "route",
        frozenset({Status.PENDING, Status.ASSIGNED, Status.ESCALATED}),
        Status.PENDING,
        EventType.ROUTED,
    ),
    Transition(
        "complete",
        frozenset({Status.IN_PROGRESS}),
        Status.COMPLETED,
        EventType.COMPLETED,
        frozenset({Resolution.APPROVED, Resolution.COMPLETED}),
    ),
    Transition(
        "fail",
        frozenset({Status.IN_PROGRESS}),
        Status.FAILED,
        EventType.FAILED,
        frozenset({Resolution.REJECTED, Resolution.CANNOT_COMPLETE}),
    ),
    Transition("refer", frozenset({Status.IN_PROGRESS}), Status.PENDING, EventType.DECISION_RECORDED),
    Transition("escalate", OPEN, Status.ESCALATED, EventType.ESCALATED),
    Transition("withdraw", OPEN, Status.FAILED, EventType.WITHDRAWN, frozenset({Resolution.WITHDRAWN})),
    Transition("expire", OPEN, Status.FAILED, EventType.EXPIRED, frozenset({Resolution.EXPIRED})),
)

ENDING: Final = {
    resolution: row.name
    for row in TRANSITIONS.values()
    if row.name in {"complete", "fail"}
    for resolution in row.resolutions
}
DECISIONS: Final = frozenset(ENDING)
