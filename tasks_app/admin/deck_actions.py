"""What the deck's keys do: decide, take back, skip, leave. POST only, answered in JSON."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from core import clock
from core.numbers import whole, wholes
from tasks_app import reasons
from tasks_app.actors import Actor
from tasks_app.admin import deck, task_page
from tasks_app.admin.actions import field_of
from tasks_app.admin.actors import actor_of
from tasks_app.admin.forms import ActionForm
from tasks_app.admin.verbs import VERBS
from tasks_app.exceptions import InvalidInput, StaleVersion, TaskError, WrongState
from tasks_app.models import HumanTask, StagedDecision
from tasks_app.services import Decision, put_back_task, skip_task, stage_decision, staging, take_back_decision
from tasks_app.states import Status


@require_POST
def deck_act(request: HttpRequest, verb_name: str) -> HttpResponse:
    """One key on one card. A decision is staged; to escalate or hand over happens at once."""
    actor, verb = actor_of(request), VERBS.get(verb_name)
    task = task_page.find_task(request.POST.get("task", ""), actor)
    if task is None or verb is None or verb_name not in deck.KEYS:
        return deck.lost(request, None)
    form = task_page.form_for(request, verb, task, actor)
    if not form.is_valid():
        return _refused(request, task, form, 400)
    values = form.cleaned_data
    try:
        if not verb.resolution:
            verb.run(task.task_id, actor, values)
            return JsonResponse({"done": str(verb.done), "name": deck.name_of(task)})
        decision = Decision(verb.resolution, values.get("text", ""), values.get("modifications") or {})
        changed, waiting = stage_decision(task.task_id, actor, decision, expected_version=values["version"])
    except TaskError as error:
        return _not_done(request, actor, task, form, error)
    if waiting is None:
        return JsonResponse({"done": str(verb.done), "name": deck.name_of(changed)})
    left = (waiting.due_at - clock.now()).total_seconds()
    return JsonResponse({"staged": deck.staged_answer(waiting, max(0.0, left))})


def _not_done(request: HttpRequest, actor: Actor, task: HumanTask, form: ActionForm, error: TaskError) -> HttpResponse:
    now_is = task_page.find_task(task.task_id, actor)
    if now_is is None:
        return deck.lost(request, None)
    if isinstance(error, InvalidInput):
        form.add_error(field_of(error, form), error.message)
        return _refused(request, now_is, form, 400)
    if isinstance(error, StaleVersion | WrongState):
        # Still one's own to decide: the card as it is now, with what was typed; else the deck moves on.
        mine = now_is.assigned_to_id == actor.user.pk and now_is.is_open and now_is.staged_until is None
        more = {"card": deck.card_of(request, now_is)} if mine else {}
        return deck.lost(request, now_is, status=error.status, **more)
    return JsonResponse({"said": error.detail, "version": now_is.version}, status=error.status)


def _refused(request: HttpRequest, task: HumanTask, form: ActionForm, status: int) -> HttpResponse:
    """What is missing, field by field; the panel stays open with what was typed."""
    errors = {name: [str(text) for text in texts] for name, texts in form.errors.items()}
    said = next((texts[0] for texts in errors.values()), "")
    return JsonResponse({"said": said, "errors": errors, "version": task.version}, status=status)


@require_POST
def deck_undo(request: HttpRequest) -> HttpResponse:
    """Take one's decision back: the card again, with the decision as it was stored."""
    actor = actor_of(request)
    try:
        task, waiting = take_back_decision(request.POST.get("task", ""), actor)
    except TaskError:
        task = task_page.find_task(request.POST.get("task", ""), actor)  # type: ignore[assignment]
        if task is None:
            return deck.lost(request, None)
        said = _("Too late to take it back.")
        return JsonResponse({"said": said, "version": task.version}, status=409)
    shown = task_page.find_task(task.task_id, actor)
    if shown is None:
        return deck.lost(request, None)
    verb = next(name for name in deck.KEYS if VERBS[name].resolution == waiting.resolution)
    typed = {"verb": verb, "text": waiting.detail, "modifications": waiting.modifications}
    return JsonResponse({"card": deck.card_of(request, shown), "typed": typed})


@require_POST
def deck_skip(request: HttpRequest) -> HttpResponse:
    """Leave a task to others. With a reason it is in the timeline; either way it does not come back in this session."""
    actor, task_id = actor_of(request), request.POST.get("task", "")
    reason = request.POST.get("text", "").strip()[:10_000]
    task = task_page.find_task(task_id, actor)
    if task is None:
        return deck.lost(request, None)
    deck.note_skipped(request, task_id)
    try:
        if reason:
            skip_task(task_id, actor, reason=reason)
        elif request.POST.get("claimed") and task.status == Status.ASSIGNED:
            put_back_task(task_id, actor)
    except TaskError as error:
        return JsonResponse({"said": error.detail, "version": task.version}, status=error.status)
    return JsonResponse({"done": _("Skipped."), "name": deck.name_of(task)})


@require_POST
def deck_leave(request: HttpRequest) -> HttpResponse:
    """Give back what the deck has claimed by showing it, untouched: at the version of that claim, or not at all."""
    actor, version = actor_of(request), whole(request.POST.get("version", ""), digits=9)
    task = task_page.find_task(request.POST.get("task", ""), actor)
    if task is None or version is None:
        return JsonResponse({"left": False})
    if task.status != Status.ASSIGNED or task.assigned_to_id != actor.user.pk:
        return JsonResponse({"left": False})
    try:
        left = put_back_task(task.task_id, actor, expected_version=version)
    except TaskError:
        return JsonResponse({"left": False})
    return JsonResponse({"left": True, "version": left.version})


@require_POST
def deck_poll(request: HttpRequest) -> HttpResponse:
    """Carry out what is due of one's own, and say what became of the decisions that the page still shows."""
    actor = actor_of(request)
    staging.carry_out_due(actor)
    asked = wholes(request.POST.get("ids", ""))[:50]
    rows = StagedDecision.objects.filter(person=actor.user, pk__in=asked).select_related("task__task_type")
    decisions = [_became(row) for row in rows]
    staging.note_told(actor, [row.pk for row in rows if row.outcome == StagedDecision.Outcome.CANCELLED])
    return JsonResponse({"decisions": decisions})


def _became(row: StagedDecision) -> dict[str, Any]:
    waits = row.outcome == StagedDecision.Outcome.WAITING
    left = max(0.0, (row.due_at - clock.now()).total_seconds()) if waits else 0.0
    return {**deck.staged_answer(row, left), "outcome": row.outcome, "why": reasons.shown(row.why)}
