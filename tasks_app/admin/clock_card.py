"""The explained clock as a card on the task page: what is promised, what of it is used, and how that was counted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.utils import dateformat, timezone
from django.utils.translation import gettext as _

from tasks_app.admin.texts import span
from tasks_app.models import HumanTask
from tasks_app.sla.calendars import Span
from tasks_app.sla.explain import ClockShown, duration, explain

# Of a long story the latest lines are shown.
LINES: Final = 14


@dataclass(frozen=True)
class Bar:
    """One clock: `percent` of its time is used, 100 at most; `tone` late, soon, calm or done."""

    label: str
    used: str
    target: str
    percent: int
    tone: str
    deadline: datetime
    verdict: str


@dataclass(frozen=True)
class Stretch:
    """A stretch of time in words, that counted or was on hold."""

    when: str
    length: str
    is_hold: bool


@dataclass(frozen=True)
class Next:
    at: datetime
    when: str
    text: str


@dataclass(frozen=True)
class ClockCard:
    basis: list[str]
    bars: list[Bar]
    stretches: list[Stretch]
    omitted: int
    counted_label: str
    next: list[Next]
    held_until: datetime | None
    held_reason: str
    zone: str


def clock_card(task: HumanTask, now: datetime) -> ClockCard:
    """Everything in the zone of the calendar; round the clock in the reader's."""
    shown = explain(task, now, reader=_reader())
    zone = ZoneInfo(shown.time_zone)
    main = max(shown.clocks, key=lambda clock: (clock.counted_in_all, clock.used), default=None)
    counted = [] if main is None else [(start, end, False) for start, end in main.counted]
    held = [(start, min(end, task.completed_at or now), True) for start, end in shown.held if start < now]
    lines = [_stretch((start, end), zone, is_hold) for start, end, is_hold in sorted([*counted, *held])]
    in_all = (0 if main is None else main.counted_in_all) + len(held)
    return ClockCard(
        basis=list(shown.basis),
        bars=[_bar(clock, now) for clock in shown.clocks],
        stretches=lines[-LINES:],
        omitted=max(0, in_all - LINES),
        counted_label="" if main is None else main.label,
        next=[Next(at, _local(at, zone), text) for at, text in shown.steps[:4]],
        held_until=task.follow_up_at,
        held_reason=task.held_reason,
        zone=shown.time_zone,
    )


def _reader() -> ZoneInfo:
    return ZoneInfo(timezone.get_current_timezone_name())


def _bar(clock: ClockShown, now: datetime) -> Bar:
    used, target = clock.used, clock.target
    percent = 100 if used >= target else int(100 * (used / target))
    left = target - used
    if clock.is_met is not None:
        tone, verdict = "done" if clock.is_met else "late", _("kept") if clock.is_met else _("missed")
    elif clock.deadline <= now:
        tone, verdict = "late", _("overdue by %(span)s") % {"span": span(now - clock.deadline)}
    else:
        tone = "soon" if left <= target / 4 else "calm"
        verdict = _("%(time)s left") % {"time": duration(left)}
    return Bar(clock.label, duration(used), duration(target), percent, tone, clock.deadline, verdict)


def _stretch(stretch: Span, zone: ZoneInfo, is_hold: bool) -> Stretch:
    start, end = (moment.astimezone(zone) for moment in stretch)
    same_day = start.date() == end.date()
    when = _("%(start)s to %(end)s") % {
        "start": _day_and_time(start),
        "end": f"{end:%H:%M}" if same_day else _day_and_time(end),
    }
    # Of two moments on either side of a change of the clocks, the difference of what they show is not what passed.
    return Stretch(when, duration(stretch[1] - stretch[0] + timedelta(seconds=30)), is_hold)


def _local(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return f"{_day_and_time(local)} {local.tzname()}"


def _day_and_time(moment: datetime) -> str:
    """Weekday and month in the reader's language; the moment is in its zone already."""
    return dateformat.format(moment, "D d M H:i")
