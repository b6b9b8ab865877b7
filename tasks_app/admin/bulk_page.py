"""The dialog for many tasks: preview, then a result per task. Without JavaScript the same parts are pages.

The console's script sends a long list in pieces, each answered by its part of the result; so no request is long, and
Stop stops.
"""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core import clock
from tasks_app import groups
from tasks_app.actors import Actor
from tasks_app.admin import group_pages
from tasks_app.admin.actors import actor_of
from tasks_app.admin.bulk import MOST, Item, Plan, Seen, carry_out, plan_for, seen_in, told
from tasks_app.admin.bulk_verbs import BULK, BulkVerb
from tasks_app.admin.filters import asked_by
from tasks_app.admin.forms import MAX_TEXT
from tasks_app.admin.site import page_context
from tasks_app.admin.task_page import back_to_queue
from tasks_app.admin.verbs import VERBS


class BulkForm(forms.Form):
    """What is the same for all of the tasks."""

    text = forms.CharField(required=False, max_length=MAX_TEXT)
    assigned_to = forms.CharField(required=False, max_length=254)
    decision = forms.CharField(required=False, max_length=40)

    def __init__(self, bulk: BulkVerb, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bulk = bulk

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if self.bulk.pick and not values.get(self.bulk.pick):
            what = _("Choose a decision.") if self.bulk.pick == "decision" else _("Choose a person.")
            self.add_error(self.bulk.pick, what)
        elif self.bulk.pick == "decision":
            if values["decision"] not in self.bulk.verbs:
                self.add_error("decision", _("Choose a decision."))
            elif VERBS[values["decision"]].text_required and not values.get("text"):
                self.add_error("text", _("Write a text: it is what the other side will read."))
        return values


def bulk_page(request: HttpRequest, verb_name: str) -> HttpResponse:
    """Preview, or with `confirmed` carry out. A GET (after signing in again, say) changes nothing."""
    bulk, back = BULK.get(verb_name), request.POST.get("back", "")[:1_000]
    if request.method != "POST" or bulk is None:
        return HttpResponseRedirect(back_to_queue(back or request.GET.get("back", "")))
    actor = actor_of(request)
    seen, is_cut = _chosen(request, actor)
    if request.POST.get("confirmed"):
        form = BulkForm(bulk, data=request.POST)
        if form.is_valid():
            return _result(request, bulk, actor, seen, form.cleaned_data, back)
        return _preview(request, bulk, actor, seen, form, back, is_cut=is_cut, status=400)
    return _preview(request, bulk, actor, seen, BulkForm(bulk), back, is_cut=is_cut)


def _chosen(request: HttpRequest, actor: Actor) -> tuple[list[Seen], bool]:
    """The tasks that were ticked; or, where it was asked for, the view's first 500 as they are now."""
    if not request.POST.get("everything") or request.POST.get("confirmed"):
        # What has changed since, and was included all the same, counts in the version that the preview showed.
        return seen_in([*request.POST.getlist("changed"), *request.POST.getlist("task")]), False
    asked = asked_by(QueryDict(request.POST.get("view", "")[:2_000]))
    if not (asked.tab or asked.search) or asked.tab == "closed":
        return [], False
    rows = asked.tasks(actor, clock.now()).values_list("pk", "version")[: MOST + 1]
    return [Seen(*row) for row in rows[:MOST]], len(rows) > MOST


def _preview(
    request: HttpRequest,
    bulk: BulkVerb,
    actor: Actor,
    seen: list[Seen],
    form: BulkForm,
    back: str,
    *,
    is_cut: bool,
    status: int = 200,
) -> HttpResponse:
    plan = plan_for(bulk, seen, actor)
    group = request.POST.get("group", "")[: group_pages.KEY_LENGTH]
    number = len(plan.eligible)
    options = plan.options
    chosen = request.POST.get(bulk.pick, "") if bulk.pick else ""
    if bulk.pick == "decision" and len(options) == 1:
        chosen = options[0].value
    context = {
        "bulk": bulk,
        "plan": plan,
        "form": form,
        "chosen": chosen,
        "options": options,
        "asked_for": len(seen),
        "group": group,
        "following": group_pages.beyond(groups.tasks_alike(actor, group)) if group else 0,
        "is_cut": is_cut,
        "most": MOST,
        "back": back,
        "number": number,
        "skipped_because": told(item.reason for item in plan.skipped),
        "is_offered": bool(plan.eligible or plan.changed) and (bool(options) or not bulk.pick),
        "confirm": _button(bulk, plan),
    }
    return _answer(request, "preview", str(bulk.title), context, status=status)


def _button(bulk: BulkVerb, plan: Plan) -> str:
    number = len(plan.eligible)
    words = {"verb": bulk.label, "n": number}
    return ngettext("%(verb)s %(n)d task", "%(verb)s %(n)d tasks", number) % words


def _result(
    request: HttpRequest, bulk: BulkVerb, actor: Actor, seen: list[Seen], values: dict[str, Any], back: str
) -> HttpResponse:
    items = [carry_out(bulk, one, actor, values) for one in seen]
    done: list[Item] = [item for item in items if not item.reason]
    skipped = [item for item in items if item.reason]
    group = request.POST.get("group", "")[: group_pages.KEY_LENGTH]
    context = {
        "bulk": bulk,
        "done": done,
        "skipped": skipped,
        "summary": summary_of(len(done), [item.reason for item in skipped]),
        "remaining": groups.tasks_alike(actor, group).count() if group else 0,
        "back": back,
        "back_url": back_to_queue(back),
    }
    return _answer(request, "result", str(bulk.title), context)


def summary_of(done: int, reasons: list[str]) -> str:
    """`12 done, 2 skipped: taken by zoe (2)`."""
    said = _("%(n)d done") % {"n": done}
    if not reasons:
        return said
    return _("%(done)s, %(n)d skipped: %(reasons)s") % {"done": said, "n": len(reasons), "reasons": told(reasons)}


def _answer(request: HttpRequest, part: str, title: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """The part alone for the console's script, else a page around it."""
    context = {**context, "part": f"console/bulk_{part}.html", "title": title, "is_part": False}
    if request.headers.get("X-Console-Part"):
        return TemplateResponse(request, context["part"], {**context, "is_part": True}, status=status)
    return TemplateResponse(request, "console/bulk.html", {**page_context(request), **context}, status=status)
