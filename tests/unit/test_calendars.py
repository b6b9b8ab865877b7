"""Business time against a counter of minutes, which knows only a zone's clock, and the worked examples of docs/sla.md.

The default run draws 100 cases for each of three properties; nightly runs set `HITL_TEST_CASES`
to 3400 (10,200 in all).
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import accumulate
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks_app.sla import calendars
from tasks_app.sla.calendars import ROUND_THE_CLOCK, WEEKDAYS, Calendar, CalendarError, Hours, NeverReached
from tests.profile import scaled

CASES = scaled("CASES", 100, 2000)
MINUTE = timedelta(minutes=1)
cases = settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Moments at which clocks do something: changes of both hemispheres, of half an hour, at midnight, a zone that moved
# over the date line, one that changed its offset for good, a leap day, a leap day's absence, the turn of a year.
TURNS = {
    "Europe/Berlin": ["2026-03-29T01:00", "2026-10-25T01:00", "2024-02-29T12:00"],
    "America/New_York": ["2026-03-08T07:00", "2026-11-01T06:00", "2025-12-31T23:00"],
    "Australia/Lord_Howe": ["2026-04-04T15:00", "2026-10-03T15:30"],
    "Asia/Beirut": ["2024-03-30T22:00", "2024-10-26T21:00"],
    "Pacific/Apia": ["2011-12-30T10:00"],
    "Europe/Volgograd": ["2020-12-26T23:00"],
    "Africa/Casablanca": ["2026-02-15T02:00", "2026-03-22T02:00"],
    "UTC": ["2023-02-28T23:00", "2100-02-28T23:00"],
}

clock_times = st.integers(0, 24 * 12 - 1).map(lambda fives: f"{fives // 12:02}:{fives % 12 * 5:02}")
day_hours = (
    st.lists(clock_times, unique=True, max_size=6)
    .map(sorted)
    .map(lambda times: list(zip(times[::2], times[1::2], strict=False)))
)
nights = st.tuples(clock_times, clock_times).filter(lambda pair: pair[0] > pair[1]).map(lambda pair: [pair])


@st.composite
def situations(draw: st.DrawFn) -> tuple[Calendar, datetime, datetime]:
    """A calendar and two moments near a turn of its zone's clock, some of them in the wrong order."""
    zone = draw(st.sampled_from(sorted(TURNS)))
    turn = datetime.fromisoformat(draw(st.sampled_from(TURNS[zone]))).replace(tzinfo=UTC)
    week = {day: draw(st.one_of(day_hours, nights)) for day in WEEKDAYS}
    closed = {
        (turn + timedelta(days=n)).date().isoformat(): draw(day_hours)
        for n in draw(st.sets(st.integers(-2, 2), max_size=2))
    }
    country = draw(st.sampled_from(["", "", "DE", "US"]))
    start = turn + draw(st.integers(-40 * 60, 20 * 60)) * MINUTE
    return (
        Calendar.of(zone, week, country=country, own_dates=closed),
        start,
        start + draw(st.integers(-60, 36 * 60)) * MINUTE,
    )


