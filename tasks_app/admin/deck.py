"""The deck: task after task from the keyboard. Here its pages and cards; static/console/deck.js moves between them.

A card is shown before it is claimed: the next one waits in the page already, so that it appears with the key, and is
claimed then. What others did meanwhile is answered in words, and the deck moves on.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from core import clock
from tasks_app import permissions, selectors
from tasks_app.actors import Actor
from tasks_app.admin import queue, task_page
from tasks_app.admin.actors import actor_of
from tasks_app.admin.creative import creative_of
from tasks_app.admin.filters import asked_by, condition
from tasks_app.admin.flagged import prefill, sent_by_adapter
from tasks_app.admin.forms import ActionForm, Choices
from tasks_app.admin.lines import priority_label
from tasks_app.admin.phrases import phrases_for, texts_for
from tasks_app.admin.site import page_context
from tasks_app.admin.texts import rendered_markdown, time_left
from tasks_app.admin.timeline import timeline_of, what_happened
from tasks_app.admin.verbs import VERBS, Verb
from tasks_app.catalog_data import shown
from tasks_app.deck import deck_tasks, left_in_deck
from tasks_app.exceptions import TaskError
from tasks_app.knowledge.ad_errors import explain
from tasks_app.knowledge.policies import policies_in
from tasks_app.links import queue_url
from tasks_app.models import HumanTask, Phrase, StagedDecision
from tasks_app.models.task import TaskQuerySet
from tasks_app.services import claim_task
from tasks_app.states import DECISIONS, WAITING, Resolution

# Verb -> its key, in the order in which the deck shows them.
KEYS: Final = {
    "approve": "a",
    "complete": "c",
    "reject": "r",
    "cannot-complete": "x",
    "escalate": "e",
    "hand-over": "h",
}
# Decided with the key alone; the same key with Shift opens their form.
AT_ONCE: Final = ("approve", "complete")
RELATED: Final = ("task_type", "team", "principal", "assigned_to", "requested_by", "resolved_by")
MOST_AHEAD: Final = 10
MOST_EXCLUDED: Final = 100
SKIPPED: Final = "deck_skipped"
MOST_SKIPPED: Final = 500


@dataclass(frozen=True)
class Panel:
    """One verb of a card: its key, and its form where it needs or may have one."""

    verb: Verb
    key: str
    at_once: bool
    form: ActionForm
    phrases: list[str]

    @property
    def label(self) -> str:
        """What the line says of a decision that waits: `Approved`."""
        return str(Resolution(self.verb.resolution).label if self.verb.resolution else self.verb.label)


# -- which tasks -------------------------------------------------------------------------------------------------------


def tasks_for(request: HttpRequest, actor: Actor, *, without: Collection[str] = ()) -> TaskQuerySet:
    """The tasks of this deck: the address's filter, what the reader may decide, nothing that was skipped."""
    skipped = request.session.get(SKIPPED, [])
    return deck_tasks(actor, _chosen(request, actor), without=[*without, *skipped])


def _chosen(request: HttpRequest, actor: Actor) -> Q:
    """What the address asks of the queue, as a filter: its tab and filters, or its search."""
    asked, now = asked_by(request.GET), clock.now()
    if asked.search:
        return Q(pk__in=asked.tasks(actor, now).order_by().values("pk"))
    return selectors.queue_views(actor, now).get(asked.tab, Q()) & condition(asked.chosen, now)


def excluded(request: HttpRequest) -> list[str]:
    """The tasks that the page has in hand already."""
    return [name for name in request.GET.get("not", "").split(",") if name][:MOST_EXCLUDED]


def note_skipped(request: HttpRequest, task_id: str) -> None:
    """It does not come back as long as this person is signed in."""
    kept = [name for name in request.session.get(SKIPPED, []) if name != task_id]
    request.session[SKIPPED] = [*kept, task_id][-MOST_SKIPPED:]


# -- cards -------------------------------------------------------------------------------------------------------------


def card_of(request: HttpRequest, task: HumanTask) -> dict[str, Any]:
    """A card with what the page's script has to know of it."""
    return {
        "task": task.task_id,
        "version": task.version,
        "name": name_of(task),
        "rank": [-task.escalation_level, task.start_by.isoformat(), -task.priority, task.task_id],  # as QUEUE_ORDER
        "html": card_html(request, task),
    }


def name_of(task: HumanTask) -> str:
    return f"{shown(task.task_type.label)} · {task_page.subject_of(task)}"


def card_html(request: HttpRequest, task: HumanTask, *, failed: ActionForm | None = None) -> str:
    actor, now = actor_of(request), clock.now()
    panels = panels_of(task, actor, failed, shared=_shared(request))
    context = {
        "task": task,
        "name": name_of(task),
        "subject": task_page.subject_of(task),
        "priority": priority_label(task.priority),
        "time_left": time_left(task.due_by, now, ended_at=task.completed_at),
        "facts": task_page.facts_of(task, now),
        "creative": creative_of(task, actor),
        "sent": sent_by_adapter(task.context_data),
        "explained": explain(task.error_detail, task.context_data.get("http_status")),
        "policies": policies_in(task.context_data),
        "instructions": rendered_markdown(shown(task.task_type.instructions)),
        "timeline": timeline_of(task, now),
        "decisions": [panel for panel in panels if panel.verb.resolution],
        "work": [panel for panel in panels if not panel.verb.resolution],
        "panels": panels,
        "prefill": prefill(task.context_data),
        "skip_reasons": [
            _("Not my field"),
            _("Not my language"),
            _("I know this client too well"),
            _("I have to ask somebody first"),
        ],
    }
    return render_to_string("console/deck_card.html", context, request)


