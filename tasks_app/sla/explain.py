"""Why a deadline is when it is: the policy, the calendar, the stretches that counted and those on hold, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.utils import dateformat
from django.utils.translation import gettext as _

from tasks_app import reasons
from tasks_app.models import HumanTask
from tasks_app.sla import deadlines, policies
from tasks_app.sla.calendars import ROUND_THE_CLOCK, Span, without
from tasks_app.sla.clock import Kind, Plan, Policy, Step, Target
from tasks_app.states import Priority

# A promise over months has hundreds of days: the first and the last tell the story.
SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class ClockShown:
    """One clock: what it gives, what is used, and the stretches that counted (at most 60 of them)."""

    kind: str
    label: str
    begins: datetime
    target: timedelta
    used: timedelta
    deadline: datetime
    is_met: bool | None
    """True or False once it has ended, None while it runs."""
    counted: tuple[Span, ...]
    counted_in_all: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """A task's deadlines, unfolded."""

    policy: str
    calendar: str
    time_zone: str
    is_explicit: bool
    due_by: datetime | None
    assign_by: datetime | None
    clocks: tuple[ClockShown, ...]
    held: tuple[Span, ...]
    held_stops_clocks: bool
    steps: tuple[tuple[datetime, str], ...]
    basis: tuple[str, ...]
    """Which promise counts, and by which calendar, in words."""
    sentences: tuple[str, ...]
    """The whole in words: the basis, then each clock and hold."""


def _labels() -> dict[Kind, str]:
    return {
        Kind.ASSIGN: _("From opening until somebody has it"),
        Kind.WORK: _("From assignment to the end"),
        Kind.RESOLVE: _("From opening to the end"),
    }


def explain(task: HumanTask, now: datetime, *, reader: ZoneInfo | None = None) -> Explanation:
    """Unfold the deadlines of a task, open or ended. Reads the policies and the steps taken; changes nothing.

    Moments in the sentences are in the calendar's zone; round the clock, in the reader's, where that is given.
    """
    policy = policies.policy_of(task)
    facts = policies.facts_of(task)
    plan = policies.plan(task, policy)
    ended = task.completed_at
    calendar = policy.calendar if policy and not task.due_is_explicit else ROUND_THE_CLOCK
    held = facts.all_holds
    zone = reader if reader is not None and calendar.is_always else ZoneInfo(calendar.zone)
    counted_now = plan.due.deadline if plan.due else None
    if ended is not None and counted_now != task.due_by:
        # A promise that was edited since explains nothing: what was promised then is what was kept or missed.
        shown: tuple[ClockShown, ...] = ()
        basis = [_as_it_was(task, ended, zone), _as_it_would_be(counted_now, zone)]
    else:
        shown = tuple(_shown(target, _stopped_at(kind, task), ended or now) for kind, target in plan.targets.items())
        basis = _basis(task, policy, plan, zone)
    return Explanation(
        policy=policy.name if policy else "",
        calendar=(policy.calendar_name if policy else "") or _("round the clock"),
        time_zone=zone.key,
        is_explicit=task.due_is_explicit,
        due_by=task.due_by,
        assign_by=task.assign_by,
        clocks=shown,
        held=held,
        held_stops_clocks=bool(policy and policy.pauses_on_hold and not task.due_is_explicit),
        steps=() if ended else tuple(sorted(_to_come(plan), key=lambda step: step[0])),
        basis=tuple(basis),
        sentences=(*basis, *_sentences(task, policy, shown, held, zone, now)),
    )


def _stopped_at(kind: Kind, task: HumanTask) -> datetime | None:
    """A task that ended while nobody had it waits for nobody any more."""
    return (kind is Kind.ASSIGN and task.first_assigned_at) or task.completed_at


