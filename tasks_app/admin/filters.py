"""What an address asks of the queue: tab, filters, search and page, each checked; and the bar that offers them.

The same value serves the page, its live updates, saved views, the export and 'everything in this view', so that all of
them mean the same tasks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final

from django.db.models import Q
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.numbers import whole
from tasks_app import search, selectors
from tasks_app.actors import Actor
from tasks_app.catalog_data import shown
from tasks_app.models import TaskType
from tasks_app.models.task import TaskQuerySet
from tasks_app.states import OPEN, Priority, Status

LAST_PAGE: Final = 1_000
MAX_CHOICES: Final = 200
MAX_VALUE: Final = 150
NOBODY: Final = "-"

TABS: Final = {
    "mine": gettext_lazy("Mine"),
    "unassigned": gettext_lazy("Unassigned"),
    "overdue": gettext_lazy("Overdue"),
    "escalated": gettext_lazy("Escalated"),
    "all": gettext_lazy("All open"),
    "closed": gettext_lazy("Recently closed"),
}
DUE: Final = {
    "overdue": gettext_lazy("overdue"),
    "soon": gettext_lazy("within the hour"),
    "4h": gettext_lazy("within 4 hours"),
    "today": gettext_lazy("by the end of today"),
    "tomorrow": gettext_lazy("by the end of tomorrow"),
    "week": gettext_lazy("within 7 days"),
    "none": gettext_lazy("no deadline"),
}
# In the order of the bar; `due_from` and `due_to` are days.
NAMES: Final = ("type", "priority", "principal", "adapter", "assignee", "status", "due", "due_from", "due_to")
_OF_OPEN_TASKS: Final = ("status", "due", "due_from", "due_to")
_FIELDS: Final = {
    "type": "task_type",
    "priority": "priority",
    "principal": "principal",
    "adapter": "adapter_name",
    "status": "status",
}


@dataclass(frozen=True)
class Asked:
    """A view of the queue. `tab` is empty where the address leaves it to the page; `words` are those of the search."""

    tab: str = ""
    chosen: Mapping[str, str] = field(default_factory=dict)
    search: str = ""
    number: int = 1

    @property
    def words(self) -> list[str]:
        return search.words_of(self.search)

    def query(self, **changed: str) -> dict[str, str]:
        """The parameters of its address, without the page; what `changed` empties is left out."""
        values = {"q": self.search, "tab": "" if self.search else self.tab, **self.chosen, **changed}
        return {name: value for name, value in values.items() if value}

    def tasks(self, actor: Actor, now: datetime) -> TaskQuerySet:
        """The tasks of the view, in its order. A search means the open ones with its words."""
        if self.search:
            found = search.open_with_words(actor, self.words) if self.words else selectors.nothing()
        elif self.tab == "closed":
            found = selectors.recently_closed(actor)
        else:
            found = selectors.open_tasks(actor).filter(selectors.queue_views(actor, now)[self.tab]).in_queue_order()
        return found.filter(condition(self.chosen, now))


def asked_by(values: QueryDict) -> Asked:
    """What the parameters ask for. A value that cannot be meant counts as absent; none is an error."""
    tab, number = values.get("tab", ""), values.get("page", "1")
    chosen = {name: _text(values.get(name, ""))[:MAX_VALUE] for name in NAMES}
    known: dict[str, Callable[[str], bool]] = {
        "priority": lambda value: value in {str(p.value) for p in Priority},
        "status": lambda value: value in OPEN,
        "due": DUE.__contains__,
        "due_from": lambda value: _day(value) is not None,
        "due_to": lambda value: _day(value) is not None,
    }
    chosen = {name: value for name, value in chosen.items() if value and known.get(name, bool)(value)}
    if tab == "closed":
        chosen = {name: value for name, value in chosen.items() if name not in _OF_OPEN_TASKS}
    return Asked(
        tab=tab if tab in TABS else "",
        chosen=chosen,
        search=_text(values.get("q", ""))[:200],
        number=max(1, min(whole(number, digits=5) or 1, LAST_PAGE)),
    )


def _text(value: str) -> str:
    return value.replace("\x00", "").strip()


def _day(value: str) -> date | None:
    try:
        day = parse_date(value)
    except ValueError:
        return None
    # The first and last days have no neighbour in some zone.
    return day if day is not None and 1970 <= day.year <= 9000 else None


def _begins(day: date) -> datetime:
    """The first moment of a day of the reader's."""
    return timezone.make_aware(datetime.combine(day, time.min))