Shared = dict[Hashable, tuple[Choices, list[Phrase]]]


def _shared(request: HttpRequest) -> Shared:
    """The people and phrases that the cards of one answer have in common: most are of one type, team and principal."""
    shared: Shared = request.__dict__.setdefault("deck_shared", {})
    return shared


def panels_of(
    task: HumanTask, actor: Actor, failed: ActionForm | None = None, *, shared: Shared | None = None
) -> list[Panel]:
    """What the deck offers on a task: on one that waits, what there will be once it is claimed."""
    rights = set(permissions.available_actions(actor, task))
    if task.status in WAITING and "claim" in rights:
        rights |= {"escalate", "hand_over"}
    passing = ["hand_over"] if "hand_over" in rights else []
    # Who may decide a second time is told task by task.
    alike = (task.team_id, task.task_type_id, task.principal_id, *passing, task.pk if task.stage == 2 else "")
    known = {} if shared is None else shared
    if alike not in known:
        known[alike] = (task_page.choices_for(task, passing, actor), phrases_for(task))
    choices, phrases = known[alike]
    allowed = DECISIONS & set(task.task_type.allowed_resolutions)
    panels = []
    for name, key in KEYS.items():
        verb = VERBS[name]
        if verb.right not in rights or (verb.resolution and verb.resolution not in allowed):
            continue
        if failed is not None and failed.verb is verb:
            form = failed
        else:
            form = ActionForm(verb, choices, task.task_type.resolution_schema, initial={"version": task.version})
        form.auto_id = f"{task.task_id}-{name}-%s"  # two cards are in the page at once
        said = texts_for(phrases, verb.resolution) if verb.resolution else []
        panels.append(Panel(verb, key, name in AT_ONCE, form, said))
    return panels


# -- pages and answers -------------------------------------------------------------------------------------------------


@require_safe
def deck_page(request: HttpRequest) -> HttpResponse:
    """The page around the cards, with the first of them in it. Nothing is claimed by a GET: its script does that."""
    actor = actor_of(request)
    first = _first(tasks_for(request, actor))
    now = clock.now()
    waiting = StagedDecision.objects.filter(person=actor.user, outcome=StagedDecision.Outcome.WAITING)
    context = {
        **page_context(request),
        "title": _("Deck"),
        "now": now,
        "card": None if first is None else card_of(request, first),
        "left": queue.shown_count(left_in_deck(tasks_for(request, actor))),
        "queue_url": queue_url(**asked_by(request.GET).query()),
        "query": request.GET.urlencode(),
        "undo_seconds": settings.HITL_UNDO_SECONDS,
        "staged": [
            staged_answer(row, max(0.0, (row.due_at - now).total_seconds()))
            for row in waiting.select_related("task__task_type").order_by("due_at")[:20]
        ],
    }
    return TemplateResponse(request, "console/deck.html", context)


@require_safe
def deck_card(request: HttpRequest) -> HttpResponse:
    """The next cards, not claimed: `count` of them, one unless asked; or with `task` that one, if still to decide."""
    actor = actor_of(request)
    wanted = request.GET.get("task")
    tasks = deck_tasks(actor, Q(pk=wanted)) if wanted else tasks_for(request, actor, without=excluded(request))
    asked = request.GET.get("count", "")
    count = min(int(asked), MOST_AHEAD) if asked.isascii() and asked.isdigit() and len(asked) < 3 else 1
    cards = [card_of(request, task) for task in tasks.select_related(*RELATED)[:count]]
    left = queue.shown_count(left_in_deck(tasks_for(request, actor)))
    return JsonResponse({"cards": cards, "left": left})


def _first(tasks: TaskQuerySet) -> HumanTask | None:
    return tasks.select_related(*RELATED).first()


@require_POST
def deck_show(request: HttpRequest) -> HttpResponse:
    """A card is shown: claim its task for the reader. Answers a fresh card where the task has changed since."""
    actor = actor_of(request)
    task = task_page.find_task(request.POST.get("task", ""), actor)
    if task is None:
        return lost(request, None)
    seen, claimed = request.POST.get("version"), False
    if task.status in WAITING:
        fresh = str(task.version) == seen
        try:
            claim_task(task.task_id, actor, expected_version=task.version)
        except TaskError:
            return lost(request, task_page.find_task(task.task_id, actor))
        claimed, task = True, task_page.find_task(task.task_id, actor)
    else:
        fresh = str(task.version) == seen
        if task.assigned_to_id != actor.user.pk or not task.is_open or task.staged_until is not None:
            return lost(request, task)
    if task is None:
        return lost(request, None)
    answer: dict[str, Any] = {"claimed": claimed, "version": task.version}
    if not fresh:
        answer |= {"card": card_of(request, task), "said": _("This task has changed while it waited for you.")}
    return JsonResponse(answer)


def lost(request: HttpRequest, task: HumanTask | None, *, status: int = 409, **more: Any) -> HttpResponse:
    """Somebody was faster: who, and what, in one sentence."""
    if task is None:
        said = _("This task has moved on and is no longer yours to see.")
        return JsonResponse({"said": said, "gone": True, **more}, status=404)
    said = what_happened(task, actor_of(request), clock.now())
    return JsonResponse({"said": said, "version": task.version, **more}, status=status)


def staged_answer(row: StagedDecision, seconds: float) -> dict[str, Any]:
    """A decision that waits, for its line in the page."""
    return {
        "id": row.pk,
        "task": row.task_id,
        "name": task_page.subject_of(row.task),
        "label": str(row.get_resolution_display()),
        "seconds": seconds,
    }
