"""Messages to people, as content: what it is about, why now, how long is left, where to act. Pure: no database.

They hold no personal data: every text in them was masked when it was stored, and is cut here. How a letter looks is the
channel's matter (notifications/channels).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from notifications.models import FOR_PEOPLE
from tasks_app.states import FINISHED, EventType, Priority, Resolution

LONGEST_TEXT: Final = 300
LONGEST_SUBJECT: Final = 140
SOON: Final = timedelta(hours=1)
LINES: Final = 20
"""So many lines a digest has: in Slack each takes two of the fifty blocks of a message."""
ALERT_OPENED: Final = "alert.opened"
ALERT_OVER: Final = "alert.over"


@dataclass(frozen=True, slots=True)
class Line:
    """One task in a digest."""

    what: str
    why: str
    left: str
    url: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One message, ready to be laid out."""

    subject: str
    why: str
    facts: Sequence[tuple[str, str]] = ()
    text: str = ""
    """The adapter's error, or a comment: masked and cut."""
    left: str = ""
    tone: str = ""
    """late, soon or empty: how the time left is shown."""
    url: str = ""
    action: str = ""
    lines: Sequence[Line] = field(default=())
    more: str = ""
    thread: str = ""
    """What belongs together carries the same: a task's id."""


@dataclass(frozen=True, slots=True)
class About:
    """A task as a letter tells of it, and where its pages are."""

    task_id: str
    type: str
    question: str
    principal: str
    priority: Priority
    status: str
    resolution: str
    operation: str
    media_buy_id: str
    creative_id: str
    error: str
    due_by: datetime | None
    url: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a message goes out: the event, who did it, and the masked reason."""

    type: str
    who: str = ""
    reason: str = ""
    level: int = 0
    to_me: bool = False


def span(length: timedelta) -> str:
    """`45 min`, `2 h 10 min`, `3 d 4 h`."""
    minutes = max(1, int(abs(length).total_seconds() // 60))
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    parts = [(days, _("%(n)d d")), (hours, _("%(n)d h")), (0 if days else rest, _("%(n)d min"))]
    return " ".join(text % {"n": number} for number, text in parts if number)


def time_left(about: About, now: datetime, zone: str) -> tuple[str, str]:
    """How long is left as a sentence, and its tone."""
    if about.status in FINISHED:
        return _("It has ended: %(how)s.") % {"how": str(Resolution(about.resolution).label).lower()}, ""
    if about.due_by is None:
        return _("No deadline."), ""
    moment = at_place(about.due_by, zone)
    if about.due_by < now:
        return _("%(span)s late; it was due %(moment)s.") % {"span": span(now - about.due_by), "moment": moment}, "late"
    left = _("%(span)s left, until %(moment)s.") % {"span": span(about.due_by - now), "moment": moment}
    return left, "soon" if about.due_by - now < SOON else ""


def at_place(moment: datetime, zone: str) -> str:
    """`Wed 25 Nov 14:00 (Europe/Berlin)`: never a time without its place."""
    return f"{moment.astimezone(ZoneInfo(zone)):%a %d %b %H:%M} ({zone})"


def cut(text: str, length: int = LONGEST_TEXT) -> str:
    """The text on one paragraph, at most `length` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1].rstrip() + "…"


def why(cause: Cause) -> str:
    """Why now, in one sentence."""
    names = {"who": cause.who, "reason": cut(cause.reason), "n": cause.level}
    sentences = {
        EventType.CREATED: _("It was opened just now."),
        EventType.ASSIGNED: _("%(who)s assigned it to you.") if cause.to_me else _("%(who)s assigned it."),
        EventType.ROUTED: _("%(who)s sent it to your team.") if cause.who else _("It was sent to your team."),
        EventType.ESCALATED: _("It was escalated (level %(n)d): %(reason)s.")
        if cause.reason
        else _("It was escalated (level %(n)d)."),
        EventType.SLA_WARNED: _("A deadline comes near: %(reason)s."),
        EventType.CHANNEL_NOTIFIED: _("A step of its deadline policy: %(reason)s."),
        EventType.COMMENTED: _("%(who)s wrote a comment:"),
        EventType.WITHDRAWN: _("The adapter withdrew it; there is nothing to do any more."),
        EventType.EXPIRED: _("Nobody decided in time: it expired."),
        EventType.COMPLETED: _("%(who)s decided it."),
        EventType.FAILED: _("%(who)s decided it."),
    }
    if cause.type in (ALERT_OPENED, ALERT_OVER):
        return (_("Alert: %(reason)s.") if cause.type == ALERT_OPENED else _("Over: %(reason)s.")) % names
    if cause.type in sentences:
        return sentences[EventType(cause.type)] % names
    known = cause.type in EventType.values
    return _("What happened: %(what)s.") % {"what": EventType(cause.type).label if known else cause.type}


