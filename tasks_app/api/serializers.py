"""What goes in and out. Inputs are strict; outputs are plain rows, described here for the OpenAPI document."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from rest_framework import serializers

from core.api import MomentField, StrictSerializer
from tasks_app.feed import EVENT_COLUMNS
from tasks_app.models import HumanTask, TaskEvent
from tasks_app.states import DECISIONS, Priority, Resolution, Status

TEXT: Final = 20_000


class PriorityField(serializers.ChoiceField):  # numbers come out, unlike in its base
    """`low`, `medium`, `high` or `urgent` outside; a number inside, so that it sorts."""

    default_error_messages = {"invalid_choice": "Give one of low, medium, high, urgent."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[priority.slug for priority in Priority], **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        return int(Priority.from_slug(super().to_internal_value(data)))


class HoursField(serializers.FloatField):
    """A number; its base would read true as 1."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool):
            self.fail("invalid")
        return float(super().to_internal_value(data))


class TaskIn(StrictSerializer):
    """A blocked operation that needs a person."""

    task_type = serializers.CharField(max_length=50, help_text="e.g. creative_approval, permission_exception.")
    principal_id = serializers.CharField(max_length=64, help_text="The advertiser or tenant you act for.")
    adapter_name = serializers.CharField(
        max_length=64, required=False, allow_blank=True, help_text="e.g. google_ad_manager."
    )
    priority = PriorityField(required=False, help_text="Default: the task type's.")
    media_buy_id = serializers.CharField(max_length=128, required=False, allow_blank=True)
    creative_id = serializers.CharField(max_length=128, required=False, allow_blank=True)
    operation = serializers.CharField(max_length=128, required=False, allow_blank=True, help_text="What was blocked.")
    error_detail = serializers.CharField(
        max_length=TEXT,
        required=False,
        allow_blank=True,
        help_text="What the other side answered. Personal data is masked.",
    )
    context_data = serializers.DictField(
        required=False,
        help_text="Whatever helps the person decide. Personal data is masked. `value_at_risk` (a number from 0 to "
        "1,000,000,000, in your currency) moves the task up a little in the queue.",
    )
    due_in_hours = HoursField(required=False, help_text="Hours from now, above 0; or give due_by.")
    due_by = MomentField(required=False, help_text="ISO 8601 with offset. Default by priority: 4 h, 24 h, 48 h, none.")
    dedup_key = serializers.CharField(
        max_length=255, required=False, help_text="Reports with the same key fold into one open task of the principal."
    )
    follows = serializers.CharField(
        max_length=40, required=False, help_text="The earlier task that this one comes back to."
    )


BATCH: Final = 100


class TasksIn(StrictSerializer):
    """Up to 100 blocked operations, opened together or not at all."""

    items = serializers.ListField(child=TaskIn(), min_length=1, max_length=BATCH)


class AssignIn(StrictSerializer):
    assigned_to = serializers.CharField(
        max_length=254, help_text="Username or e-mail of a member of a team that serves the task."
    )
    reason = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)


class HandOverIn(StrictSerializer):
    to = serializers.CharField(max_length=254, help_text="Username or e-mail of a colleague who may work on the task.")
    note = serializers.CharField(max_length=TEXT, help_text="What he or she should know.")


class CompleteIn(StrictSerializer):
    resolution = serializers.ChoiceField(
        choices=sorted(DECISIONS), error_messages={"invalid_choice": f"Give one of {', '.join(sorted(DECISIONS))}."}
    )
    resolution_detail = serializers.CharField(
        max_length=TEXT,
        required=False,
        allow_blank=True,
        help_text="Feedback; required for rejected and cannot_complete.",
    )
    modifications = serializers.DictField(required=False, help_text="With approved or rejected: what to change.")
    resolved_by = serializers.CharField(
        max_length=254,
        required=False,
        help_text="For tokens with tasks:work: the person who decided, by username or e-mail.",
    )


class ReasonIn(StrictSerializer):
    reason = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)


class HoldIn(StrictSerializer):
    reason = serializers.CharField(max_length=TEXT, help_text="For whom or what the task waits.")
    follow_up_at = MomentField(help_text="ISO 8601 with offset, at most 90 days ahead: the hold ends by itself then.")


class ExtendIn(StrictSerializer):
    until = MomentField(
        help_text="ISO 8601 with offset, later than its present end, at most 90 days ahead: it expires then instead."
    )
    reason = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)


