"""The calls about time: hold, resume, extend, and why a deadline is when it is."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock
from tasks_app import selectors, services
from tasks_app.api.base import TaskView, problems
from tasks_app.api.idempotency import idempotent
from tasks_app.api.serializers import ExtendIn, HoldIn, ReasonIn, TaskClockOut, TaskOut
from tasks_app.api.views import CHANGE, CHANGE_PROBLEMS
from tasks_app.exceptions import TaskNotFound
from tasks_app.sla.explain import document, explain


class HoldTask(TaskView):
    @extend_schema(
        operation_id="hold_task",
        request=HoldIn,
        parameters=CHANGE,
        responses={200: TaskOut, **CHANGE_PROBLEMS},
        tags=["tasks"],
    )
    @idempotent
    def post(self, request: Request, task_id: str) -> Response:
        """Put a task that you have on hold until the follow-up time: it waits for somebody else."""
        body = self.read(HoldIn, request)
        return self.answer(services.hold_task(task_id, self.actor, expected_version=self.seen_version(request), **body))


class ResumeTask(TaskView):
    @extend_schema(
        operation_id="resume_task",
        request=ReasonIn,
        parameters=CHANGE,
        responses={200: TaskOut, **CHANGE_PROBLEMS},
        tags=["tasks"],
    )
    @idempotent
    def post(self, request: Request, task_id: str) -> Response:
        """Take a task on hold up again."""
        body = self.read(ReasonIn, request)
        return self.answer(
            services.resume_task(task_id, self.actor, expected_version=self.seen_version(request), **body)
        )


class ExtendTask(TaskView):
    @extend_schema(
        operation_id="extend_task",
        request=ExtendIn,
        parameters=CHANGE,
        responses={200: TaskOut, **CHANGE_PROBLEMS},
        tags=["tasks"],
    )
    @idempotent
    def post(self, request: Request, task_id: str) -> Response:
        """Put off the end of a task that expires by itself; it is warned of again before."""
        body = self.read(ExtendIn, request)
        return self.answer(
            services.extend_task(task_id, self.actor, expected_version=self.seen_version(request), **body)
        )


class TaskClock(TaskView):
    @extend_schema(operation_id="get_task_clock", responses={200: TaskClockOut, **problems(404)}, tags=["tasks"])
    def get(self, request: Request, task_id: str) -> Response:
        """Why the deadline is when it is: policy, calendar, the stretches that counted and those on hold."""
        task = selectors.visible_tasks(self.actor).select_related("task_type").filter(pk=task_id).first()
        if task is None:
            raise TaskNotFound
        return Response(document(explain(task, clock.now())))