def what(about: About) -> str:
    """`Creative approval for Acme Corp`."""
    return _("%(type)s for %(principal)s") % {"type": about.type, "principal": about.principal}


def about_task(about: About, cause: Cause, now: datetime, zone: str) -> Letter:
    """One event of one task."""
    left, tone = time_left(about, now, zone)
    subject = what(about)
    if about.priority >= Priority.HIGH:
        subject = f"{about.priority.label}: {subject}"
    is_comment = cause.type == EventType.COMMENTED
    return Letter(
        subject=cut(subject, LONGEST_SUBJECT),
        why=why(cause),
        facts=_facts(about),
        text=cut(cause.reason if is_comment else about.error),
        left=left,
        tone=tone,
        url=about.url,
        action=_("Open the task"),
        thread=about.task_id,
    )


def _facts(about: About) -> list[tuple[str, str]]:
    facts = [
        (_("Priority"), str(about.priority.label)),
        (_("Operation"), cut(about.operation, 100)),
        (_("Media buy"), cut(about.media_buy_id, 100)),
        (_("Creative"), cut(about.creative_id, 100)),
    ]
    return [fact for fact in facts if fact[1]]


def digest(
    rows: Sequence[tuple[About, Cause]], alerts: Sequence[Letter], now: datetime, zone: str, *, url: str
) -> Letter:
    """Many at once: alerts that are about no task, then one line per task with what happened last, the latest first."""
    latest: dict[str, tuple[About, Cause]] = {}
    for about, cause in rows:
        latest.pop(about.task_id, None)
        latest[about.task_id] = (about, cause)
    lines = [Line(cut(one.subject, 120), cut(one.why, 160), one.left, one.url) for one in alerts]
    lines += [
        Line(cut(what(about), 120), cut(why(cause), 160), time_left(about, now, zone)[0], about.url)
        for about, cause in list(latest.values())[::-1]
    ]
    numbers = {"messages": len(rows) + len(alerts), "tasks": len(latest)}
    hidden = len(lines) - LINES
    return Letter(
        subject=_("%(messages)d messages about %(tasks)d tasks in one") % numbers,
        why=_("So much happened in the last minutes that it comes as one message. The latest is on top."),
        lines=lines[:LINES],
        more=_("and %(n)d more, in the queue") % {"n": hidden} if hidden > 0 else "",
        url=url,
        action=_("Open the queue"),
    )


def alert(
    name: str, text: str, *, over: bool, since: datetime, now: datetime, zone: str, url: str, about: About | None = None
) -> Letter:
    """A rule of the watch began to hold, or does no more. `about`: the task, where it is one's."""
    if over:
        sentence = _("It is over: %(text)s. It lasted %(span)s.") % {"text": text, "span": span(now - since)}
    else:
        sentence = f"{text}."
    subject = _("Over: %(name)s") if over else _("Alert: %(name)s")
    return Letter(
        subject=cut(subject % {"name": name}, LONGEST_SUBJECT),
        why=sentence,
        facts=() if about is None else _facts(about),
        text="" if about is None else cut(about.error),
        left=_("Since %(moment)s.") % {"moment": at_place(since, zone)}
        if about is None
        else time_left(about, now, zone)[0],
        tone="" if over else "late",
        url=url,
        action=_("See the alerts") if about is None else _("Open the task"),
        thread="" if about is None else about.task_id,
    )


def test_letter(now: datetime, zone: str, url: str) -> Letter:
    """What the test button sends."""
    return Letter(
        subject=_("A test of your notifications"),
        why=_("You asked for this message. News of your tasks will look like it and come here."),
        left=_("Sent %(moment)s.") % {"moment": at_place(now, zone)},
        url=url,
        action=_("Open the queue"),
    )


def offered() -> list[tuple[str, Any]]:
    """The events that people can choose, in the words of the choice."""
    words: dict[EventType, Any] = {
        EventType.ASSIGNED: _("a task is assigned to me"),
        EventType.CREATED: _("a new task comes to my team"),
        EventType.ROUTED: _("a task is sent to my team by another"),
        EventType.ESCALATED: _("a task is escalated to my team"),
        EventType.SLA_WARNED: _("the deadline of a task that I hold comes near"),
        EventType.COMMENTED: _("somebody comments on a task that I hold, or mentions me (@name)"),
        EventType.WITHDRAWN: _("a task that I hold is withdrawn"),
        EventType.EXPIRED: _("a task that I hold expires"),
        EventType.COMPLETED: _("a task that I held last is completed by somebody else"),
        EventType.FAILED: _("a task that I held last fails by somebody else"),
    }
    return [(str(event), words[event]) for event in FOR_PEOPLE]
