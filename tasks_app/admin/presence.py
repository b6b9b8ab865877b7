"""Two people, one task: what an open page asks every few seconds, and what a person is told wherever he or she is."""

from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from core import clock
from core.numbers import wholes
from tasks_app import reasons
from tasks_app.admin import task_page
from tasks_app.admin.actors import actor_of
from tasks_app.admin.timeline import what_happened
from tasks_app.links import task_url
from tasks_app.models import HumanTask, TaskEvent, User
from tasks_app.services import presence, staging
from tasks_app.sla import policies
from tasks_app.states import EventType

NEWS: Final = 20


@require_POST
def task_presence(request: HttpRequest, task_id: str) -> HttpResponse:
    """This page has the task open. Answers who else does, and what happened to it since the version that is shown.

    204 where that is what the page knows already (`tag`).
    """
    actor, now = actor_of(request), clock.now()
    task = task_page.find_task(task_id, actor)
    if task is None:
        return JsonResponse({"gone": True, "said": _("This task is no longer yours to see.")}, status=404)
    others = presence.note_presence(task, actor)
    names = [user.get_username() for user in others]
    tag = f"{task.version}-{int(task.staged_until is not None)}-{'.'.join(names)}"
    if request.POST.get("tag") == tag:
        return HttpResponse(status=204)
    answer: dict[str, Any] = {"tag": tag, "version": task.version, "others": others_in_words(names)}
    answer["standing"] = task_page.standing_of(task, actor, now)
    if request.POST.get("version") != str(task.version):
        answer["said"] = what_happened(task, actor, now)
    return JsonResponse(answer)


def others_in_words(names: list[str]) -> str:
    if not names:
        return ""
    if len(names) == 1:
        return _("%(name)s has this open now") % {"name": names[0]}
    shown = ", ".join(names[:-1])
    return _("%(names)s and %(last)s have this open now") % {"names": shown, "last": names[-1]}


@require_POST
def leave_task(request: HttpRequest, task_id: str) -> HttpResponse:
    """The page was closed."""
    presence.leave(task_id, actor_of(request))
    return HttpResponse(status=204)


@require_safe
def news(request: HttpRequest) -> HttpResponse:
    """What the reader has to hear: decisions not carried out, tasks about to return, tasks handed over to him or her.

    Two questions by index, and a third only where there is something.
    """
    actor = actor_of(request)
    found = [
        {
            "key": f"staged-{row.pk}",
            "staged": row.pk,
            "text": _("Your decision '%(resolution)s' was not carried out. %(why)s")
            % {"resolution": row.get_resolution_display().lower(), "why": reasons.shown(row.why)},
            "name": task_page.subject_of(row.task),
            "url": task_url(row.task_id),
        }
        for row in staging.untold(actor)
    ]
    return JsonResponse({"news": found + _about_held(actor.user)})


def _about_held(user: User) -> list[dict[str, Any]]:
    held = HumanTask.objects.open().filter(assigned_to=user).select_related("team", "task_type").in_queue_order()[:50]
    tasks = {task.task_id: task for task in held}
    told = [
        {
            "key": f"return-{task.task_id}-{task.return_warned_at:%H%M%S}",
            "text": _("You have left this task alone; it goes back to the queue at %(time)s.")
            % {"time": date_format(localtime(returns_at), "H:i")},
            "name": task_page.subject_of(task),
            "url": task_url(task.task_id),
        }
        for task in tasks.values()
        if task.return_warned_at is not None and (returns_at := _returns_at(task)) is not None
    ]
    given = [task for task in tasks.values() if task.assigned_at is not None and task.started_at is None]
    if not given:
        return told[:NEWS]
    events = TaskEvent.objects.filter(task__in=[task.task_id for task in given], type=EventType.HANDED_OVER)
    latest = {event.task_id: event for event in events.select_related("actor").order_by("seq")}
    told += [
        {
            "key": f"given-{event.event_id}",
            "text": _("%(who)s handed this task over to you: %(note)s")
            % {"who": event.actor.get_username(), "note": event.reason[:300]},
            "name": task_page.subject_of(tasks[task_id]),
            "url": task_url(task_id),
        }
        for task_id, event in latest.items()
        if event.at == tasks[task_id].assigned_at
    ]
    return told[:NEWS]


def _returns_at(task: HumanTask) -> datetime | None:
    claim = policies.claim_of(task)
    return None if claim is None else claim.returns_at


@require_POST
def news_told(request: HttpRequest) -> HttpResponse:
    """The reader has seen it."""
    staging.note_told(actor_of(request), wholes(request.POST.get("ids", "")))
    return HttpResponse(status=204)
