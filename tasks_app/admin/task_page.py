"""The task page: what is asked, why, and every decision as a button, on one screen. Nothing on it is edited by hand."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core import clock
from tasks_app import permissions, selectors
from tasks_app.actors import Actor
from tasks_app.admin.actors import actor_of
from tasks_app.admin.clock_card import clock_card
from tasks_app.admin.creative import creative_of
from tasks_app.admin.flagged import prefill, sent_by_adapter
from tasks_app.admin.forms import ActionForm, Choices
from tasks_app.admin.lines import lines_of, priority_label, status_label
from tasks_app.admin.phrases import phrases_for, texts_for
from tasks_app.admin.site import page_context
from tasks_app.admin.texts import ago, data_table, rendered_markdown, time_left
from tasks_app.admin.timeline import timeline_of
from tasks_app.admin.verbs import Verb, offered
from tasks_app.catalog_data import shown
from tasks_app.knowledge.ad_errors import explain
from tasks_app.knowledge.policies import policies_in
from tasks_app.links import queue_url, task_url
from tasks_app.models import HumanTask, SealedDetail, Team
from tasks_app.registries import notes_on
from tasks_app.states import Status


@dataclass(frozen=True)
class Fact:
    label: str
    value: str
    kind: str = "text"
    url: str = ""


@dataclass(frozen=True)
class Dialog:
    """A verb with its form. `is_open`: shown at once, because its form came back with an error.

    `phrases` and `names` are what one click puts into its text.
    """

    verb: Verb
    form: ActionForm
    is_open: bool = False
    is_offered: bool = True
    phrases: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def takes_next(self) -> bool:
        return bool(self.verb.resolution)


def subject_of(task: HumanTask) -> str:
    """What the task is about, in a few words: operation and creative or media buy."""
    parts = (task.operation, task.creative_id or task.media_buy_id)
    return " · ".join(part for part in parts if part) or task.task_id


def back_to_queue(back: str) -> str:
    """The queue as the reader left it. `back` is its query string; whatever else it may be, it stays a query string."""
    kept = {name: str(value) for name, value in QueryDict(back[:1_000]).items() if name != "back"}
    return queue_url(**kept)


def find_task(task_id: str, actor: Actor) -> HumanTask | None:
    """The task if the actor may see it; unknown and foreign ones are both None."""
    related = ("task_type", "team", "principal", "assigned_to", "requested_by", "resolved_by")
    return selectors.visible_tasks(actor).select_related(*related).filter(pk=task_id).first()


def task_page(request: HttpRequest, task_id: str) -> HttpResponse:
    task = find_task(task_id, actor_of(request))
    if task is None:
        return gone_page(request)
    return render_task(request, task)


def gone_page(request: HttpRequest, *, written: str = "") -> HttpResponse:
    """404, alike for unknown tasks and those out of sight; what was typed is handed back."""
    context = {**page_context(request), "title": _("No such task"), "written": written, "queue_url": queue_url()}
    return TemplateResponse(request, "console/gone.html", context, status=404)


def render_task(
    request: HttpRequest,
    task: HumanTask,
    *,
    failed: ActionForm | None = None,
    status: int = 200,
    revealed: tuple[str, str] | None = None,
) -> HttpResponse:
    """The page; with `failed`, that form's dialog is open and shows its errors and what was typed."""
    actor, now = actor_of(request), clock.now()
    rights = permissions.available_actions(actor, task)
    choices = choices_for(task, rights, actor)
    verbs = [verb for verb in offered(task, rights) if verb.pick != "placeholder" or choices.placeholder]
    back = (failed.data.get("back", "") if failed is not None else request.GET.get("back", ""))[:1_000]
    dialogs = with_words([_dialog(verb, task, choices, back, failed) for verb in verbs], task, actor)
    if failed is not None and failed.verb not in verbs:
        dialogs.append(Dialog(failed.verb, failed, is_open=True, is_offered=False))
    context = {
        **page_context(request),
        "title": shown(task.task_type.label),
        "task": task,
        "now": now,
        "subject": subject_of(task),
        "priority": priority_label(task.priority),
        "status": status_label(task.status, task.resolution, is_deciding=task.staged_until is not None),
        "time_left": time_left(task.due_by, now, ended_at=task.completed_at),
        "standing": standing_of(task, actor, now),
        "facts": facts_of(task, now),
        "clock": clock_card(task, now),
        "creative": creative_of(task, actor),
        "sent": sent_by_adapter(task.context_data),
        "explained": explain(task.error_detail, task.context_data.get("http_status")),
        "policies": policies_in(task.context_data),
        "modified": data_table(task.resolution_data) if task.resolution_data else None,
        "instructions": rendered_markdown(shown(task.task_type.instructions)),
        "decisions": [dialog for dialog in dialogs if dialog.verb.resolution and dialog.is_offered],
        "work": [dialog for dialog in dialogs if not dialog.verb.resolution and dialog.is_offered],
        "dialogs": [dialog for dialog in dialogs if not dialog.verb.direct],
        "notice": _notice(failed),
        "notes": notes_on(task, actor),
        "revealed": revealed,
        "prefill": prefill(task.context_data),
        "mentions": selectors.unread_mentions(actor, task),
        "timeline": timeline_of(task, now),
        "related": lines_of(selectors.related_tasks(actor, task), actor, now),
        "alike": lines_of(selectors.same_principal(actor, task), actor, now) if task.is_open else [],
        "back": back,
        "back_url": back_to_queue(back),
    }
    return TemplateResponse(request, "console/task.html", context, status=status)


