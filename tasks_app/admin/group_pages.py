"""Similar tasks: the groups by size, and one group with what differs marked, to be decided at once but for the rest."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Case, F, JSONField, TextField, Value, When
from django.db.models.functions import Cast, Left, Length
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import clock
from tasks_app import groups
from tasks_app.actors import Actor
from tasks_app.admin.actors import actor_of
from tasks_app.admin.bulk_verbs import BULK, offered_in_bulk
from tasks_app.admin.differences import Difference, differences, leaves_of, words_of
from tasks_app.admin.filters import Asked
from tasks_app.admin.lines import TaskLine, lines_of
from tasks_app.admin.queue import counts_of, tabs_of
from tasks_app.admin.site import page_context
from tasks_app.admin.task_page import back_to_queue
from tasks_app.admin.texts import TimeLeft, span, time_left
from tasks_app.admin.verbs import VERBS, Verb
from tasks_app.groups import Group
from tasks_app.models import HumanTask, TaskType
from tasks_app.models.task import TaskQuerySet
from tasks_app.states import DECISIONS

SHOWN: Final = 200
KEY_LENGTH: Final = 32
# A larger context is not looked through for differences.
MAX_CONTEXT: Final = 20_000
ORDERS: Final = {
    "size": gettext_lazy("Largest first"),
    "age": gettext_lazy("Oldest first"),
    "due": gettext_lazy("Due first"),
}


@dataclass(frozen=True)
class GroupLine:
    """A group as a line: what its oldest task shows, and the figures."""

    key: str
    number: int
    sample: TaskLine
    time_left: TimeLeft
    overdue: int
    oldest: str
    since: datetime

    @property
    def mark(self) -> str:
        """Changes whenever the line reads differently for another reason than the passing of time."""
        return _hashed((self.number, self.sample.task_id, self.time_left.due_by, self.overdue, self.since))


@dataclass(frozen=True)
class Alike:
    """A task of an open group, with the values in which it stands out."""

    line: TaskLine
    differs: list[Difference]

    @property
    def mark(self) -> str:
        """As the line's own, and by what it stands out: that changes with the others, too."""
        unlike = [(one.name, one.value) for one in self.differs]
        return f"{self.line.mark}.{_hashed(unlike)[:8]}" if unlike else self.line.mark


def order_of(request: HttpRequest) -> str:
    order = request.GET.get("order", "")
    return order if order in ORDERS else "size"


def groups_page(request: HttpRequest) -> HttpResponse:
    found = groups.groups_in_sight(actor_of(request), clock.now(), order=order_of(request))
    context = {
        **page_context(request),
        **groups_context(request, found, tag=groups_fingerprint(found)),
        "title": _("Similar tasks"),
        "can_take": bool(counts_of(request)["unassigned"]),
    }
    return TemplateResponse(request, "console/groups.html", context)


def groups_fingerprint(found: Sequence[Group], counts: Mapping[str, int] | None = None) -> str:
    """Equal for as long as the list of groups reads the same."""
    return _hashed((found, sorted((counts or {}).items())))


def groups_context(request: HttpRequest, found: Sequence[Group], *, tag: str) -> dict[str, Any]:
    """The part of the page that changes by itself."""
    actor, now, order = actor_of(request), clock.now(), order_of(request)
    samples = {
        line.task_id: line
        for line in lines_of(HumanTask.objects.open().filter(pk__in=[group.sample for group in found]), actor, now)
    }
    lines = [
        GroupLine(
            key=group.key,
            number=group.number,
            sample=samples[group.sample],
            time_left=time_left(group.due_by, now),
            overdue=group.overdue,
            oldest=span(now - group.oldest, coarse=True),
            since=group.oldest,
        )
        for group in found
        if group.sample in samples
    ]
    return {
        "tab": "similar",
        "tabs": tabs_of(Asked(), counts_of(request)),
        "groups": lines,
        "in_groups": sum(line.number for line in lines),
        "orders": [(name, label, name == order) for name, label in ORDERS.items()],
        "live_query": f"order={order}",
        "tag": tag,
        "now": now,
    }


