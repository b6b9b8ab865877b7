"""A month of a calendar as people read it: a cell for each day with its hours, holidays and changes of the clocks."""

import calendar as weeks
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils import dateformat
from django.utils.translation import gettext as _

from tasks_app.sla.calendars import Calendar
from tasks_app.sla.explain import duration


@dataclass(frozen=True)
class Day:
    """One cell. `note` names a holiday, an own date or a change of the clocks; `total` is what the day counts."""

    number: int
    is_in_month: bool
    hours: list[str]
    note: str
    tone: str
    total: str


@dataclass(frozen=True)
class Month:
    title: str
    names: list[str]
    weeks: list[list[Day]]
    total: str
    previous: str
    next: str


def month_of(calendar: Calendar, first: date) -> Month:
    """The month that begins on `first`. What a day counts is elapsed time of the shifts that begin on it.

    Where a night shift runs into the next morning's hours, that time counts once, on the day on which it began.
    """
    zone = ZoneInfo(calendar.zone)
    rows = [
        [_day(calendar, zone, day, is_in_month=day.month == first.month) for day in week]
        for week in weeks.Calendar().monthdatescalendar(first.year, first.month)
    ]
    following = (first + timedelta(days=32)).replace(day=1)
    counted = sum((_counted(calendar, first + timedelta(days=n)) for n in range((following - first).days)), timedelta())
    return Month(
        title=dateformat.format(first, "F Y"),
        names=[dateformat.format(date(2024, 1, 1) + timedelta(days=n), "D") for n in range(7)],  # a Monday
        weeks=rows,
        total=duration(counted),
        previous=f"{first - timedelta(days=1):%Y-%m}",
        next=f"{following:%Y-%m}",
    )


def _counted(calendar: Calendar, day: date) -> timedelta:
    return sum((end - start for start, end in calendar.shifts_of(day)), timedelta())


def _day(calendar: Calendar, zone: ZoneInfo, day: date, *, is_in_month: bool) -> Day:
    holiday, own = calendar.holiday(day), day in calendar.own_dates
    notes = [_("own hours") if own else "", holiday, _change_of_clocks(day, zone)]
    counted = _counted(calendar, day)
    tone = "own" if own else "holiday" if holiday else "open" if counted else "closed"
    return Day(
        number=day.day,
        is_in_month=is_in_month,
        hours=[str(hours).replace("-", "–") for hours in calendar.hours_on(day)],
        note=" · ".join(filter(None, notes)),
        tone=tone,
        total=duration(counted) if counted else "",
    )


def _change_of_clocks(day: date, zone: ZoneInfo) -> str:
    before, after = (
        datetime.combine(moment, time(), zone).astimezone(UTC).astimezone(zone).utcoffset()
        for moment in (day, day + timedelta(days=1))
    )
    if before == after or before is None or after is None:
        return ""
    return _("clocks go forward") if after > before else _("clocks go back")


def first_of(text: str, fallback: date) -> date:
    """`2026-03` as the first of that month; anything else, or what no calendar reaches, is the fallback's month."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        return fallback.replace(day=1)
    return first if 1970 <= first.year <= 2100 else fallback.replace(day=1)
