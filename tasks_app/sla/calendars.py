"""Business time: which moments count. Pure arithmetic; moments come and go aware and in UTC.

A calendar is a zone, weekly hours (several ranges a day leave breaks between them), a country's holidays and own dates.
Three rules make it right where clocks are not:

1. A shift begins at the first moment at which the zone's clock shows its start or later, and ends at the first at which
   it shows its end or later. So a night shift is an hour shorter in spring and an hour longer in autumn, as for the
   people who work it; a time that the clock skips is the moment of the jump, and one that it shows twice is the first.
2. A range whose end is not after its start runs past midnight and belongs to the day on which it begins. A holiday
   cancels the shifts that begin on it; the one that came over from the evening before is worked to its end.
3. Everything between is elapsed time, counted in UTC.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import holidays

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY: Final = 24 * 60
# Beyond it a calendar counts as one that never opens: no target is that long.
HORIZON: Final = timedelta(days=3660)

Span = tuple[datetime, datetime]


class CalendarError(ValueError):
    """The hours or dates of a calendar cannot be read; the message says what would be right, `field` where, and `day`
    of which day, if it is of one."""

    def __init__(self, reason: str, field: str = "weekly_hours", day: str = "") -> None:
        super().__init__(f"{day}: {reason}" if day else reason)
        self.reason, self.field, self.day = reason, field, day


class NeverReached(ValueError):
    """The calendar does not open for long enough within ten years."""


@dataclass(frozen=True, slots=True, order=True)
class Hours:
    """A range of one day in minutes after midnight; `end` beyond 1440 is on the next day."""

    start: int
    end: int

    @classmethod
    def parse(cls, start: str, end: str) -> "Hours":
        """`("22:00", "06:00")`; `24:00` is the end of the day. Raises CalendarError."""
        begins, ends = _minutes(start), _minutes(end)
        if begins == DAY:
            raise CalendarError(f"a range cannot start at {start}; give 00:00 of the next day")
        if begins == ends:
            raise CalendarError(f"{start} to {end} is empty; for a whole day give 00:00 to 24:00")
        return cls(begins, ends if ends > begins else ends + DAY)

    def __str__(self) -> str:
        ends = self.end if self.end == DAY else self.end % DAY
        return f"{self.start // 60:02}:{self.start % 60:02}-{ends // 60:02}:{ends % 60:02}"


def _minutes(text: str) -> int:
    try:
        if text == "24:00":
            return DAY
        moment = time.fromisoformat(text)
    except (TypeError, ValueError):
        raise CalendarError(f"'{text}' is not a time of day; give one like 09:30") from None
    if len(text) != 5:
        raise CalendarError(f"'{text}' is not a time of day; give hours and minutes, like 09:30")
    return moment.hour * 60 + moment.minute


@dataclass(frozen=True)
class Calendar:
    """When people work. `week` has a tuple of ranges for each day from Monday; `own_dates` replace a day altogether."""

    zone: str
    week: tuple[tuple[Hours, ...], ...]
    country: str = ""
    subdivision: str = ""
    own_dates: Mapping[date, tuple[Hours, ...]] = field(default_factory=dict)
    _days: dict[date, tuple[Span, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        zone: str,
        week: Mapping[str, Sequence[Sequence[str]]],
        *,
        country: str = "",
        subdivision: str = "",
        own_dates: Mapping[str, Sequence[Sequence[str]]] | None = None,
    ) -> "Calendar":
        """From plain values: `{"mon": [["09:00", "12:30"], ["13:30", "18:00"]], ...}`, own dates by ISO date.

        Raises CalendarError for what cannot be read: an unknown zone, day, country or region, or hours that overlap.
        """
        unknown = set(week) - set(WEEKDAYS)
        if unknown:
            raise CalendarError(f"'{min(unknown)}' is not a day; give {', '.join(WEEKDAYS)}")
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, KeyError):
            raise CalendarError(f"'{zone}' is not a time zone; give one like Europe/Berlin", "time_zone") from None
        _check_region(country, subdivision)
        return cls(
            zone,
            tuple(_ranges(week.get(day, ()), "weekly_hours", day) for day in WEEKDAYS),
            country,
            subdivision,
            {_day(text): _ranges(ranges, "own_dates", text) for text, ranges in (own_dates or {}).items()},
        )

    # -- questions

    def intervals(self, a: datetime, b: datetime) -> list[Span]:
        """The stretches of business time between two moments, in order; those that touch are joined."""
        joined: list[Span] = []
        for start, end in self.spans(a):
            if start >= b:
                break
            end = min(end, b)
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((start, end))
        return joined

    def business_time_between(self, a: datetime, b: datetime) -> timedelta:
        """How much business time lies between two moments; none if `b` is not after `a`."""
        return sum((end - start for start, end in self.intervals(a, b)), timedelta())

    def add_business_time(self, start: datetime, duration: timedelta) -> datetime:
        """The earliest moment by which `duration` of business time has passed since `start`.

        A duration that ends with the working day ends in the evening, not next morning. Raises NeverReached.
        """
        return reach(self.spans(start), start, duration)

    def is_open(self, moment: datetime) -> bool:
        return next(self.spans(moment), (None, None))[0] == moment

    # -- the days

    @cached_property
    def is_always(self) -> bool:
        """Round the clock: no hour of the week is left out and no date closes."""
        return not self.country and not self.own_dates and set(self.week) == {(Hours(0, DAY),)}

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @cached_property
    def _public(self) -> Any:
        if not self.country:
            return {}
        # Named in English where the library can, else in the country's own language.
        return holidays.country_holidays(self.country, subdiv=self.subdivision or None, language="en_US")

    def holiday(self, day: date) -> str:
        """The holiday's name, or empty."""
        return str(self._public.get(day) or "")

    def hours_on(self, day: date) -> tuple[Hours, ...]:
        """The ranges that begin on a local day."""
        own = self.own_dates.get(day)
        if own is not None:
            return own
        return () if day in self._public else self.week[day.weekday()]

    def shifts_of(self, day: date) -> tuple[Span, ...]:
        """The shifts that begin on a local day, as moments, without what those before still cover."""
        reached = max(
            (end for back in (1, 2) for _start, end in self._spans_of(day - timedelta(days=back))),
            default=datetime.min.replace(tzinfo=UTC),
        )
        return tuple((max(start, reached), end) for start, end in self._spans_of(day) if end > max(start, reached))

    def spans(self, since: datetime) -> Iterator[Span]:
        """Business time from a moment on, in order, without overlaps, for ten years."""
        if self.is_always:
            yield since, since + HORIZON
            return
        # Two days back: a night shift may still run, and a zone may have jumped across the date line.
        day = since.astimezone(self._zone).date() - timedelta(days=2)
        reached, last = since, (since + HORIZON).date()
        while day <= last:
            for start, end in self._spans_of(day):
                start = max(start, reached)
                if start < end:
                    yield start, end
                    reached = end
            day += timedelta(days=1)

    def _spans_of(self, day: date) -> tuple[Span, ...]:
        found = self._days.get(day)
        if found is None:
            midnight = datetime.combine(day, time())
            found = tuple(
                (
                    self._first(midnight + timedelta(minutes=hours.start)),
                    self._first(midnight + timedelta(minutes=hours.end)),
                )
                for hours in self.hours_on(day)
            )
            self._days[day] = found
        return found

    def _first(self, wall: datetime) -> datetime:
        """The first moment at which the zone's clock shows `wall` (naive) or later."""
        moment = wall.replace(tzinfo=self._zone).astimezone(UTC)
        if moment.astimezone(self._zone).replace(tzinfo=None) == wall:
            return moment
        # The clock skips it: find the jump between the two readings that Python offers, to the second.
        before = moment.astimezone(self._zone).replace(tzinfo=None) - wall
        low, high = moment - before - timedelta(days=1), moment
        while high - low > timedelta(seconds=1):
            middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
            if middle.astimezone(self._zone).replace(tzinfo=None) >= wall:
                high = middle
            else:
                low = middle
        return high