def _shown(target: Target, stopped: datetime | None, until: datetime) -> ClockShown:
    """What counted until the clock was stopped, or until now."""
    end = stopped or until
    spans = list(without(target.calendar.intervals(target.begins, end), target.stops)) if end > target.begins else []
    kept = spans if len(spans) <= SHOWN else [*spans[: SHOWN // 2], *spans[-SHOWN // 2 :]]
    return ClockShown(
        kind=str(target.kind),
        label=_labels()[target.kind],
        begins=target.begins,
        target=target.duration,
        used=sum((b - a for a, b in spans), timedelta()),
        deadline=target.deadline,
        is_met=None if stopped is None else stopped <= target.deadline,
        counted=tuple(kept),
        counted_in_all=len(spans),
    )


def _to_come(plan: Plan) -> Iterator[tuple[datetime, str]]:
    """What timers will do, unless the task ends before."""
    for moment, step in plan.steps:
        yield moment, _words(step)
    if plan.escalates_at is not None:
        yield plan.escalates_at, _("at the deadline: the task is escalated")
    if plan.warns_of_expiry_at is not None:
        yield plan.warns_of_expiry_at, _("a warning that the task is about to expire")
    if plan.expires_at is not None:
        yield plan.expires_at, _("the task expires: it ends without a decision, unless it is extended")
    if plan.resumes_at is not None:
        yield plan.resumes_at, _("follow-up: the hold ends by itself")


def _words(step: Step) -> str:
    what = {
        "warn": _("the assignee is warned"),
        "notify": _("channel %(channel)s is notified") % {"channel": step.channel},
        "raise_priority": _("the priority is raised"),
        "route": _("the task goes to %(team)s") % {"team": step.team},
        "escalate": _("the task is escalated"),
    }
    return f"{reasons.when(step.percent, step.offset, _)}: {what[step.action]}"


def _sentences(
    task: HumanTask,
    policy: Policy | None,
    clocks: tuple[ClockShown, ...],
    held: tuple[Span, ...],
    zone: ZoneInfo,
    now: datetime,
) -> list[str]:
    said = [_progress(shown, zone, now) for shown in clocks]
    for start, end in held:
        period = {"start": local(start, zone), "end": local(end, zone)}
        if policy is not None and policy.pauses_on_hold and not task.due_is_explicit:
            said.append(_("On hold from %(start)s to %(end)s; the clocks stood still.") % period)
        else:
            said.append(_("On hold from %(start)s to %(end)s; the clocks ran on.") % period)
    return said


def _as_it_was(task: HumanTask, ended: datetime, zone: ZoneInfo) -> str:
    if task.due_by is None:
        return _("The task had no deadline when it ended.")
    told = _("Its deadline was %(due)s: kept.") if ended <= task.due_by else _("Its deadline was %(due)s: missed.")
    return told % {"due": local(task.due_by, zone)}


def _as_it_would_be(due: datetime | None, zone: ZoneInfo) -> str:
    if due is None:
        return _("By the policies as they are now it would have none; that does not count.")
    return _("By the policies as they are now it would be %(due)s; that does not count.") % {"due": local(due, zone)}


def _basis(task: HumanTask, policy: Policy | None, plan: Plan, zone: ZoneInfo) -> list[str]:
    said = [_origin(task, policy)]
    if policy is not None and not task.due_is_explicit:
        said.append(_calendar(policy, zone))
        begun = {kind for kind in policy.targets if kind is not Kind.WORK or task.assigned_at is not None}
        if begun - plan.targets.keys():
            said.append(_("It does not open for so long within ten years."))
    if task.due_by is None and not task.due_is_explicit:
        said.append(_("So the task has no deadline."))
    return said


def _origin(task: HumanTask, policy: Policy | None) -> str:
    if task.due_is_explicit:
        return _("The adapter gave this deadline when it opened the task; it never moves.")
    priority = Priority(policies.promised_priority(task)).label.lower()
    if policy is None:
        hours = deadlines.DEFAULT_HOURS[policies.promised_priority(task)]
        if hours is None:
            return _("No policy fits; tasks of priority %(priority)s have no deadline by default.") % {
                "priority": priority
            }
        return _("No policy fits; by default tasks of priority %(priority)s have %(hours)d hours, round the clock.") % {
            "priority": priority,
            "hours": hours,
        }
    conditions = [
        _("type %(type)s") % {"type": task.task_type.label} if policy.task_type else "",
        _("priority %(priority)s") % {"priority": priority} if policy.priority else "",
        _("principal %(principal)s") % {"principal": policy.principal} if policy.principal else "",
    ]
    named = ", ".join(filter(None, conditions)) or _("all tasks")
    return _("Policy “%(name)s” (%(for)s) is the most specific that fits.") % {"name": policy.name, "for": named}


def _calendar(policy: Policy, zone: ZoneInfo) -> str:
    if policy.calendar.is_always:
        return _("Its clocks run round the clock.")
    return _("Time counts by the calendar “%(calendar)s” (%(zone)s).") % {
        "calendar": policy.calendar_name,
        "zone": zone.key,
    }


def _progress(shown: ClockShown, zone: ZoneInfo, now: datetime) -> str:
    values = {
        "label": shown.label,
        "target": duration(shown.target),
        "begins": local(shown.begins, zone),
        "used": duration(shown.used),
        "deadline": local(shown.deadline, zone),
    }
    if shown.is_met is True:
        return _("%(label)s: %(target)s from %(begins)s, until %(deadline)s; %(used)s were used: kept.") % values
    if shown.is_met is False:
        return _("%(label)s: %(target)s from %(begins)s, until %(deadline)s; %(used)s were used: missed.") % values
    if shown.deadline < now:
        return _("%(label)s: %(target)s from %(begins)s, until %(deadline)s; %(used)s are used: overdue.") % values
    return _("%(label)s: %(target)s from %(begins)s; %(used)s are used, the rest lasts until %(deadline)s.") % values


def local(moment: datetime, zone: ZoneInfo) -> str:
    """`Mon 2026-03-02 09:30 CET`, the weekday in the reader's language."""
    at = moment.astimezone(zone)
    return f"{dateformat.format(at, 'D Y-m-d H:i')} {at:%Z}"


def duration(length: timedelta) -> str:
    """`26 h 30 min`, to the minute."""
    minutes = int(length.total_seconds() // 60)
    hours, rest = divmod(minutes, 60)
    return " ".join(filter(None, [f"{hours} h" if hours else "", f"{rest} min" if rest or not hours else ""]))


def document(explanation: Explanation) -> dict[str, Any]:
    """The explanation as plain values, for the API: moments, and durations in minutes."""

    def minutes(length: timedelta) -> float:
        return round(length.total_seconds() / 60, 2)

    def spans(found: tuple[Span, ...]) -> list[dict[str, datetime]]:
        return [{"from": start, "to": end} for start, end in found]

    return {
        "policy": explanation.policy or None,
        "calendar": explanation.calendar,
        "time_zone": explanation.time_zone,
        "is_explicit": explanation.is_explicit,
        "due_by": explanation.due_by,
        "assign_by": explanation.assign_by,
        "clocks": [
            {
                "clock": shown.kind,
                "label": shown.label,
                "begins": shown.begins,
                "target_minutes": minutes(shown.target),
                "used_minutes": minutes(shown.used),
                "deadline": shown.deadline,
                "is_met": shown.is_met,
                "counted": spans(shown.counted),
                "counted_in_all": shown.counted_in_all,
            }
            for shown in explanation.clocks
        ],
        "held": spans(explanation.held),
        "held_stops_clocks": explanation.held_stops_clocks,
        "steps": [{"at": moment, "text": text} for moment, text in explanation.steps],
        "explanation": list(explanation.sentences),
    }