class RouteIn(StrictSerializer):
    team = serializers.CharField(max_length=50, help_text="The other team's slug.")
    reason = serializers.CharField(max_length=TEXT, required=False, allow_blank=True)


class CommentIn(StrictSerializer):
    text = serializers.CharField(max_length=TEXT)


class RevealIn(StrictSerializer):
    placeholder = serializers.CharField(max_length=64, help_text="As it stands in the text, e.g. [email 1].")
    reason = serializers.CharField(max_length=TEXT, help_text="Why you need the value; it stays in the trail.")


class ClaimNextIn(StrictSerializer):
    task_type = serializers.CharField(max_length=50, required=False)
    principal_id = serializers.CharField(max_length=64, required=False)


class NothingIn(StrictSerializer):
    """No fields."""


class TaskOut(serializers.Serializer[Any]):
    """A human task. Times are ISO 8601 in UTC; people are usernames."""

    task_id = serializers.CharField()
    task_type = serializers.CharField()
    principal_id = serializers.CharField()
    adapter_name = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.values)
    priority = serializers.ChoiceField(choices=[priority.slug for priority in Priority])
    media_buy_id = serializers.CharField()
    creative_id = serializers.CharField()
    operation = serializers.CharField()
    error_detail = serializers.CharField()
    context_data = serializers.DictField()
    assigned_to = serializers.CharField(allow_null=True)
    assigned_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    due_by = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(allow_null=True)
    resolution = serializers.ChoiceField(choices=Resolution.values, allow_null=True)
    resolution_detail = serializers.CharField()
    resolution_data = serializers.DictField(help_text="The modifications.")
    resolved_by = serializers.CharField(allow_null=True)
    version = serializers.IntegerField(help_text="Also the ETag; send it back as If-Match.")
    team = serializers.CharField()
    stage = serializers.IntegerField()
    awaiting = serializers.ChoiceField(choices=["decision", "second_decision"], allow_null=True)
    escalation_level = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    requested_by = serializers.CharField()
    follows = serializers.CharField(allow_null=True)
    occurrences = serializers.IntegerField()
    last_seen_at = serializers.DateTimeField()
    is_overdue = serializers.BooleanField()
    assign_by = serializers.DateTimeField(allow_null=True, help_text="Until when somebody should have it.")
    held_since = serializers.DateTimeField(allow_null=True, help_text="On hold: waiting for somebody else.")
    follow_up_at = serializers.DateTimeField(allow_null=True)
    held_reason = serializers.CharField()


class TaskOfBatchOut(TaskOut):
    created = serializers.BooleanField(help_text="false: it was folded into this open one by `dedup_key`.")


class TasksOut(serializers.Serializer[Any]):
    results = TaskOfBatchOut(many=True, help_text="In the order of the items.")


class TaskDetailOut(TaskOut):
    allowed_actions = serializers.ListField(child=serializers.CharField(), help_text="What you may do with it now.")


class SpanOut(serializers.Serializer[Any]):
    """A stretch of time."""

    to = serializers.DateTimeField()

    def get_fields(self) -> dict[str, Any]:
        # `from` is no name for a Python attribute.
        return {"from": serializers.DateTimeField(), **super().get_fields()}


class ClockOut(serializers.Serializer[Any]):
    """One clock of a task."""

    clock = serializers.ChoiceField(choices=["to_assign", "assigned_to_resolve", "to_resolve"])
    label = serializers.CharField()  # type: ignore[assignment]  # a field, not the serializer's own label
    begins = serializers.DateTimeField()
    target_minutes = serializers.FloatField()
    used_minutes = serializers.FloatField(help_text="What counted so far, or until the clock was stopped.")
    deadline = serializers.DateTimeField()
    is_met = serializers.BooleanField(allow_null=True, help_text="null while the clock runs.")
    counted = SpanOut(many=True, help_text="The stretches that counted: of more than 60, the first and last 30.")
    counted_in_all = serializers.IntegerField()


