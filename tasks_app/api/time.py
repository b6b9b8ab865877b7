"""The calls about time: hold, resume, extend, and why a deadline is when it is."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock
from tasks_app import selectors, services
from tasks_app.api.base import TaskView, problems
from tasks_app.api.serializers import ExtendIn, HoldIn, ReasonIn, TaskClockOut
from tasks_app.api.views import change_view
from tasks_app.exceptions import TaskNotFound
from tasks_app.sla.explain import document, explain

HoldTask = change_view(
    "hold_task",
    "Put a task that you have on hold until the follow-up time: it waits for somebody else.",
    HoldIn,
    services.hold_task,
)
ResumeTask = change_view("resume_task", "Take a task on hold up again.", ReasonIn, services.resume_task)
ExtendTask = change_view(
    "extend_task",
    "Put off the end of a task that expires by itself; it is warned of again before.",
    ExtendIn,
    services.extend_task,
)


class TaskClock(TaskView):
    @extend_schema(operation_id="get_task_clock", responses={200: TaskClockOut, **problems(404)}, tags=["tasks"])
    def get(self, request: Request, task_id: str) -> Response:
        """Why the deadline is when it is: policy, calendar, the stretches that counted and those on hold."""
        task = selectors.visible_tasks(self.actor).select_related("task_type").filter(pk=task_id).first()
        if task is None:
            raise TaskNotFound
        return Response(document(explain(task, clock.now())))
