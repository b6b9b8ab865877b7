"""How the team does, for the home page: what is open now, and the last 24 hours from the hours' sums.

Past figures are kept by type and not by principal or team. So they are shown for the types of which the reader sees
every task, and for no other: nobody learns the numbers of work that is not theirs to see.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import Count, F, Min, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks_app import selectors
from tasks_app.actors import Actor
from tasks_app.admin.texts import span
from tasks_app.links import queue_url
from tasks_app.metrics import Times
from tasks_app.models import HourSummary, HumanTask, TaskType, TeamMembership
from tasks_app.permissions import EVERYTHING, led_by
from tasks_app.states import Priority

HOURS: Final = 24
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
    kind, urgency = Coalesce("task_type_id", Value("")), F("priority") + 0
    rows = selectors.open_tasks(actor).order_by().values_list(kind, urgency).annotate(n=Count("pk"))
    counted: dict[str, Counter[int]] = {}
    for task_type, priority, number in rows:
        counted.setdefault(task_type, Counter())[priority] = number
    labels = dict(TaskType.objects.filter(pk__in=list(counted)).values_list("slug", "label"))
    found = [
        OpenRow(
            label=labels.get(slug, slug),
            cells=[
                Cell(numbers[priority], queue_url(tab="all", type=slug, priority=str(priority.value)))
                for priority in PRIORITIES
            ],
            total=Cell(sum(numbers.values()), queue_url(tab="all", type=slug)),
        )
        for slug, numbers in counted.items()
    ]
    return sorted(found, key=lambda row: -row.total.number)


def last_day(actor: Actor, now: datetime) -> tuple[Day, dict[str, int]] | None:
    """The last 24 hours, and how many tasks each person decided; None for those who see no type whole."""
    grants = actor.grants
    whole = EVERYTHING if grants.sees_everything else Q(task_type__in=sorted(grants.types_for_all))
    if not (grants.sees_everything or grants.types_for_all):
        return None
    first = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    rows = list(HourSummary.objects.filter(whole, hour__gte=first, what__in=("created", "ended", "decided")))
    ended, decided = ([row for row in rows if row.what == what] for what in ("ended", "decided"))
    times = _times(decided)
    median, number = times.percentile(0.5), sum(row.number for row in decided)
    missed = sum(row.missed for row in decided)
    bars, top = _bars(first, rows)
    created = sum(row.number for row in rows if row.what == "created")
    day = Day(
        median="–" if median is None else span(timedelta(seconds=median)),
        breach_rate="–" if not number else f"{round(100 * missed / number)} %",
        breached=missed,
        decided=number,
        bars=bars,
        marks=[bars[place].hour for place in (0, 6, 12, 18, HOURS - 1)],
        top=top,
        told=_told(bars, created, sum(row.number for row in ended)),
        is_partial=bool(grants.types_for_some) and not grants.sees_everything,
    )
    led = None if grants.manages_everything or grants.sees_everything else grants.led_types_for_all
    people: Counter[str] = Counter()
    for row in decided:
        if led is None or row.task_type in led:
            people[row.person] += row.number
    return day, dict(people)


def _times(rows: Iterable[HourSummary]) -> Times:
    timed = [row for row in rows if row.buckets]
    buckets = [sum(numbers) for numbers in zip(*(row.buckets for row in timed), strict=True)]
    return Times(sum(row.number for row in timed), sum(row.seconds for row in timed), buckets)


def _bars(first: datetime, rows: Sequence[HourSummary]) -> tuple[list[Bar], int]:
    counted: Counter[tuple[datetime, str]] = Counter()
    for row in rows:
        counted[row.hour, row.what] += row.number
    hours = [first + timedelta(hours=n) for n in range(HOURS)]
    top = max([1, *(counted[hour, what] for hour in hours for what in ("created", "ended"))])
    return [
        Bar(
            hour=f"{timezone.localtime(hour):%H:%M}",
            created=counted[hour, "created"],
            resolved=counted[hour, "ended"],
            created_height=round(100 * counted[hour, "created"] / top, 1),
            resolved_height=round(100 * counted[hour, "ended"] / top, 1),
            x=30 * place,
        )
        for place, hour in enumerate(hours)
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


def by_person(actor: Actor, now: datetime, decided: dict[str, int]) -> list[PersonRow] | None:
    """Who holds how much of what the reader leads, the most pressed first; None for those who lead nothing.

    The people of the reader's own teams are named also where they hold nothing: that is who has time.
    """
    grants = actor.grants
    if not (grants.led or grants.sees_everything):
        return None
    mine = EVERYTHING if grants.sees_everything else led_by(actor)
    rows: dict[str, Any] = {
        row["assigned_to__username"]: row
        for row in HumanTask.objects.open()
        .filter(mine, assigned_to__isnull=False)
        .order_by()
        .values("assigned_to__username")
        .annotate(held=Count("pk"), since=Min("assigned_at"), overdue=Count("pk", filter=Q(due_by__lt=now)))
    }
    teams = Q() if grants.sees_everything else Q(team__in=sorted(grants.led))
    members = TeamMembership.objects.filter(teams, team__is_active=True, user__is_active=True)
    names = dict.fromkeys([*rows, *members.values_list("user__username", flat=True).order_by("user__username")[:200]])
    found = [_person(name, rows.get(name, {}), now, decided) for name in names]
    return sorted(found, key=lambda row: (-row.overdue, -row.held, row.name))[:MOST_PEOPLE]


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


def decided_in_words(day: Day) -> str:
    return ngettext("%(n)d decision in 24 hours", "%(n)d decisions in 24 hours", day.decided) % {"n": day.decided}
