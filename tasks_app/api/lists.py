"""The lists: tasks, pending tasks, a task's timeline, the feed. Slim rows by index, cursors instead of counts."""

from functools import partial
from typing import Any

from django.db.models import Count, Q
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock
from core.api import KeysetPagination
from tasks_app import selectors
from tasks_app.actors import Actor
from tasks_app.api.base import TaskView, problems
from tasks_app.api.filters import FeedQuery, PageQuery, PendingQuery, TaskQuery
from tasks_app.api.idempotency import idempotent, still_visible
from tasks_app.api.serializers import (
    EVENT_COLUMNS,
    TASK_COLUMNS,
    EventOut,
    FeedEventOut,
    TaskIn,
    TaskOut,
    event_out,
    task_out,
)
from tasks_app.api.views import CHANGE_PROBLEMS, IDEMPOTENCY, open_task
from tasks_app.exceptions import TaskNotFound
from tasks_app.models import EventOutbox, HumanTask, Scope, TaskEvent
from tasks_app.models.task import DUE_OR_NEVER
from tasks_app.permissions import can_create, visible_to


def may_create_again(actor: Actor, answer: dict[str, Any]) -> bool:
    """Whoever opened a task learns its id once more, also where the work itself is another team's to see."""
    return still_visible(actor, answer) or can_create(actor, str(answer["principal_id"]))


class NewestFirst(KeysetPagination):
    ordering = ("-task_id",)


class PendingOrder(KeysetPagination):
    ordering = ("-priority", "due_or_never", "task_id")
    extra_schema = {"total_count": {"type": "integer"}, "overdue_count": {"type": "integer"}}


class BySequence(KeysetPagination):
    ordering = ("seq",)


def page_schema(name: str, row: Any, paging: type[KeysetPagination]) -> Any:
    """The OpenAPI answer of a list."""
    from drf_spectacular.utils import inline_serializer
    from rest_framework import serializers

    fields: dict[str, Any] = {
        "results": row(many=True),
        "next": serializers.URLField(allow_null=True),
        "previous": serializers.URLField(allow_null=True),
    }
    fields |= {extra: serializers.IntegerField() for extra in paging.extra_schema}
    return inline_serializer(name, fields)


PAGING = [
    OpenApiParameter("limit", int, description="Rows on a page: 1 to 200, default 50."),
    OpenApiParameter("cursor", str, description="Where the page begins: follow `next` and `previous`."),
]


class Tasks(TaskView):
    @extend_schema(
        operation_id="list_tasks",
        parameters=[TaskQuery, *PAGING],
        responses={200: page_schema("TaskPage", TaskOut, NewestFirst), **problems(400)},
        tags=["tasks"],
    )
    def get(self, request: Request) -> Response:
        """Your tasks, the newest first, finished ones included."""
        query = TaskQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        pages, now = NewestFirst(), clock.now()
        rows = pages.paginate_queryset(query.apply(selectors.visible_tasks(self.actor)).values(*TASK_COLUMNS), request)
        return pages.get_paginated_response([task_out(row, now) for row in rows])

    @extend_schema(
        operation_id="create_human_task",
        request=TaskIn,
        parameters=[IDEMPOTENCY],
        responses={200: TaskOut, 201: TaskOut, **CHANGE_PROBLEMS},
        tags=["tasks"],
    )
    @partial(idempotent, may_replay=may_create_again)
    def post(self, request: Request) -> Response:
        """Open a task for a blocked operation. 200, not 201: it was folded into an open one by `dedup_key`."""
        return open_task(self, request)


class PendingTasks(TaskView):
    @extend_schema(
        operation_id="get_pending_tasks",
        parameters=[PendingQuery, *PAGING],
        responses={200: page_schema("PendingPage", TaskOut, PendingOrder), **problems(400)},
        tags=["tasks"],
    )
    def get(self, request: Request) -> Response:
        """Your open tasks: highest priority first, then by due time. With the number of all and of overdue ones."""
        query = PendingQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        pages, now = PendingOrder(), clock.now()
        tasks = query.apply(selectors.open_tasks(self.actor), now)
        rows = pages.paginate_queryset(
            tasks.annotate(due_or_never=DUE_OR_NEVER).values(*TASK_COLUMNS, "due_or_never"), request
        )
        counts = tasks.aggregate(total_count=Count("pk"), overdue_count=Count("pk", filter=Q(due_by__lt=now)))
        return pages.get_paginated_response([task_out(row, now) for row in rows], counts)


class Timeline(TaskView):
    @extend_schema(
        operation_id="list_task_events",
        parameters=PAGING,
        responses={200: page_schema("TimelinePage", EventOut, BySequence), **problems(400, 404)},
        tags=["events"],
    )
    def get(self, request: Request, task_id: str) -> Response:
        """What happened to one task, in order."""
        if not selectors.visible_tasks(self.actor).filter(pk=task_id).exists():
            raise TaskNotFound
        PageQuery(data=request.query_params).is_valid(raise_exception=True)
        pages = BySequence()
        rows = pages.paginate_queryset(TaskEvent.objects.filter(task_id=task_id).values(*EVENT_COLUMNS), request)
        return pages.get_paginated_response([event_out(row) for row in rows])


class Feed(TaskView):
    @extend_schema(
        operation_id="list_events",
        parameters=[FeedQuery],
        responses={200: page_schema("FeedPage", FeedEventOut, NewestFirst), **problems(400)},
        tags=["events"],
    )
    def get(self, request: Request) -> Response:
        """All events of your tasks, in the order of their positions: to catch up after downtime.

        Ask again with `after` = the last position that you have. Events appear within seconds of their commit, once
        the worker has given them a position; positions are never filled in behind one that you have seen.
        """
        query = FeedQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        after, limit = query.validated_data["after"], query.validated_data["limit"]
        events = EventOutbox.objects.filter(position__gt=after)
        actor = self.actor
        if actor.is_adapter and actor.principals is not None:
            events = events.filter(principal__in=sorted(actor.principals))
        if not (actor.is_adapter and actor.principals is None and actor.has_scope(Scope.READ)):
            events = events.filter(event__task__in=HumanTask.objects.filter(visible_to(actor)))
        columns = ("position", *(f"event__{name}" for name in EVENT_COLUMNS))
        rows = list(events.order_by("position").values(*columns)[: limit + 1])
        page = [event_out(row, "event__") | {"position": row["position"]} for row in rows[:limit]]
        more = (
            request.build_absolute_uri(f"{request.path}?after={page[-1]['position']}&limit={limit}")
            if len(rows) > limit
            else None
        )
        return Response({"results": page, "next": more, "previous": None})