def _check_region(country: str, subdivision: str) -> None:
    if not country:
        if subdivision:
            raise CalendarError("a region needs its country", "subdivision")
        return
    known = country in holidays.list_supported_countries(include_aliases=True)
    try:
        if known:
            holidays.country_holidays(country, subdiv=subdivision or None)
            return
    except NotImplementedError:
        pass
    place, field = (f"{country}-{subdivision}", "subdivision") if known else (country, "country")
    raise CalendarError(f"there are no holidays for '{place}'; give a country like DE and a region like BY", field)


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except (TypeError, ValueError):
        found = None
    if found is None or f"{found}" != text:  # 20261224 would name the same day a second time
        raise CalendarError(f"'{text}' is not a date; give one like 2026-12-24", "own_dates")
    return found


def _ranges(ranges: Sequence[Sequence[str]], field: str, day: str) -> tuple[Hours, ...]:
    try:
        return _parsed(ranges)
    except CalendarError as error:
        raise CalendarError(error.reason, field, day) from None


def _parsed(ranges: Sequence[Sequence[str]]) -> tuple[Hours, ...]:
    if isinstance(ranges, str) or not all(not isinstance(pair, str) and len(pair) == 2 for pair in ranges):
        raise CalendarError('give the hours of a day as pairs of times, like [["09:00", "12:30"], ["13:30", "18:00"]]')
    found = sorted(Hours.parse(*pair) for pair in ranges)
    for first, second in pairwise(found):
        if second.start < first.end:
            raise CalendarError(f"the hours {first} and {second} overlap")
    return tuple(found)


ROUND_THE_CLOCK: Final = Calendar("UTC", ((Hours(0, DAY),),) * 7)


# -- clocks that stop --------------------------------------------------------------------------------------------------


def without(spans: Iterable[Span], stops: Sequence[Span]) -> Iterator[Span]:
    """`spans` less `stops`; both in order, neither overlapping itself."""
    for begins, ends in spans:
        start, end = begins, ends
        for stop_start, stop_end in stops:
            if stop_end <= start:
                continue
            if stop_start >= end:
                break
            if start < stop_start:
                yield start, stop_start
            start = stop_end
            if start >= end:
                break
        if start < end:
            yield start, end


def reach(spans: Iterable[Span], start: datetime, duration: timedelta) -> datetime:
    """The earliest moment by which `duration` of the spans has passed. Raises NeverReached."""
    if duration <= timedelta():
        return start
    left = duration
    for begins, ends in spans:
        if ends - begins >= left:
            return begins + left
        left -= ends - begins
    raise NeverReached(f"{left} are left after ten years")
