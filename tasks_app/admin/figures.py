"""How the team does, for the home page: what is open now, and the last 24 hours from the hours' sums.

Past figures are kept by type and not by principal or team. So they are shown for the types of which the reader sees
every task, and for no other: nobody learns the numbers of work that is not theirs to see.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import Count, F, Min, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core import clock
from tasks_app import counts, hours, selectors
from tasks_app.actors import Actor
from tasks_app.admin.texts import percent, span
from tasks_app.catalog_data import shown
from tasks_app.links import queue_url
from tasks_app.models import HourSummary, HumanTask, TaskType, TeamMembership, User
from tasks_app.models.task import NEVER
from tasks_app.permissions import EVERYTHING, led_by
from tasks_app.states import WAITING, Priority

HOURS: Final = 24
SHOWN: Final = ("created", "ended")
MOST_PEOPLE: Final = 50
PRIORITIES: Final = sorted(Priority, reverse=True)


@dataclass(frozen=True)
class Cell:
    """A number that leads to its tasks."""

    number: int
    url: str


@dataclass(frozen=True)
class OpenRow:
    """The open tasks of one type, by priority and in all."""

    label: str
    cells: list[Cell]
    total: Cell


@dataclass(frozen=True)
class Bar:
    """One hour of the chart. Heights are shares of the chart's, 0 to 100."""

    hour: str
    created: int
    resolved: int
    created_height: float
    resolved_height: float
    x: int


@dataclass(frozen=True)
class Day:
    """The last 24 hours. `told` is the chart in a sentence, for those who do not see it."""

    median: str
    breach_rate: str
    breached: int
    decided: int
    escalation_rate: str
    escalated: int
    created: int
    bars: list[Bar]
    marks: list[str]
    top: int
    told: str
    is_partial: bool


@dataclass(frozen=True)
class PersonRow:
    """What one person holds of the work that the reader leads."""

    name: str
    held: int
    oldest: str
    since: datetime | None
    overdue: int
    decided: int
    url: str


def open_by_type(actor: Actor) -> list[OpenRow]:
    """The open tasks in sight by type and priority: one pass over an index that holds all that is asked for.

    Grouped by values that no index is sorted by: else SQLite takes one that begins with the type, and reads the rows.
    """
    key = ("open by type", actor.user.pk, actor.grants)
    counted = counts.remembered(key, clock.now(), lambda: (_count_open(actor), NEVER))
    labels = dict(TaskType.objects.filter(pk__in=list(counted)).values_list("slug", "label"))
    found = [
        OpenRow(
            label=shown(labels.get(slug, slug)),
            cells=[
                Cell(numbers[priority], queue_url(tab="all", type=slug, priority=str(priority.value)))
                for priority in PRIORITIES
            ],
            total=Cell(sum(numbers.values()), queue_url(tab="all", type=slug)),
        )
        for slug, numbers in counted.items()
    ]
    return sorted(found, key=lambda row: -row.total.number)


def _count_open(actor: Actor) -> dict[str, Counter[int]]:
    kind, urgency = Coalesce("task_type_id", Value("")), F("priority") + 0
    rows = selectors.open_tasks(actor).order_by().values_list(kind, urgency).annotate(n=Count("pk"))
    counted: dict[str, Counter[int]] = {}
    for task_type, priority, number in rows:
        counted.setdefault(task_type, Counter())[priority] = number
    return counted


def last_day(actor: Actor, now: datetime) -> tuple[Day, dict[str, int]] | None:
    """The last 24 hours, and how many tasks each person decided; None for those who see no type whole."""
    grants = actor.grants
    whole = EVERYTHING if grants.sees_everything else Q(task_type__in=sorted(grants.types_for_all))
    if not (grants.sees_everything or grants.types_for_all):
        return None
    first = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    summed = hours.remembered(("day", first, whole), lambda: _sum_day(first, whole))
    bars, top = _bars(first, summed.by_hour)
    created, resolved = (sum(n for (_h, told), n in summed.by_hour.items() if told == what) for what in SHOWN)
    day = Day(
        median="–" if summed.median is None else span(timedelta(seconds=summed.median)),
        breach_rate=_share(summed.missed, summed.decided),
        breached=summed.missed,
        decided=summed.decided,
        escalation_rate=_share(summed.escalated, created),
        escalated=summed.escalated,
        created=created,
        bars=bars,
        marks=[bars[place].hour for place in (0, 6, 12, 18, HOURS - 1)],
        top=top,
        told=_told(bars, created, resolved),
        is_partial=bool(grants.types_for_some) and not grants.sees_everything,
    )
    led = None if grants.manages_everything or grants.sees_everything else grants.led_types_for_all
    people: Counter[str] = Counter()
    for (task_type, person), number in summed.by_person.items():
        if led is None or task_type in led:
            people[person] += number
    return day, dict(people)


def _share(part: int, whole: int) -> str:
    """More than all where what was escalated had been opened the day before."""
    return percent(part / whole if whole else None)


@dataclass(frozen=True)
class _DaySum:
    """The sums of 24 hours; `median` in seconds."""

    by_hour: Counter[tuple[datetime, str]]
    by_person: Counter[tuple[str, str]]
    escalated: int
    decided: int
    missed: int
    median: float | None