@cache
def clock_of(zone: str, moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def counted(calendar: Calendar, start: datetime, end: datetime) -> Iterator[datetime]:
    """The minutes of business time, each found by looking at the zone's clock from days before, minute by minute."""
    moments = [start + n * MINUTE for n in range(-72 * 60, (end - start) // MINUTE)]
    # What the clock has shown at most: turned back, it shows nothing for the first time.
    shown = list(accumulate((clock_of(calendar.zone, moment) for moment in moments), max))
    turns = [0] * (len(moments) + 1)
    for number in range((shown[-1].date() - shown[0].date()).days + 2):
        day = shown[0].date() + timedelta(days=number - 1)
        for hours in calendar.hours_on(day):
            midnight = datetime.combine(day, time())
            turns[bisect_left(shown, midnight + hours.start * MINUTE)] += 1
            turns[bisect_left(shown, midnight + hours.end * MINUTE)] -= 1
    for moment, working in zip(moments, accumulate(turns), strict=False):
        if working and moment >= start:
            yield moment


@given(situations())
@cases
def test_it_counts_what_a_minute_counter_counts(situation: tuple[Calendar, datetime, datetime]) -> None:
    calendar, start, end = situation
    minutes = list(counted(calendar, start, end))
    assert calendar.business_time_between(start, end) == len(minutes) * MINUTE
    assert [
        m for a, b in calendar.intervals(start, end) for m in (a + n * MINUTE for n in range((b - a) // MINUTE))
    ] == minutes


@given(situations(), st.integers(1, 16 * 60))
@cases
def test_it_adds_what_it_counts(situation: tuple[Calendar, datetime, datetime], minutes: int) -> None:
    calendar, start, _end = situation
    try:
        reached = calendar.add_business_time(start, minutes * MINUTE)
    except NeverReached:
        assert not any(calendar.week)
        return
    assert calendar.business_time_between(start, reached) == minutes * MINUTE
    assert calendar.business_time_between(start, reached - timedelta(seconds=1)) < minutes * MINUTE
    if reached - start < timedelta(days=2):
        assert [*counted(calendar, start, reached)][-1] == reached - MINUTE


@given(situations(), st.integers(0, 48 * 60), st.integers(0, 600), st.integers(0, 600))
@cases
def test_it_leaves_out_the_time_that_a_clock_stood_still(
    situation: tuple[Calendar, datetime, datetime], first: int, length: int, gap: int
) -> None:
    calendar, start, end = situation
    one = (start + first * MINUTE, start + (first + length) * MINUTE)
    two = (one[1] + (gap + 1) * MINUTE, one[1] + (gap + 1 + length) * MINUTE)
    left = list(calendars.without(calendar.intervals(start, end), [one, two]))
    expected = [m for m in counted(calendar, start, end) if not (one[0] <= m < one[1] or two[0] <= m < two[1])]
    assert [m for a, b in left for m in (a + n * MINUTE for n in range((b - a) // MINUTE))] == expected


def test_it_catches_a_calendar_that_counts_wall_clock_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter is no rubber stamp: arithmetic on local times, the usual mistake, is found at once."""
    night = Calendar.of("Europe/Berlin", {"sat": [["22:00", "06:00"]]})
    start, end = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert night.business_time_between(start, end) == len([*counted(night, start, end)]) * MINUTE == timedelta(hours=7)

    def naive(self: Calendar, day: date) -> tuple[calendars.Span, ...]:
        midnight = datetime.combine(day, time(), ZoneInfo(self.zone)).astimezone(UTC)
        return tuple((midnight + h.start * MINUTE, midnight + h.end * MINUTE) for h in self.hours_on(day))

    monkeypatch.setattr(Calendar, "_spans_of", naive)
    assert night.business_time_between(start, end) != timedelta(hours=7)


@pytest.mark.parametrize("pair", [("00:00", "24:00"), ("22:00", "06:00"), ("18:30", "24:00"), ("09:05", "17:00")])
def test_it_writes_hours_as_they_were_given(pair: tuple[str, str]) -> None:
    assert str(Hours.parse(*pair)) == "-".join(pair)


def test_it_is_elapsed_time_round_the_clock() -> None:
    start = datetime(2026, 3, 28, 23, 17, 5, tzinfo=UTC)
    assert ROUND_THE_CLOCK.add_business_time(start, timedelta(hours=4)) == start + timedelta(hours=4)
    everywhere = Calendar.of("Europe/Berlin", {day: [["00:00", "24:00"]] for day in WEEKDAYS})
    assert everywhere.is_always
    assert everywhere.business_time_between(start, start + timedelta(days=2)) == timedelta(days=2)


def test_it_ends_in_the_evening_and_not_next_morning() -> None:
    office = Calendar.of("UTC", {day: [["09:00", "17:00"]] for day in WEEKDAYS})
    morning = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert office.add_business_time(morning, timedelta(hours=8)) == morning + timedelta(hours=8)
    assert office.add_business_time(morning, timedelta()) == morning


def test_it_says_that_a_calendar_never_opens() -> None:
    with pytest.raises(NeverReached):
        Calendar.of("UTC", {}).add_business_time(datetime(2026, 1, 1, tzinfo=UTC), MINUTE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("Europe/Berlim", {}), "not a time zone"),
        (("UTC", {"monday": []}), "mon, tue"),
        (("UTC", {"mon": [["9:00", "17:00"]]}), "09:30"),
        (("UTC", {"mon": [["09:00", "09:00"]]}), "00:00 to 24:00"),
        (("UTC", {"mon": [["24:00", "06:00"]]}), "next day"),
        (("UTC", {"mon": [["09:00", "13:00"], ["12:00", "17:00"]]}), "overlap"),
        (("UTC", {"mon": ["09:00", "17:00"]}), "pairs"),
    ],
)
def test_it_refuses_hours_that_it_cannot_read(arguments: tuple[str, dict[str, list[list[str]]]], says: str) -> None:
    with pytest.raises(CalendarError, match=says):
        Calendar.of(*arguments)


@pytest.mark.parametrize("day", ["2026-02-29", "20261224", "2026-W52-4", "24.12.2026"])
def test_it_refuses_a_date_that_is_none_or_is_written_in_another_way(day: str) -> None:
    """Two ways to write one day would be two rules for it."""
    with pytest.raises(CalendarError, match="is not a date"):
        Calendar.of("UTC", {}, own_dates={day: []})


@pytest.mark.parametrize("place", [{"country": "XX"}, {"country": "DE", "subdivision": "XX"}, {"subdivision": "BY"}])
def test_it_refuses_a_country_without_holidays(place: dict[str, str]) -> None:
    with pytest.raises(CalendarError):
        Calendar.of("UTC", {}, country=place.get("country", ""), subdivision=place.get("subdivision", ""))


def test_it_knows_a_regions_holidays_and_lets_own_dates_win() -> None:
    week = {day: [["09:00", "17:00"]] for day in WEEKDAYS}
    epiphany = date(2026, 1, 6)
    assert Calendar.of("Europe/Berlin", week, country="DE", subdivision="BY").hours_on(epiphany) == ()
    assert Calendar.of("Europe/Berlin", week, country="DE", subdivision="BE").hours_on(epiphany) == (Hours(540, 1020),)
    open_anyway = {"2026-01-06": [["10:00", "12:00"]]}
    bavaria = Calendar.of("Europe/Berlin", week, country="DE", subdivision="BY", own_dates=open_anyway)
    assert bavaria.hours_on(epiphany) == (Hours(600, 720),)
    assert bavaria.holiday(epiphany)


# -- the examples that people read -------------------------------------------------------------------------------------

DOCS = Path(__file__).parents[2] / "docs" / "sla.md"
EXAMPLE = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<calendar>[^|]+) \| (?P<begins>[^|]+) \| (?P<target>[^|]+) \| (?P<due>[^|]+) \|", re.M
)
OFFICE = [["09:00", "12:30"], ["13:30", "18:00"]]
NAMED = {
    "office": Calendar.of("Europe/Berlin", dict.fromkeys(WEEKDAYS[:5], OFFICE), country="DE", subdivision="BE"),
    "night desk": Calendar.of("Europe/Berlin", {day: [["22:00", "06:00"]] for day in WEEKDAYS}),
    "New York": Calendar.of("America/New_York", {day: [["09:00", "17:00"]] for day in WEEKDAYS[:5]}, country="US"),
    "round the clock": ROUND_THE_CLOCK,
}


def _moment(text: str, calendar: Calendar) -> datetime:
    """`Fri 2026-03-27 17:00`, in the calendar's zone; a second showing of an hour is marked `(again)`."""
    words = text.split()
    fold = words[-1] == "(again)"
    local = datetime.fromisoformat(" ".join(words[1:3]))
    assert f"{local:%a}" == words[0], f"{text}: that is a {local:%a}"
    return local.replace(tzinfo=ZoneInfo(calendar.zone), fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    "row",
    [m.groupdict() for m in EXAMPLE.finditer(DOCS.read_text()) if m["calendar"] in NAMED],
    ids=lambda r: str(r["what"]),
)
def test_it_does_what_the_documentation_works_out(row: dict[str, str]) -> None:
    calendar = NAMED[row["calendar"]]
    target = sum(
        (
            int(number) * {"h": timedelta(hours=1), "min": MINUTE}[unit]
            for number, unit in re.findall(r"(\d+) (h|min)", row["target"])
        ),
        timedelta(),
    )
    assert calendar.add_business_time(_moment(row["begins"], calendar), target) == _moment(row["due"], calendar)


def test_it_finds_the_documentations_examples() -> None:
    assert len([m for m in EXAMPLE.finditer(DOCS.read_text()) if m["calendar"] in NAMED]) >= 10
