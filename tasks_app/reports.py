"""Reports: what happened in a period, by type, team, principal or adapter, from the quarters of tasks_app/summaries.py.

A quarter of an hour is the finest offset between time zones, so that a day of any reader is a whole number of them. The
cost is that of the quarters in the period: no task is read, closed or open.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.utils import dateformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.cells import harmless
from tasks_app.actors import Actor
from tasks_app.models import Quarter
from tasks_app.permissions import EVERYTHING, NOTHING
from tasks_app.summaries import CAUSES, Durations

LONGEST: Final = timedelta(days=366)
PERIODS: Final = ("day", "week", "month", "custom")
DIMENSIONS: Final = {
    "task_type": gettext_lazy("Type"),
    "team": gettext_lazy("Team"),
    "principal": gettext_lazy("Principal"),
    "adapter_name": gettext_lazy("Adapter"),
}


def may_read(actor: Actor) -> bool:
    """Leads and auditors; administrators."""
    return actor.is_person and (bool(actor.grants.led) or actor.grants.sees_everything)


def in_sight(actor: Actor) -> Q:
    """The quarters of the tasks that the actor may see: the twin of `permissions.visible_to`."""
    grants = actor.grants
    if grants.sees_everything:
        return EVERYTHING
    if not grants.teams:
        return NOTHING
    seen = Q(team__in=sorted(grants.teams)) | Q(task_type__in=sorted(grants.types_for_all))
    for task_type, principal in sorted(grants.types_for_some):
        seen |= Q(task_type=task_type, principal=principal)
    return seen


@dataclass(frozen=True)
class Period:
    """From the midnight before `first` to the one after `last`, in the reader's zone."""

    kind: str
    first: date
    last: date
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        return datetime.combine(self.first, time(), self.zone)

    @property
    def end(self) -> datetime:
        return datetime.combine(self.last + timedelta(days=1), time(), self.zone)

    @property
    def title(self) -> str:
        if self.first == self.last:
            return dateformat.format(self.first, "D d F Y")
        if self.kind == "month":
            return dateformat.format(self.first, "F Y")
        return f"{dateformat.format(self.first, 'd M Y')} – {dateformat.format(self.last, 'd M Y')}"

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    def beside(self, direction: int) -> date:
        """A day in the period before (-1) or after (1)."""
        return self.first - timedelta(days=1) if direction < 0 else self.last + timedelta(days=1)


def period_of(kind: str, day: date, zone: ZoneInfo, *, last: date | None = None) -> Period:
    """The day, week (from Monday), month that `day` is in; or from `day` to `last`, a year at most."""
    if kind == "week":
        first = day - timedelta(days=day.weekday())
        return Period(kind, first, first + timedelta(days=6), zone)
    if kind == "month":
        first = day.replace(day=1)
        return Period(kind, first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1), zone)
    if kind == "custom":
        end = max(day, last or day)
        return Period(kind, day, min(end, day + LONGEST - timedelta(days=1)), zone)
    return Period("day", day, day, zone)


@dataclass
class Figures:
    """What happened to the tasks of one group. `times` by the clock: assigned, worked, ended."""

    created: int = 0
    ended: int = 0
    missed: int = 0
    escalated: int = 0
    causes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    times: dict[str, Durations] = field(default_factory=dict)

    @property
    def missed_share(self) -> float | None:
        return self.missed / self.ended if self.ended else None


@dataclass(frozen=True)
class Report:
    period: Period
    by: str
    total: Figures
    groups: dict[str, Figures]
    days: list[tuple[date, Figures]]


def report(actor: Actor, period: Period, by: str) -> Report:
    """The period's figures of the tasks in the actor's sight. One query, so that groups, days and total agree."""
    rows = Quarter.objects.filter(in_sight(actor), at__gte=period.start, at__lt=period.end)
    total, groups = Figures(), defaultdict[str, Figures](Figures)
    days: dict[date, Figures] = {day: Figures() for day in period.days}
    day_of = cache(lambda at: at.astimezone(period.zone).date())
    columns = ("at", "what", by, "number", "missed", "seconds", "buckets")
    for at, what, group, number, missed, seconds, buckets in rows.values_list(*columns).iterator(2_000):
        for figures in (total, groups[group], days[day_of(at)]):
            _add(figures, what, number, missed)
            if buckets:
                figures.times.setdefault(what, Durations()).add(seconds, buckets)
    return Report(period, by, total, dict(sorted(groups.items(), key=lambda pair: -pair[1].ended)), list(days.items()))


def _add(figures: Figures, what: str, number: int, missed: int) -> None:
    if what == "created":
        figures.created += number
    elif what == "escalated":
        figures.escalated += number
    elif what == "ended":
        figures.ended += number
        figures.missed += missed
    elif what.startswith("late_"):
        figures.causes[what.removeprefix("late_")] += number


# -- as a table --------------------------------------------------------------------------------------------------------

COLUMNS: Final = (
    *("opened", "ended", "missed", "missed_share", "escalated"),
    *(f"missed_{cause}" for cause in CAUSES),
    *(f"{clock}_{stat}_s" for clock in ("to_assign", "to_work", "to_end") for stat in ("mean", "median", "p90")),
)
CLOCKS: Final = {"assigned": "to_assign", "worked": "to_work", "ended": "to_end"}


def table(found: Report) -> Iterator[list[str]]:
    """The report as rows of texts: a head, one for each group, the total, one for each day. Durations in seconds."""
    period = found.period
    yield ["from", "to", "time_zone", "by", "group", *COLUMNS]
    for name, figures in [*found.groups.items(), (_("total"), found.total)]:
        yield [f"{period.first}", f"{period.last}", period.zone.key, found.by, harmless(name), *_values(figures)]
    for day, figures in found.days:
        yield [f"{day}", f"{day}", period.zone.key, "day", f"{day}", *_values(figures)]


def _values(figures: Figures) -> list[str]:
    share = figures.missed_share
    counted = [figures.created, figures.ended, figures.missed, "" if share is None else round(share, 4)]
    counted += [figures.escalated, *figures.causes.values()]
    for what in CLOCKS:
        times = figures.times.get(what, Durations())
        counted += ["" if value is None else round(value) for value in told(times)]
    return [str(value) for value in counted]


def told(times: Durations) -> Iterable[float | None]:
    """Mean, median, and what nine of ten stayed under."""
    return times.mean, times.median, times.p90
