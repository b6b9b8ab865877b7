"""The lists: tasks, pending tasks, a task's timeline, the feed. Slim rows by index, cursors instead of counts."""

from collections.abc import Callable, Hashable
from datetime import datetime
from functools import partial
from typing import Any, Final

from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock, prepared
from core.api import KeysetPagination
from core.api.renderer import dumps
from core.json_rows import made_by_database
from tasks_app import feed, selectors
from tasks_app.actors import Actor
from tasks_app.api.answers import (
    Answer,
    event_answers,
    event_rows,
    joined,
    sight,
    task_answers,
    task_page,
    task_rows,
)
from tasks_app.api.base import TaskView, problems
from tasks_app.api.filters import FeedQuery, PageQuery, PendingQuery, TaskQuery
from tasks_app.api.idempotency import idempotent, still_visible
from tasks_app.api.serializers import (
    EventOut,
    FeedEventOut,
    TaskIn,
    TaskOut,
    TasksIn,
    TasksOut,
    event_out,
)
from tasks_app.api.views import CHANGE_PROBLEMS, IDEMPOTENCY, open_task, open_tasks
from tasks_app.counts import counted, open_counts
from tasks_app.exceptions import TaskNotFound
from tasks_app.models import EventOutbox, HumanTask, Scope, TaskEvent
from tasks_app.models.task import NEVER, TaskQuerySet
from tasks_app.permissions import can_create, visible_to

# As in the index task_open_priority.
DUE_OR_NEVER: Final = Coalesce(F("due_by"), prepared.FixedMoment(NEVER))


def may_create_again(actor: Actor, answer: dict[str, Any]) -> bool:
    """Whoever opened a task learns its id once more, also where the work itself is another team's to see."""
    return still_visible(actor, answer) or can_create(actor, str(answer["principal_id"]))


def may_create_all_again(actor: Actor, answer: dict[str, Any]) -> bool:
    """The same for every task of a batch, with one question for all that the right to create does not cover."""
    results = [task for task in answer["results"] if not can_create(actor, str(task["principal_id"]))]
    ids = {str(task["task_id"]) for task in results}
    return selectors.visible_tasks(actor).filter(pk__in=ids).count() == len(ids) if ids else True


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
        tasks = query.apply(selectors.visible_tasks(self.actor))
        rows = pages.paginate_queryset(task_rows(tasks, now, "task_id"), request)
        return pages.get_paginated_response(task_answers(rows, now))

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


class TaskBatch(TaskView):
    @extend_schema(
        operation_id="create_human_tasks",
        request=TasksIn,
        parameters=[IDEMPOTENCY],
        responses={200: TasksOut, 201: TasksOut, **CHANGE_PROBLEMS},
        tags=["tasks"],
    )
    @partial(idempotent, may_replay=may_create_all_again)
    def post(self, request: Request) -> Response:
        """Open up to 100 tasks, all or none. An error names its item, counted from 0: `items.3.priority`.

        200, not 201: every one was folded into an open task by its `dedup_key`.
        """
        return open_tasks(self, request)


class PendingTasks(TaskView):
    @extend_schema(
        operation_id="get_pending_tasks",
        parameters=[PendingQuery, *PAGING],
        responses={200: page_schema("PendingPage", TaskOut, PendingOrder), **problems(400)},
        tags=["tasks"],
    )
    def get(self, request: Request) -> Response:
        """Your open tasks: highest priority first, then by due time. With the number of all and of overdue ones."""
        asked = self.asked(PendingQuery, request)
        pages, now, actor = PendingOrder(), clock.now(), self.actor
        key = ("pending", sight(actor), tuple(sorted(asked.items())))

        def shown(moment: datetime) -> TaskQuerySet:
            return PendingQuery.apply(selectors.open_tasks(actor), asked, moment)

        def tasks(moment: datetime) -> TaskQuerySet:
            return shown(moment).annotate(due_or_never=DUE_OR_NEVER)

        if made_by_database() and pages.is_first(request):
            limit = pages.limit(request) + 1
            found = task_page(key, lambda: tasks(prepared.NOW), PendingOrder.ordering, limit, now)
            rows = pages.first_page(found, request)
        else:
            rows = pages.paginate_queryset(task_rows(tasks(now), now, "priority", "due_or_never", "task_id"), request)
        by_due = "overdue" in asked or not asked["include_overdue"]
        counts = counted(shown(now), now) if by_due else open_counts(key, lambda: shown(now), now)
        return pages.get_paginated_response(task_answers(rows, now), counts)


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
        self.asked(PageQuery, request)
        pages = BySequence()
        rows = pages.paginate_queryset(event_rows(TaskEvent.objects.filter(task_id=task_id)), request)
        return pages.get_paginated_response(event_answers(rows))


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
        asked = self.asked(FeedQuery, request)
        after, limit = asked["after"], asked["limit"]
        actor = self.actor

        def events(begin: int) -> QuerySet[EventOutbox]:
            found = EventOutbox.objects.filter(position__gt=begin)
            if actor.is_adapter and actor.principals is not None:
                found = found.filter(principal__in=sorted(actor.principals))
            if not (actor.is_adapter and actor.principals is None and actor.has_scope(Scope.READ)):
                found = found.filter(event__task__in=HumanTask.objects.filter(visible_to(actor)))
            return found.order_by("position")

        positions, page = self._page(sight(actor), events, after, limit)
        more = (
            request.build_absolute_uri(f"{request.path}?after={positions[limit - 1]}&limit={limit}")
            if len(positions) > limit
            else None
        )
        if isinstance(page, feed.Pieces):
            return Response(b"".join([b'{"results":', *page, b',"next":', dumps(more), b',"previous":null}']))
        return Response({"results": page, "next": more, "previous": None})

    def _page(
        self, key: Hashable, events: Callable[[int], QuerySet[EventOutbox]], after: int, limit: int
    ) -> tuple[list[int], feed.Pieces | Answer | list[Answer]]:
        """The positions of one event more than the page holds, and the page: by its lines, else by its events."""
        if ready := feed.page(key, events, after, limit):
            return ready
        if made_by_database():

            def lines() -> QuerySet[EventOutbox, Any]:
                told = feed.event_line("event__", position=F("position"))
                return events(prepared.NUMBER).annotate(told=told).values_list("position", "told")[: limit + 1]

            found = prepared.rows(("feed", key, limit, "by event"), lines, number=after)
            return [position for position, _line in found], joined([line for _position, line in found[:limit]])
        columns = ("position", *(f"event__{name}" for name in feed.EVENT_COLUMNS))
        rows = list(events(after).values(*columns)[: limit + 1])
        page: list[Answer] = [event_out(row, "event__") | {"position": row["position"]} for row in rows[:limit]]
        return [row["position"] for row in rows], page
