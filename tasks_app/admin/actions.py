"""What happens when a button is pressed: POST only, one service call, every refusal said at the dialog it came from."""

import re

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from core import clock
from tasks_app import permissions, services
from tasks_app.actors import Actor
from tasks_app.admin.actors import actor_of
from tasks_app.admin.forms import ActionForm
from tasks_app.admin.modifications import PREFIX
from tasks_app.admin.task_page import back_to_queue, find_task, form_for, gone_page, render_task, subject_of
from tasks_app.admin.timeline import what_happened
from tasks_app.admin.verbs import VERBS, Verb
from tasks_app.catalog_data import shown
from tasks_app.exceptions import InvalidInput, StaleVersion, TaskError, TaskNotFound, WrongState
from tasks_app.links import queue_url, task_url
from tasks_app.models import HumanTask, Mention

NOT_TYPED = ("csrfmiddlewaretoken", "version", "back", "then", "task", "claimed", "draft")
# Fields of the services by the names that the dialogs give them.
FIELDS = {"resolution_detail": "text", "reason": "text", "note": "text", "to": "colleague"}


@require_POST
def take_next(request: HttpRequest) -> HttpResponse:
    """Claim the most urgent task that the reader may take, of the chosen type and principal, and show it."""
    narrowed = {name: request.POST.get(name) or None for name in ("task_type", "principal_id")}
    return HttpResponseRedirect(_next_task(request, **narrowed))


def _next_task(request: HttpRequest, *, task_type: str | None = None, principal_id: str | None = None) -> str:
    task = services.claim_next_task(actor_of(request), task_type=task_type, principal_id=principal_id)
    if task is None:
        messages.info(request, _("Nothing is waiting for you to take."))
        return queue_url()
    return task_url(task.task_id)


def act(request: HttpRequest, task_id: str, verb_name: str) -> HttpResponse:
    """Carry out one verb. A GET (after signing in again, say) shows the task and changes nothing."""
    verb, actor = VERBS.get(verb_name), actor_of(request)
    if request.method != "POST":
        return HttpResponseRedirect(task_url(task_id))
    task = find_task(task_id, actor)
    if verb is None or task is None:
        return gone_page(request, written=written_in(request))
    form = form_for(request, verb, task, actor)
    if not form.is_valid():
        return render_task(request, task, failed=form, status=400)
    try:
        changed = verb.run(task_id, actor, form.cleaned_data)
    except TaskNotFound:
        return gone_page(request, written=written_in(request))
    except TaskError as error:
        return _refused(request, form, actor, task_id, error)
    if isinstance(changed, str):
        return render_task(request, task, revealed=(form.cleaned_data["placeholder"], changed))
    _say_done(request, verb, changed, actor)
    return _taken(request, HttpResponseRedirect(_where_next(request, verb, changed, actor)))


def _taken(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Tell the page's script which draft is no longer needed (static/console/drafts.js)."""
    draft = request.POST.get("draft", "")
    if re.fullmatch(r"[\w-]{8,64}", draft, re.ASCII):
        kept = {"max_age": 60, "path": "/admin/", "samesite": "Lax", "secure": settings.SESSION_COOKIE_SECURE}
        response.set_cookie("draft_sent", draft, **kept)
    return response


def field_of(error: InvalidInput, form: ActionForm) -> str | None:
    """The dialog's field that the error is about; None where it has none for it."""
    parts = error.field.split(".")
    own_field = f"{PREFIX}{parts[1]}" if parts[0] == "modifications" and len(parts) > 1 else ""
    name = own_field if own_field in form.fields else FIELDS.get(error.field, parts[0])
    return name if name in form.fields else None


def written_in(request: HttpRequest) -> str:
    """Everything that was typed or chosen in a dialog, to be handed back where the dialog cannot be shown any more."""
    kept = [(name, str(text)) for name, text in request.POST.items() if name not in NOT_TYPED]
    return "\n\n".join(text for _name, text in kept if text.strip())


def _refused(request: HttpRequest, form: ActionForm, actor: Actor, task_id: str, error: TaskError) -> HttpResponse:
    """The task as it stands now, with the dialog open, what was typed in it, and the reason in plain words."""
    task = find_task(task_id, actor)
    if task is None:
        return gone_page(request, written=written_in(request))
    if isinstance(error, InvalidInput):
        form.add_error(field_of(error, form), error.message)
    elif isinstance(error, StaleVersion | WrongState):
        form.add_error(None, what_happened(task, actor, clock.now()))
    else:
        form.add_error(None, error.detail)
    # What is on the page now is what the reader sees now: the next try is about this version.
    shown = request.POST.copy()
    shown["version"] = str(task.version)
    form.data = shown
    return render_task(request, task, failed=form, status=error.status)


def _say_done(request: HttpRequest, verb: Verb, task: HumanTask, actor: Actor) -> None:
    done = verb.done
    if verb.resolution and task.is_open:
        done = (
            _("Your decision is recorded. A second reviewer confirms it.")
            if task.stage == 2
            else _("The first reviewer decided otherwise; the review starts again.")
        )
    if verb.name == "comment":
        done = f"{done}{_told(task)}"
    name = f"{shown(task.task_type.label)} · {subject_of(task)}"
    if permissions.can_see(actor, task):
        messages.success(request, format_html('{} <a href="{}">{}</a>', done, task_url(task.task_id), name))
    else:
        messages.success(request, f"{done} {name}")


def _told(task: HumanTask) -> str:
    """Who was named in the comment just made, and is told of it."""
    names = Mention.objects.filter(event__task=task, event__seq=task.last_event_seq).order_by("pk")
    told = ", ".join(names.values_list("person__username", flat=True))
    return " " + _("Told: %(names)s.") % {"names": told} if told else ""


def _where_next(request: HttpRequest, verb: Verb, task: HumanTask, actor: Actor) -> str:
    if request.POST.get("then") == "next":
        return _next_task(request)
    back = request.POST.get("back", "")
    if verb.stays and permissions.can_see(actor, task):
        return task_url(task.task_id, back)
    return back_to_queue(back)
