"""The queue: what waits, in the order in which it should be done, cut by tab and filters.

Not Django's own changelist: that counts, sorts and searches whatever a URL asks for. Here each parameter is one of few
known values, every query reads open rows by index, and their number is fixed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import clock
from tasks_app import selectors
from tasks_app.actors import Actor
from tasks_app.admin.actors import actor_of
from tasks_app.admin.lines import lines_of
from tasks_app.admin.site import page_context
from tasks_app.links import queue_url, task_url
from tasks_app.models import TaskType
from tasks_app.models.task import TaskQuerySet
from tasks_app.states import OPEN, Priority, Status

PER_PAGE: Final = 50
LAST_PAGE: Final = 1_000
MAX_CHOICES: Final = 200
NOBODY: Final = "-"
OF_OPEN_TASKS: Final = ("status", "due")

TABS: Final = {
    "mine": gettext_lazy("Mine"),
    "unassigned": gettext_lazy("Unassigned"),
    "overdue": gettext_lazy("Overdue"),
    "escalated": gettext_lazy("Escalated"),
    "all": gettext_lazy("All open"),
    "closed": gettext_lazy("Recently closed"),
}
EMPTY: Final = {
    "mine": gettext_lazy("You hold no task. Take the next one, or choose one under Unassigned."),
    "unassigned": gettext_lazy("Nobody is waited for. Well done."),
    "overdue": gettext_lazy("Nothing is overdue."),
    "escalated": gettext_lazy("Nothing is escalated."),
    "all": gettext_lazy("There is no open task."),
    "closed": gettext_lazy("Nothing was closed lately."),
}


@dataclass(frozen=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True)
class Filter:
    """One drop-down of the filter bar."""

    name: str
    label: str
    choices: list[Choice]
    value: str


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


def queue_page(request: HttpRequest) -> HttpResponse:
    """The queue, or what the search field asks for."""
    actor, now = actor_of(request), clock.now()
    search = request.GET.get("q", "").strip().replace("\x00", "")[:200]
    if search:
        return _search_page(request, actor, now, search)
    counts = counts_of(request)
    tab = request.GET.get("tab", "")
    if tab not in TABS:
        tab = "mine" if counts["mine"] else "unassigned"
    filters = _filters(request, actor, without=OF_OPEN_TASKS if tab == "closed" else ())
    chosen = {chooser.name: chooser.value for chooser in filters if chooser.value}
    number = _page_number(request)
    tasks = _tasks(actor, tab, now).filter(_condition(chosen, actor, now))
    start = (number - 1) * PER_PAGE
    lines = lines_of(tasks[start : start + PER_PAGE + 1], actor, now)
    kept = {"tab": tab, **chosen}
    return _page(
        request,
        {
            "title": _("Queue"),
            "tab": tab,
            "tabs": _tabs(tab, counts, chosen),
            "filters": filters,
            "is_filtered": bool(chosen),
            "clear_url": queue_url(tab=tab),
            "lines": lines[:PER_PAGE],
            "empty": EMPTY[tab] if not chosen else _("No task fits these filters."),
            "previous_url": queue_url(**kept, page=str(number - 1)) if number > 1 else "",
            "next_url": queue_url(**kept, page=str(number + 1)) if len(lines) > PER_PAGE else "",
            "number": number,
            "next_type": chosen.get("type", ""),
            "next_principal": chosen.get("principal", ""),
            "can_take": bool(counts["unassigned"]),
        },
    )


def _search_page(request: HttpRequest, actor: Actor, now: datetime, search: str) -> HttpResponse:
    """Tasks, open or ended, with this very id. One hit is opened at once."""
    lines = lines_of(selectors.tasks_named(actor, search)[:PER_PAGE], actor, now)
    if len(lines) == 1:
        return HttpResponseRedirect(task_url(lines[0].task_id))
    return _page(
        request,
        {
            "title": _("Search"),
            "tab": "search",
            "tabs": _tabs("", counts_of(request), {}),
            "filters": [],
            "search": search,
            "clear_url": queue_url(),
            "lines": lines,
            "empty": _("No task, media buy or creative has exactly this id, or it is not yours to see."),
        },
    )


def _page(request: HttpRequest, context: dict[str, object]) -> HttpResponse:
    back = request.GET.urlencode()
    return TemplateResponse(request, "console/queue.html", {**page_context(request), **context, "back": back})


def _tabs(active: str, counts: Mapping[str, int], chosen: Mapping[str, str]) -> list[Tab]:
    tones = {"overdue": "red", "escalated": "violet"}
    return [
        Tab(
            str(label),
            queue_url(tab=name, **chosen),
            shown_count(counts.get(name)),
            name == active,
            tones.get(name, ""),
        )
        for name, label in TABS.items()
    ]


def _tasks(actor: Actor, tab: str, now: datetime) -> TaskQuerySet:
    if tab == "closed":
        return selectors.recently_closed(actor)
    return selectors.open_tasks(actor).filter(selectors.queue_views(actor, now)[tab]).in_queue_order()


def _condition(chosen: Mapping[str, str], actor: Actor, now: datetime) -> Q:
    condition = Q()
    fields = {
        "type": "task_type",
        "priority": "priority",
        "principal": "principal",
        "adapter": "adapter_name",
        "status": "status",
    }
    for name, value in chosen.items():
        if name in fields:
            condition &= Q(**{fields[name]: value})
    if "assignee" in chosen:
        nobody = chosen["assignee"] == NOBODY
        condition &= Q(assigned_to__isnull=True) if nobody else Q(assigned_to__username=chosen["assignee"])
    if "due" in chosen:
        condition &= selectors.queue_views(actor, now)[chosen["due"]]
    return condition


def _filters(request: HttpRequest, actor: Actor, *, without: Collection[str]) -> list[Filter]:
    """The drop-downs. Principals, adapters and assignees: those at the head of the queue. Bounded, and all of use."""
    present = selectors.present_in_queue(actor)
    choosers = [
        (
            "type",
            _("Type"),
            [Choice(t.slug, t.label) for t in TaskType.objects.filter(is_active=True).only("slug", "label")],
        ),
        ("priority", _("Priority"), [Choice(str(p.value), str(p.label)) for p in sorted(Priority, reverse=True)]),
        ("principal", _("Principal"), [Choice(pk, name) for pk, name in present.principals.items()]),
        ("adapter", _("Adapter"), [Choice(name, name) for name in present.adapters]),
        ("assignee", _("Assignee"), [Choice(NOBODY, _("nobody")), *(Choice(name, name) for name in present.people)]),
        ("status", _("Status"), [Choice(s.value, str(s.label)) for s in Status if s in OPEN]),
        ("due", _("Due"), [Choice("overdue", _("overdue")), Choice("soon", _("within the hour"))]),
    ]
    return [_chosen(request, name, label, choices) for name, label, choices in choosers if name not in without]


def _chosen(request: HttpRequest, name: str, label: str, choices: list[Choice]) -> Filter:
    """The drop-down with what the address asks for; a value that is not on offer counts as none."""
    value = request.GET.get(name, "")
    offered, beyond = choices[:MAX_CHOICES], choices[MAX_CHOICES:]
    offered = [choice for choice in beyond if choice.value == value] + offered
    return Filter(name, label, offered, value if any(choice.value == value for choice in offered) else "")


def _page_number(request: HttpRequest) -> int:
    given = request.GET.get("page", "1")
    return max(1, min(int(given), LAST_PAGE)) if given.isascii() and given.isdigit() and len(given) < 6 else 1
