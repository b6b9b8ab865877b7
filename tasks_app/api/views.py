"""The calls about one task. Thin: read, call the service, answer."""

from collections.abc import Callable

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock
from core.api import StrictSerializer
from tasks_app import services
from tasks_app.api.answers import task_detail
from tasks_app.api.base import TaskView, problems
from tasks_app.api.idempotency import idempotent
from tasks_app.api.serializers import (
    AssignIn,
    ClaimNextIn,
    CommentIn,
    CompleteIn,
    EventOut,
    HandOverIn,
    NothingIn,
    ReasonIn,
    RevealIn,
    RevealOut,
    RouteIn,
    TaskDetailOut,
    TaskIn,
    TaskOut,
    TasksIn,
    event_out,
    event_row,
    task_out,
    task_row,
)
from tasks_app.exceptions import TaskNotFound
from tasks_app.models import HumanTask

Service = Callable[..., HumanTask]

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="The ETag as you read it; 412 if it has moved on."
)
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="Same key and body: the effect happens once."
)
CHANGE = [IF_MATCH, IDEMPOTENCY]
CHANGE_PROBLEMS = problems(400, 403, 404, 409, 412, 422)


class GetTask(TaskView):
    @extend_schema(operation_id="get_task", responses={200: TaskDetailOut, **problems(404)}, tags=["tasks"])
    def get(self, request: Request, task_id: str) -> Response:
        """One task, with what you may do with it now."""
        found = task_detail(task_id, self.actor, clock.now())
        if found is None:
            raise TaskNotFound
        answer, version = found
        return Response(answer, headers={"ETag": f'"{version}"'})


def change_view(operation_id: str, says: str, body: type[StrictSerializer], service: Service) -> type[TaskView]:
    """The view of one change of a task: read the body, call the service with the version that the caller saw, answer.

    The body's fields are the service's keyword arguments; `says` is what the OpenAPI document tells of the operation.
    """

    class Changing(TaskView):
        @extend_schema(
            operation_id=operation_id,
            description=says,
            request=body,
            parameters=CHANGE,
            responses={200: TaskOut, **CHANGE_PROBLEMS},
            tags=["tasks"],
        )
        @idempotent
        def post(self, request: Request, task_id: str) -> Response:
            given = self.read(body, request)
            return self.answer(service(task_id, self.actor, expected_version=self.seen_version(request), **given))

    Changing.__name__ = Changing.__qualname__ = operation_id.title().replace("_", "")
    return Changing


AssignTask = change_view(
    "assign_task",
    "Give the task to a person: leads, and tokens with `tasks:work`.",
    AssignIn,
    services.assign_task,
)
ClaimTask = change_view("claim_task", "Take a waiting task.", NothingIn, services.claim_task)
StartTask = change_view("start_task", "Begin to work on a task that you hold.", NothingIn, services.start_task)
HandOverTask = change_view(
    "hand_over_task",
    "Give a task that you hold to a colleague who may work on it, with a note. Leads assign, whoever holds it.",
    HandOverIn,
    services.hand_over_task,
)
ReleaseTask = change_view("release_task", "Give the task back to the queue.", ReasonIn, services.release_task)
RouteTask = change_view(
    "route_task",
    "Hand the task to another team. The answer is what you see last, if that team's tasks are not yours to see.",
    RouteIn,
    services.route_task,
)
EscalateTask = change_view(
    "escalate_task",
    "Raise the task by one level and give it to the escalation team.",
    ReasonIn,
    services.escalate_task,
)
WithdrawTask = change_view(
    "withdraw_task", "End the task because the operation is moot.", ReasonIn, services.withdraw_task
)


class CompleteTask(TaskView):
    @extend_schema(
        operation_id="complete_task",
        request=CompleteIn,
        parameters=CHANGE,
        responses={200: TaskOut, **CHANGE_PROBLEMS},
        tags=["tasks"],
    )
    @idempotent
    def post(self, request: Request, task_id: str) -> Response:
        """Decide the task. Claims and starts it first where you may; where the type asks for a second reviewer, the
        first decision leaves it pending with `awaiting: second_decision`."""
        body = self.read(CompleteIn, request)
        decision = services.Decision(
            body["resolution"], body.get("resolution_detail", ""), body.get("modifications", {})
        )
        task = services.decide_task(
            task_id,
            self.actor,
            decision,
            resolved_by=body.get("resolved_by", ""),
            expected_version=self.seen_version(request),
        )
        return self.answer(task)


class CommentOnTask(TaskView):
    @extend_schema(
        operation_id="comment_on_task",
        request=CommentIn,
        parameters=CHANGE,
        responses={201: EventOut, **CHANGE_PROBLEMS},
        tags=["tasks"],
    )
    @idempotent
    def post(self, request: Request, task_id: str) -> Response:
        """Say something about the task; it stays in its timeline."""
        text, seen = self.read(CommentIn, request)["text"], self.seen_version(request)
        event = services.comment_on_task(task_id, self.actor, text, expected_version=seen)
        return Response(event_out(event_row(event)), status.HTTP_201_CREATED)


class RevealDetail(TaskView):
    @extend_schema(
        operation_id="reveal_detail",
        request=RevealIn,
        parameters=CHANGE,
        responses={200: RevealOut, **CHANGE_PROBLEMS},
        tags=["tasks"],
    )
    def post(self, request: Request, task_id: str) -> Response:
        """See a masked value once; who, when and why stays in the timeline."""
        return _reveal(self, request, task_id)


def _revealed(view: TaskView, request: Request, task_id: str) -> Response:
    body = view.read(RevealIn, request)
    value = services.reveal_detail(task_id, view.actor, expected_version=view.seen_version(request), **body)
    return Response({"placeholder": body["placeholder"], "value": value}, headers={"Cache-Control": "no-store"})


_reveal = idempotent(_revealed, secret=True)


class ClaimNextTask(TaskView):
    @extend_schema(
        operation_id="claim_next_task",
        request=ClaimNextIn,
        parameters=[IDEMPOTENCY],
        responses={200: TaskOut, 204: OpenApiResponse(description="Nothing waits for you."), **problems(400, 403)},
        tags=["tasks"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Take the most urgent task that you may take."""
        task = services.claim_next_task(self.actor, **self.read(ClaimNextIn, request))
        return Response(status=status.HTTP_204_NO_CONTENT) if task is None else self.answer(task)


def open_task(view: TaskView, request: Request) -> Response:
    """The POST of the list (tasks_app.api.lists)."""
    task, created = services.open_task(services.NewTask(**view.read(TaskIn, request)), view.actor)
    return view.answer(task, status.HTTP_201_CREATED if created else status.HTTP_200_OK)


def open_tasks(view: TaskView, request: Request) -> Response:
    """The POST of the batch (tasks_app.api.lists)."""
    news = [services.NewTask(**item) for item in view.read(TasksIn, request)["items"]]
    opened, now = services.open_tasks(news, view.actor), clock.now()
    results = [task_out(task_row(task), now) | {"created": created} for task, created in opened]
    code = status.HTTP_201_CREATED if any(created for _task, created in opened) else status.HTTP_200_OK
    return Response({"results": results}, code)