def group_page(request: HttpRequest, key: str) -> HttpResponse:
    """One group. A key of which the reader sees no open task answers like one that never was."""
    context = group_context(request, key)
    if context is None:
        gone = {**page_context(request), "title": _("Similar tasks"), "is_group": True}
        return TemplateResponse(request, "console/gone.html", gone, status=404)
    return TemplateResponse(request, "console/group.html", {**page_context(request), **context})


def group_fingerprint(actor: Actor, key: str) -> str | None:
    """Equal for as long as the group reads the same; None where the reader sees nothing of it."""
    tasks = groups.tasks_alike(actor, key[:KEY_LENGTH])
    rows = list(tasks.values_list("pk", "version", "occurrences")[:SHOWN])
    return _hashed((rows, beyond(tasks) if len(rows) == SHOWN else 0)) if rows else None


def beyond(tasks: TaskQuerySet) -> int:
    """How many tasks of a group follow those that its page shows."""
    return max(0, tasks.count() - SHOWN)


def group_context(request: HttpRequest, key: str) -> dict[str, Any] | None:
    """What the page of one group shows; None where the reader sees nothing of it."""
    actor, now = actor_of(request), clock.now()
    tasks = groups.tasks_alike(actor, key[:KEY_LENGTH])
    lines = lines_of(tasks[:SHOWN], actor, now)
    if not lines:
        return None
    following = beyond(tasks) if len(lines) == SHOWN else 0
    seen = [(line.task_id, line.version, line.occurrences) for line in lines]
    unlike = _differences(tasks[:SHOWN])
    # What differs comes first: it is what one has to look at.
    alike = sorted((Alike(line, unlike.get(line.task_id, [])) for line in lines), key=lambda one: not one.differs)
    back = request.GET.get("back", "")[:1_000]
    return {
        "title": _("Similar tasks"),
        "key": key[:KEY_LENGTH],
        "sample": lines[0],
        "alike": alike,
        "total": len(lines) + following,
        "shown": len(lines),
        "following": following,
        "differing": sum(bool(one.differs) for one in alike),
        "oldest": span(now - lines[0].created_at, coarse=True),
        "decisions": _decisions(tasks),
        "bulk_verbs": [verb for verb in offered_in_bulk(actor) if verb is not BULK["decide"]],
        "selectable": True,
        "back": back,
        "back_url": back_to_queue(back),
        "view_query": "",
        "tag": _hashed((seen, following)),
        "now": now,
    }


def _hashed(told: object) -> str:
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


def _decisions(tasks: TaskQuerySet) -> list[Verb]:
    """The decisions that the group's type allows: one type, since it is part of the key."""
    kind = TaskType.objects.filter(pk__in=tasks.values("task_type")[:1]).first()
    allowed = DECISIONS & set(kind.allowed_resolutions) if kind else set()
    return [VERBS[name] for name in BULK["decide"].verbs if VERBS[name].resolution in allowed]


def _differences(tasks: TaskQuerySet) -> dict[str, list[Difference]]:
    """What stands out, by task: in the context, in the words of the error, in priority."""
    small = When(length__lte=MAX_CONTEXT, then=F("context_data"))
    rows = tasks.annotate(length=Length(Cast("context_data", TextField())), error=Left("error_detail", 2_000)).annotate(
        context=Case(small, default=Value({}, JSONField()), output_field=JSONField())
    )
    found = list(rows.values_list("pk", "error", "context"))
    values = [{**dict(leaves_of(context)), **dict(words_of(error))} for _pk, error, context in found]
    named = {"#": _("error")}
    return {
        row[0]: [Difference(named.get(one.name[:1], one.name), one.value) for one in unlike]
        for row, unlike in zip(found, differences(values), strict=True)
    }