def choices_for(task: HumanTask, rights: list[str], actor: Actor) -> Choices:
    """What the dialogs' choice fields offer; asked only where the reader has the right."""
    people, teams, placeholders = [], [], []
    if "assign" in rights or "hand_over" in rights:
        people = [
            (person.username, _("%(name)s (%(n)d open)") % {"name": person.username, "n": held})
            for person, held in selectors.entitled_people(task)
        ]
    if "route" in rights:
        others = Team.objects.filter(is_active=True).exclude(pk=task.team_id).order_by("name")[:200]
        teams = [(team.slug, shown(team.name)) for team in others]
    if "reveal" in rights:
        sealed = SealedDetail.objects.filter(task=task).order_by("pk").values_list("placeholders", flat=True)
        placeholders = [(name, name) for names in sealed for name in names]
    colleagues = [choice for choice in people if choice[0] != actor.user.get_username()]
    return Choices(people, colleagues, teams, placeholders)


def _dialog(verb: Verb, task: HumanTask, choices: Choices, back: str, failed: ActionForm | None) -> Dialog:
    if failed is not None and failed.verb is verb:
        return Dialog(verb, failed, is_open=not verb.direct)
    initial = {"version": task.version, "back": back}
    return Dialog(verb, ActionForm(verb, choices, task.task_type.resolution_schema, initial=initial))


def with_words(dialogs: list[Dialog], task: HumanTask, actor: Actor) -> list[Dialog]:
    """The dialogs with the team's phrases beside the feedback, and the colleagues' names beside the comment."""
    decides = any(dialog.verb.resolution for dialog in dialogs)
    phrases = phrases_for(task) if decides else []
    comments = any(dialog.verb.name == "comment" for dialog in dialogs)
    names = [name for name in selectors.names_of_people(task) if name != actor.user.get_username()] if comments else []
    return [
        replace(dialog, phrases=texts_for(phrases, dialog.verb.resolution))
        if dialog.verb.resolution
        else replace(dialog, names=names)
        if dialog.verb.name == "comment"
        else dialog
        for dialog in dialogs
    ]


def _notice(failed: ActionForm | None) -> list[str]:
    """Errors of a button without a dialog, shown on the page."""
    return [] if failed is None or not failed.verb.direct else [str(error) for error in failed.non_field_errors()]


def standing_of(task: HumanTask, actor: Actor, now: datetime) -> str:
    """Who has it, or who ended it, in one sentence."""
    if task.completed_at is not None:
        if task.resolved_by is None:
            return _("Ended %(ago)s without a decision.") % {"ago": ago(task.completed_at, now)}
        return _("Decided by %(person)s %(ago)s.") % {
            "person": task.resolved_by.get_username(),
            "ago": ago(task.completed_at, now),
        }
    if task.assigned_to is None or task.assigned_at is None:
        waits = _("Nobody has taken it yet.")
        if task.status == Status.ESCALATED:
            waits = _("Escalated to %(team)s; nobody there has taken it yet.") % {"team": shown(task.team.name)}
        return _("A first decision is recorded; a second reviewer is needed.") if task.stage == 2 else waits
    if task.assigned_to_id == actor.user.pk and task.staged_until is not None:
        return _("You have decided it; the decision is carried out in a moment.")
    if task.staged_until is not None:
        return _("%(person)s is deciding it right now.") % {"person": task.assigned_to.get_username()}
    if task.assigned_to_id == actor.user.pk:
        return _("You have it, taken %(ago)s.") % {"ago": ago(task.assigned_at, now)}
    return _("%(person)s has it, taken %(ago)s.") % {
        "person": task.assigned_to.get_username(),
        "ago": ago(task.assigned_at, now),
    }


def facts_of(task: HumanTask, now: datetime) -> list[Fact]:
    """The ids and names around the task; empty ones are left out."""
    facts = [
        Fact(_("Principal"), str(task.principal)),
        Fact(_("Adapter"), task.adapter_name),
        Fact(_("Operation"), task.operation, "code"),
        Fact(_("Media buy"), task.media_buy_id, "code"),
        Fact(_("Creative"), task.creative_id, "code"),
        Fact(_("Team"), shown(task.team.name)),
        Fact(
            _("Asked by"),
            _("%(who)s, %(ago)s") % {"who": task.requested_by.get_username(), "ago": ago(task.created_at, now)},
        ),
    ]
    if task.occurrences > 1:
        reported = {"n": task.occurrences, "ago": ago(task.last_seen_at, now)}
        facts.append(Fact(_("Reported"), _("%(n)d times, last %(ago)s") % reported, "warn"))
    if task.escalation_level:
        times = {"n": task.escalation_level}
        facts.append(Fact(_("Escalated"), ngettext("once", "%(n)d times", times["n"]) % times, "warn"))
    if task.follows_id:
        facts.append(Fact(_("Follows"), task.follows_id, "code", task_url(task.follows_id)))
    facts.append(Fact(_("Task"), task.task_id, "code"))
    return [fact for fact in facts if fact.value]


def form_for(request: HttpRequest, verb: Verb, task: HumanTask, actor: Actor) -> ActionForm:
    """The form that was sent, bound."""
    rights = permissions.available_actions(actor, task)
    schema: dict[str, Any] = task.task_type.resolution_schema
    return ActionForm(verb, choices_for(task, rights, actor), schema, data=request.POST)