def _sum_day(first: datetime, whole: Q) -> _DaySum:
    past = HourSummary.objects.filter(whole, hour__gte=first)
    by_hour: Counter[tuple[datetime, str]] = Counter()
    for hour, what, number in past.filter(what__in=(*SHOWN, "escalated")).values_list("hour", "what", "number"):
        by_hour[hour, what] += number
    escalated = sum(number for (_hour, what), number in by_hour.items() if what == "escalated")
    decisions, missed = past.filter(what="decided"), 0
    by_person: Counter[tuple[str, str]] = Counter()
    for task_type, person, number, late in decisions.values_list("task_type", "person", "number", "missed"):
        by_person[task_type, person] += number
        missed += late
    times = hours.times_by(decisions, "what").get(("decided",))
    median = None if times is None else times.median
    return _DaySum(by_hour, by_person, escalated, by_person.total(), missed, median)


def _bars(first: datetime, counted: Counter[tuple[datetime, str]]) -> tuple[list[Bar], int]:
    moments = [first + timedelta(hours=n) for n in range(HOURS)]
    top = max([1, *(counted[hour, what] for hour in moments for what in SHOWN)])
    return [
        Bar(
            hour=f"{timezone.localtime(hour):%H:%M}",
            created=counted[hour, "created"],
            resolved=counted[hour, "ended"],
            created_height=round(100 * counted[hour, "created"] / top, 1),
            resolved_height=round(100 * counted[hour, "ended"] / top, 1),
            x=30 * place,
        )
        for place, hour in enumerate(moments)
    ], top


def _told(bars: Sequence[Bar], created: int, resolved: int) -> str:
    most = max(bars, key=lambda bar: bar.created)
    said = _("In the last 24 hours %(created)d tasks were opened and %(resolved)d resolved.") % {
        "created": created,
        "resolved": resolved,
    }
    if most.created:
        said += " " + _("Most were opened in the hour from %(hour)s: %(n)d.") % {"hour": most.hour, "n": most.created}
    return said


def oldest_waiting(actor: Actor, now: datetime) -> str:
    """For how long the oldest task in sight has waited for somebody; empty where none waits."""
    waiting = selectors.open_tasks(actor).filter(status__in=sorted(WAITING), assigned_to__isnull=True)
    key = ("oldest waiting", actor.user.pk, actor.grants)
    since = counts.remembered(key, now, lambda: (waiting.aggregate(since=Min("created_at"))["since"], NEVER))
    return "" if since is None else span(now - since, coarse=True)


def by_person(actor: Actor, now: datetime, decided: dict[str, int]) -> list[PersonRow] | None:
    """Who holds how much of what the reader leads, the most pressed first; None for those who lead nothing.

    The people of the reader's own teams are named also where they hold nothing: that is who has time.
    """
    grants = actor.grants
    if not (grants.led or grants.sees_everything):
        return None
    mine = EVERYTHING if grants.sees_everything else led_by(actor)
    held = counts.remembered(("by person", actor.user.pk, grants), now, lambda: _count_held(mine, now))
    usernames = dict(User.objects.filter(pk__in=list(held)).values_list("pk", "username"))
    rows = {usernames[pk]: row for pk, row in held.items()}
    teams = Q() if grants.sees_everything else Q(team__in=sorted(grants.led))
    members = TeamMembership.objects.filter(teams, team__is_active=True, user__is_active=True)
    names = dict.fromkeys([*rows, *members.values_list("user__username", flat=True).order_by("user__username")[:200]])
    found = [_person(name, rows.get(name, {}), now, decided) for name in names]
    return sorted(found, key=lambda row: (-row.overdue, -row.held, row.name))[:MOST_PEOPLE]


def _count_held(mine: Q, now: datetime) -> tuple[dict[int, dict[str, Any]], datetime]:
    """What each person holds, by the person's key; and until when that holds."""
    rows: Any = HumanTask.objects.open().filter(mine, assigned_to__isnull=False).order_by().values("assigned_to")
    rows = rows.annotate(
        held=Count("pk"),
        since=Min("assigned_at"),
        overdue=Count("pk", filter=Q(due_by__lt=now)),
        until=Min("due_by", filter=Q(due_by__gte=now)),
    )
    found = {row["assigned_to"]: row for row in rows}
    return found, min((row["until"] or NEVER for row in found.values()), default=NEVER)


def _person(name: str, row: dict[str, Any], now: datetime, decided: dict[str, int]) -> PersonRow:
    since = row.get("since")
    return PersonRow(
        name=name,
        held=row.get("held", 0),
        oldest="" if since is None else span(now - since, coarse=True),
        since=since,
        overdue=row.get("overdue", 0),
        decided=decided.get(name, 0),
        url=queue_url(tab="all", assignee=name),
    )


def escalated_in_words(day: Day) -> str:
    """`2 escalated, 40 opened`: a rate alone would not say of how many."""
    escalated = ngettext("%(n)d escalated", "%(n)d escalated", day.escalated) % {"n": day.escalated}
    opened = ngettext("%(n)d opened", "%(n)d opened", day.created) % {"n": day.created}
    return f"{escalated}, {opened}"


def decided_in_words(day: Day) -> str:
    return ngettext("%(n)d decision in 24 hours", "%(n)d decisions in 24 hours", day.decided) % {"n": day.decided}
