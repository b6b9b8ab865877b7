"""The queue: what waits, in the order in which it should be done, cut by tab and filters.

Not Django's own changelist: that counts, sorts and searches whatever a URL asks for. Here each parameter is one of few
known values, every query reads open rows by index, and their number is fixed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from core import clock
from tasks_app import groups, search, selectors
from tasks_app.actors import Actor
from tasks_app.admin import saved_views
from tasks_app.admin.actors import actor_of
from tasks_app.admin.bulk_verbs import offered_in_bulk
from tasks_app.admin.filters import TABS, Asked, asked_by, filters_for
from tasks_app.admin.lines import TaskLine, lines_of
from tasks_app.admin.site import page_context
from tasks_app.links import queue_url, task_url

PER_PAGE: Final = 50
CLOSED_HITS: Final = 20
EMPTY: Final = {
    "mine": gettext_lazy("You hold no task. Take the next one, or choose one under Unassigned."),
    "unassigned": gettext_lazy("Nobody is waited for. Well done."),
    "overdue": gettext_lazy("Nothing is overdue."),
    "escalated": gettext_lazy("Nothing is escalated."),
    "all": gettext_lazy("There is no open task."),
    "closed": gettext_lazy("Nothing was closed lately."),
}


@dataclass(frozen=True)
class Tab:
    label: str
    url: str
    count: str | None
    is_active: bool
    tone: str


def counts_of(request: HttpRequest) -> dict[str, int]:
    """The numbers on the tabs, counted once per request."""
    known: dict[str, int] | None = getattr(request, "queue_counts", None)
    if known is None:
        known = selectors.queue_counts(actor_of(request), clock.now())
        request.queue_counts = known  # type: ignore[attr-defined]
    return known


def shown_count(number: int | None) -> str | None:
    """The number as it is shown: beyond 999 nobody needs it exactly."""
    return None if number is None else str(number) if number < selectors.COUNTED_UP_TO else "999+"


def asked_of(request: HttpRequest) -> Asked:
    """What the address asks for; without a tab, one's own tasks or else those that wait."""
    asked = asked_by(request.GET)
    if asked.tab or asked.search:
        return asked
    return replace(asked, tab="mine" if counts_of(request)["mine"] else "unassigned")


def queue_page(request: HttpRequest) -> HttpResponse:
    """The queue, or what the search field asks for. One task of exactly this id is opened at once."""
    asked = asked_of(request)
    if asked.search:
        named = lines_of(
            selectors.tasks_named(actor_of(request), asked.search)[:PER_PAGE], actor_of(request), clock.now()
        )
        if len(named) == 1:
            return HttpResponseRedirect(task_url(named[0].task_id))
        if named:
            return _named_page(request, asked, named)
    actor = actor_of(request)
    counts = counts_of(request)
    context = {
        **page_context(request),
        **list_context(request, asked),
        "title": _("Search") if asked.search else _("Queue"),
        "filters": filters_for(asked, actor),
        "search": asked.search,
        "looked_through": search.beyond_reach(actor) if asked.words else 0,
        "due_from": asked.chosen.get("due_from", ""),
        "due_to": asked.chosen.get("due_to", ""),
        "is_filtered": bool(asked.chosen),
        "clear_url": queue_url() if asked.search else queue_url(tab=asked.tab),
        "saved": saved_views.shown(actor, asked),
        "next_type": asked.chosen.get("type", ""),
        "next_principal": asked.chosen.get("principal", ""),
        "can_take": bool(counts["unassigned"]),
    }
    return TemplateResponse(request, "console/queue.html", context)


def list_context(request: HttpRequest, asked: Asked) -> dict[str, Any]:
    """The part of the page that changes by itself: tabs, lines, places of other pages."""
    actor, now = actor_of(request), clock.now()
    start = (asked.number - 1) * PER_PAGE
    lines = lines_of(asked.tasks(actor, now)[start : start + PER_PAGE + 1], actor, now)
    seen = [(line.task_id, line.version, line.occurrences) for line in lines]
    shown, has_more = lines[:PER_PAGE], len(lines) > PER_PAGE
    kept = asked.query()
    is_open = asked.tab != "closed"
    return {
        "tab": "search" if asked.search else asked.tab,
        "tabs": tabs_of(asked, counts_of(request)),
        "lines": shown,
        "alike": _alike(actor, shown) if is_open else {},
        "selectable": is_open,
        "bulk_verbs": offered_in_bulk(actor) if is_open and shown else [],
        "empty": _empty(asked),
        "previous_url": queue_url(**kept, page=str(asked.number - 1)) if asked.number > 1 else "",
        "next_url": queue_url(**kept, page=str(asked.number + 1)) if has_more else "",
        "has_more": has_more or asked.number > 1,
        "number": asked.number,
        "closed_hits": _closed_hits(asked, actor, now),
        "live_query": _encoded(asked.query(page=str(asked.number) if asked.number > 1 else "")),
        "view_query": _encoded(kept),
        "back": _encoded(asked.query(page=str(asked.number) if asked.number > 1 else "")),
        "tag": fingerprint(asked, seen),
        "now": now,
    }


def fingerprint(asked: Asked, rows: Sequence[tuple[str, int, int]], counts: Mapping[str, int] | None = None) -> str:
    """Equal for as long as the list reads the same, but for the passing of time. `rows`: id, version, occurrences."""
    told = repr((asked.query(), asked.number, list(rows), sorted((counts or {}).items())))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _named_page(request: HttpRequest, asked: Asked, lines: list[TaskLine]) -> HttpResponse:
    """Several tasks with exactly this media buy or creative, ended ones too."""
    context = {
        **page_context(request),
        "title": _("Search"),
        "tab": "search",
        "tabs": tabs_of(asked, counts_of(request)),
        "search": asked.search,
        "clear_url": queue_url(),
        "lines": lines,
        "back": _encoded(asked.query()),
        "now": clock.now(),
        "can_take": bool(counts_of(request)["unassigned"]),
    }
    return TemplateResponse(request, "console/queue.html", context)


def _alike(actor: Actor, lines: list[TaskLine]) -> dict[str, str]:
    """For the lines that have company: how many are alike, by similarity key."""
    numbers = groups.numbers_alike(actor, [line.similarity_key for line in lines])
    return {
        key: ngettext("%(n)d alike", "%(n)d alike", number) % {"n": number}
        for key, number in numbers.items()
        if number > 1
    }


def _closed_hits(asked: Asked, actor: Actor, now: datetime) -> list[TaskLine]:
    """What ended lately with the words of a search; on its first page, and not among filters of open tasks."""
    if not asked.words or asked.number > 1 or asked.chosen:
        return []
    return lines_of(search.closed_with_words(actor, asked.words)[:CLOSED_HITS], actor, now)


def _empty(asked: Asked) -> str:
    if asked.search:
        return _("No open task has these words or exactly this id, or it is not yours to see.")
    return str(EMPTY[asked.tab]) if not asked.chosen else _("No task fits these filters.")


def _encoded(query: Mapping[str, str]) -> str:
    return queue_url(**query).partition("?")[2]


def tabs_of(asked: Asked, counts: Mapping[str, int]) -> list[Tab]:
    tones = {"overdue": "red", "escalated": "violet"}
    return [
        Tab(
            str(label),
            queue_url(**({"tab": name} if asked.search else asked.query(tab=name))),
            shown_count(counts.get(name)),
            name == asked.tab and not asked.search,
            tones.get(name, ""),
        )
        for name, label in TABS.items()
    ]