def condition(chosen: Mapping[str, str], now: datetime) -> Q:
    """The filters on the tasks of a view. Days are the reader's own."""
    wanted = Q()
    for name, value in chosen.items():
        if name in _FIELDS:
            wanted &= Q(**{_FIELDS[name]: value})
    if "assignee" in chosen:
        nobody = chosen["assignee"] == NOBODY
        wanted &= Q(assigned_to__isnull=True) if nobody else Q(assigned_to__username=chosen["assignee"])
    if "due" in chosen:
        today = timezone.localtime(now).date()
        ends = {
            "overdue": now,
            "4h": now + timedelta(hours=4),
            "today": _begins(today + timedelta(days=1)),
            "tomorrow": _begins(today + timedelta(days=2)),
            "week": now + timedelta(days=7),
        }
        soon = Q(due_by__gte=now, due_by__lt=now + selectors.SOON)
        special = {"none": Q(due_by__isnull=True), "soon": soon}
        wanted &= special.get(chosen["due"]) or Q(due_by__lt=ends[chosen["due"]])
    if first := _day(chosen.get("due_from", "")):
        wanted &= Q(due_by__gte=_begins(first))
    if last := _day(chosen.get("due_to", "")):
        wanted &= Q(due_by__lt=_begins(last + timedelta(days=1)))
    return wanted


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


def filters_for(asked: Asked, actor: Actor) -> list[Filter]:
    """The drop-downs. Principals, adapters and assignees: those at the head of the queue. Bounded, and all of use.

    What is chosen is always on offer: a saved view must say what it filters by when nothing of it is there today.
    """
    present = selectors.present_in_queue(actor)
    kinds = TaskType.objects.filter(Q(is_active=True) | Q(pk=asked.chosen.get("type", ""))).only("slug", "label")
    choosers: list[tuple[str, str | Promise, list[Choice]]] = [
        ("type", _("Type"), [Choice(kind.slug, shown(kind.label)) for kind in kinds]),
        ("priority", _("Priority"), [Choice(str(p.value), str(p.label)) for p in sorted(Priority, reverse=True)]),
        ("principal", _("Principal"), [Choice(pk, name) for pk, name in present.principals.items()]),
        ("adapter", _("Adapter"), [Choice(name, name) for name in present.adapters]),
        ("assignee", _("Assignee"), [Choice(NOBODY, _("nobody")), *(Choice(name, name) for name in present.people)]),
        ("status", _("Status"), [Choice(s.value, str(s.label)) for s in Status if s in OPEN]),
        ("due", _("Due"), [Choice(value, str(label)) for value, label in DUE.items()]),
    ]
    skipped = _OF_OPEN_TASKS if asked.tab == "closed" and not asked.search else ()
    return [
        _drop_down(name, str(label), choices, asked.chosen.get(name, ""))
        for name, label, choices in choosers
        if name not in skipped
    ]


def _drop_down(name: str, label: str, choices: list[Choice], value: str) -> Filter:
    offered, beyond = choices[:MAX_CHOICES], choices[MAX_CHOICES:]
    if value and all(choice.value != value for choice in offered):
        offered = [next((choice for choice in beyond if choice.value == value), Choice(value, value)), *offered]
    return Filter(name, label, offered, value)
