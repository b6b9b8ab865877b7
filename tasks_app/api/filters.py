"""Query parameters of the lists: unknown ones and wrong values are refused, naming what would be right."""

from datetime import datetime
from typing import Any

from django.db.models import Q
from rest_framework import serializers

from core.api import StrictQuery
from tasks_app.api.serializers import PriorityField
from tasks_app.models.task import TaskQuerySet
from tasks_app.states import Status


class TaskQuery(StrictQuery):
    """Filters of `list_tasks`."""

    paged = True

    status = serializers.ChoiceField(
        choices=Status.values,
        required=False,
        error_messages={"invalid_choice": f"Give one of {', '.join(Status.values)}."},
    )
    task_type = serializers.CharField(required=False, max_length=50)
    principal_id = serializers.CharField(required=False, max_length=64)
    priority = PriorityField(required=False)
    adapter_name = serializers.CharField(required=False, max_length=64)
    assigned_to = serializers.CharField(required=False, max_length=254, help_text="Username.")
    media_buy_id = serializers.CharField(required=False, max_length=128)
    creative_id = serializers.CharField(required=False, max_length=128)

    def apply(self, tasks: TaskQuerySet) -> TaskQuerySet:
        values: dict[str, Any] = dict(self.validated_data)
        username = values.pop("assigned_to", None)
        if username is not None:
            values["assigned_to__username"] = username
        return tasks.filter(**values)


class PendingQuery(StrictQuery):
    """Filters of `get_pending_tasks`."""

    paged = True

    principal_id = serializers.CharField(required=False, max_length=64)
    task_type = serializers.CharField(required=False, max_length=50)
    priority = PriorityField(required=False, help_text="At least this priority.")
    assigned_to = serializers.CharField(required=False, max_length=254, help_text="Username.")
    overdue = serializers.BooleanField(required=False, help_text="true: only overdue tasks; false: only those in time.")
    include_overdue = serializers.BooleanField(
        required=False, default=True, help_text="false leaves overdue tasks out."
    )

    @staticmethod
    def apply(tasks: TaskQuerySet, asked: dict[str, Any], now: datetime) -> TaskQuerySet:
        values = dict(asked)
        overdue, include_overdue = values.pop("overdue", None), values.pop("include_overdue")
        if not include_overdue and overdue is None:
            overdue = False
        if overdue is not None:
            late = Q(due_by__lt=now)
            tasks = tasks.filter(late if overdue else Q(due_by__isnull=True) | Q(due_by__gte=now))
        names = {"priority": "priority__gte", "assigned_to": "assigned_to__username"}
        return tasks.filter(**{names.get(name, name): value for name, value in values.items()})


class FeedQuery(StrictQuery):
    after = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=2**63 - 1, help_text="The last position you have."
    )
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class PageQuery(StrictQuery):
    """`limit` and `cursor` alone."""

    paged = True