class StepOut(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    text = serializers.CharField()


class TaskClockOut(serializers.Serializer[Any]):
    """Why a task's deadline is when it is."""

    policy = serializers.CharField(allow_null=True, help_text="null: the defaults by priority.")
    calendar = serializers.CharField()
    time_zone = serializers.CharField()
    is_explicit = serializers.BooleanField(help_text="The adapter gave the deadline; it never moves.")
    due_by = serializers.DateTimeField(allow_null=True)
    assign_by = serializers.DateTimeField(allow_null=True)
    clocks = ClockOut(many=True)
    held = SpanOut(many=True)
    held_stops_clocks = serializers.BooleanField()
    steps = StepOut(many=True, help_text="What happens next, unless the task ends before.")
    explanation = serializers.ListField(child=serializers.CharField(), help_text="The same in words.")


class EventOut(serializers.Serializer[Any]):
    """A past fact about a task."""

    event_id = serializers.CharField(help_text="Also the webhook-id.")
    task_id = serializers.CharField()
    seq = serializers.IntegerField(help_text="Counts the events of one task from 1, without gaps.")
    type = serializers.CharField()
    actor = serializers.CharField()
    on_behalf_of = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    at = serializers.DateTimeField()
    from_status = serializers.CharField()
    to_status = serializers.CharField()
    snapshot = serializers.DictField(
        help_text="The task's fields after the change; those written once are in task.created."
    )


class FeedEventOut(EventOut):
    position = serializers.IntegerField(help_text="Gapless; ask with after=<position> for what came later.")


class RevealOut(serializers.Serializer[Any]):
    placeholder = serializers.CharField()
    value = serializers.CharField()


# The columns of a task's answer that are read as they stand; the others are derived below.
PLAIN_COLUMNS: Final = (
    "task_id",
    "adapter_name",
    "status",
    "media_buy_id",
    "creative_id",
    "operation",
    "error_detail",
    "context_data",
    "assigned_at",
    "created_at",
    "updated_at",
    "due_by",
    "completed_at",
    "resolution_detail",
    "resolution_data",
    "version",
    "stage",
    "escalation_level",
    "started_at",
    "occurrences",
    "last_seen_at",
    "assign_by",
    "held_since",
    "follow_up_at",
    "held_reason",
)
PEOPLE: Final = ("assigned_to", "resolved_by", "requested_by")
TASK_COLUMNS: Final = (
    *PLAIN_COLUMNS,
    *("priority", "resolution", "task_type_id", "principal_id", "team_id", "follows_id"),
    *(f"{name}__username" for name in PEOPLE),
)


def task_row(task: HumanTask) -> dict[str, Any]:
    """A task in memory as the row that a list query would give."""
    row = {name: getattr(task, name) for name in TASK_COLUMNS if "__" not in name}
    for name in PEOPLE:
        person = getattr(task, name)
        row[f"{name}__username"] = None if person is None else person.get_username()
    return row


def task_out(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The answer for a row of `TASK_COLUMNS`."""
    is_open = row["completed_at"] is None
    answer = {name: row[name] for name in PLAIN_COLUMNS}
    answer |= {name: row[f"{name}__username"] for name in PEOPLE}
    answer |= {
        "status": str(row["status"]),
        "task_type": row["task_type_id"],
        "principal_id": row["principal_id"],
        "team": row["team_id"],
        "follows": row["follows_id"],
        "priority": Priority(row["priority"]).slug,
        "resolution": str(row["resolution"]) or None,
        "awaiting": (("second_decision" if row["stage"] == 2 else "decision") if is_open else None),
        "is_overdue": is_open and row["due_by"] is not None and row["due_by"] < now,
    }
    return answer


def event_row(event: TaskEvent) -> dict[str, Any]:
    """An event in memory as the row that a list query would give."""
    row = {name: getattr(event, name) for name in EVENT_COLUMNS if "__" not in name}
    behalf = event.on_behalf_of
    return row | {
        "actor__username": event.actor.get_username(),
        "on_behalf_of__username": None if behalf is None else behalf.get_username(),
    }


def event_out(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The answer for a row of `EVENT_COLUMNS`, whose names may carry a relation's prefix."""
    answer = {
        name: row[prefix + name]
        for name in EVENT_COLUMNS
        if name not in ("actor__username", "on_behalf_of__username", "snapshot")
    }
    answer["type"] = str(answer["type"])
    answer["from_status"], answer["to_status"] = str(answer["from_status"]), str(answer["to_status"])
    answer["actor"] = row[f"{prefix}actor__username"]
    answer["on_behalf_of"] = row[f"{prefix}on_behalf_of__username"]
    answer["snapshot"] = orjson.loads(bytes(row[f"{prefix}snapshot"]))
    return answer
