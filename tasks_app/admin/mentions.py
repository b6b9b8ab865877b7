"""Where a person was named with @: a note on the task, a card on the home page, and a list of one's own."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from core import clock
from tasks_app import selectors
from tasks_app.actors import Actor
from tasks_app.admin.actors import actor_of
from tasks_app.admin.home import Card, register_card
from tasks_app.admin.site import page_context
from tasks_app.admin.task_page import find_task, subject_of
from tasks_app.admin.texts import ago
from tasks_app.catalog_data import shown
from tasks_app.links import task_url
from tasks_app.models import Mention
from tasks_app.services.mentions import read_mentions

SHOWN: Final = 50
COUNTED_UP_TO: Final = 100


@dataclass(frozen=True)
class Said:
    """One mention as its person reads it."""

    who: str
    text: str
    about: str
    url: str
    at: datetime
    ago: str
    is_unread: bool


def unread_count(actor: Actor) -> int:
    """How many mentions the actor has not read, counted up to a hundred: one look-up by index."""
    return Mention.objects.filter(person=actor.user, read_at__isnull=True)[:COUNTED_UP_TO].count()


def mentions_of(actor: Actor) -> list[Said]:
    """The actor's latest fifty mentions in tasks that he or she still may see: two queries."""
    rows = Mention.objects.filter(person=actor.user).select_related("event__actor").order_by("-at", "-pk")[:SHOWN]
    tasks = selectors.visible_tasks(actor).select_related("task_type").defer("error_detail", "context_data")
    seen = tasks.in_bulk({row.task_id for row in rows})
    now = clock.now()
    return [
        Said(
            who=row.event.actor.get_username(),
            text=row.event.reason,
            about=f"{shown(seen[row.task_id].task_type.label)} · {subject_of(seen[row.task_id])}",
            url=task_url(row.task_id),
            at=row.at,
            ago=ago(row.at, now),
            is_unread=row.read_at is None,
        )
        for row in rows
        if row.task_id in seen
    ]


def mentions_page(request: HttpRequest) -> HttpResponse:
    """The reader's own mentions, the latest first."""
    mentions = mentions_of(actor_of(request))
    context = {**page_context(request), "title": _("Mentions"), "mentions": mentions}
    return TemplateResponse(
        request, "console/mentions.html", {**context, "has_unread": any(said.is_unread for said in mentions)}
    )


@require_POST
def read_all(request: HttpRequest) -> HttpResponse:
    """Mark all of the reader's mentions as read."""
    read_mentions(actor_of(request))
    return HttpResponseRedirect(reverse("admin:tasks_app_humantask_mentions"))


@require_POST
def read_on_task(request: HttpRequest, task_id: str) -> HttpResponse:
    """Mark those of one task as read and come back to it."""
    task = find_task(task_id, actor_of(request))
    if task is not None:
        read_mentions(actor_of(request), task)
    return HttpResponseRedirect(task_url(task_id, request.POST.get("back", "")[:1_000]))


@register_card
def _card(actor: Actor) -> Card | None:
    unread = unread_count(actor)
    if not unread:
        return None
    shown = str(unread) if unread < COUNTED_UP_TO else f"{COUNTED_UP_TO - 1}+"
    hint = _("colleagues named you")
    return Card(_("Mentions"), shown, hint, reverse("admin:tasks_app_humantask_mentions"), "violet")
