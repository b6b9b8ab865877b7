"""The home page: what waits, at a glance. Other apps add their cards by `register_card`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _

from core import clock
from tasks_app import selectors
from tasks_app.actors import Actor
from tasks_app.admin import figures, kept
from tasks_app.admin.actors import actor_of, works_here
from tasks_app.admin.lines import lines_of
from tasks_app.admin.queue import counts_of, shown_count
from tasks_app.links import queue_url
from tasks_app.states import WAITING

MOST_URGENT: Final = 8


@dataclass(frozen=True)
class Card:
    """A number with its meaning. `tone` (empty, red, orange, green, violet) colours one that asks for attention."""

    title: str
    value: str
    hint: str = ""
    url: str = ""
    tone: str = ""


CardSource = Callable[[Actor], Card | None]
_SOURCES: Final[list[CardSource]] = []


def register_card(source: CardSource) -> CardSource:
    """Ask `source` for a card whenever the home page is shown; None shows none. Call it in `AppConfig.ready`."""
    if source not in _SOURCES:
        _SOURCES.append(source)
    return source


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The home page's context, for the setting UNFOLD["DASHBOARD_CALLBACK"]."""
    if not works_here(request):
        return context
    actor, now = actor_of(request), clock.now()
    counts = counts_of(request)
    within_reach = Q(status__in=sorted(WAITING)) | Q(assigned_to=actor.user)
    urgent = selectors.open_tasks(actor).filter(within_reach).in_queue_order()[:MOST_URGENT]
    waiting = _waiting_since(actor, now, counts)
    told = figures.last_day(actor, now)
    day, decided = told or (None, {})
    return {
        **context,
        "day": day,
        "decided": figures.decided_in_words(day) if day else "",
        "escalated": figures.escalated_in_words(day) if day else "",
        "open_by_type": figures.open_by_type(actor),
        "priorities": [priority.label for priority in figures.PRIORITIES],
        "people": figures.by_person(actor, now, decided),
        "promises": kept.promises_of(actor, now),
        "now": now,
        "title": _("Home"),
        "is_fullwidth": "1",
        "cards": [*_own_cards(counts, waiting), *filter(None, (source(actor) for source in _SOURCES))],
        "lines": lines_of(urgent, actor, now),
        "empty": _("Nothing waits for you."),
        "queue_url": queue_url(tab="unassigned"),
        "can_take": bool(counts["unassigned"]),
        "back": "",
    }


def _waiting_since(actor: Actor, now: datetime, counts: dict[str, int]) -> str:
    """What the number of tasks that nobody has does not say: for how long one of them has waited."""
    oldest = figures.oldest_waiting(actor, now) if counts["unassigned"] else ""
    return _("the oldest waits %(span)s") % {"span": oldest} if oldest else _("waiting for someone")


def _own_cards(counts: dict[str, int], waiting: str) -> list[Card]:
    def card(title: str, name: str, hint: str, url: str, tone: str = "") -> Card:
        return Card(title, shown_count(counts[name]) or "", hint, url, tone if counts[name] else "")

    return [
        card(_("Mine"), "mine", _("tasks you hold"), queue_url(tab="mine")),
        card(_("Unassigned"), "unassigned", waiting, queue_url(tab="unassigned")),
        card(_("Overdue"), "overdue", _("past their deadline"), queue_url(tab="overdue"), "red"),
        card(_("Due within the hour"), "soon", _("deadline is near"), queue_url(tab="all", due="soon"), "orange"),
        card(_("Escalated"), "escalated", _("raised, not decided yet"), queue_url(tab="escalated"), "violet"),
    ]
