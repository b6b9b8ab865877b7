"""From a promise and a task's facts to its deadlines and to the one moment that the sweep waits for. Pure.

All moments are aware and in UTC. A hold that goes on is counted up to its follow-up time, when it ends by itself: so a
deadline can be told while the clock stands still.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tasks_app.sla import deadlines
from tasks_app.sla.calendars import ROUND_THE_CLOCK, Calendar, NeverReached, Span, reach, without
from tasks_app.sla.claims import Claim

# Actions that leave the task with whoever has it: the others wait while it is on hold.
GENTLE: Final = frozenset({"warn", "notify"})
WEIGHT: Final = {"warn": 0, "notify": 1, "raise_priority": 2, "route": 3, "escalate": 4}
EXPIRY_WARNING: Final = timedelta(hours=24)


class Kind(StrEnum):
    """The three clocks of a policy."""

    ASSIGN = "to_assign"
    WORK = "assigned_to_resolve"
    RESOLVE = "to_resolve"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a policy: at `percent` of the target, or `offset` from the deadline, in business time."""

    id: int
    key: str
    clock: str
    percent: int | None
    offset: timedelta | None
    action: str
    channel: str = ""
    team: str | None = None

    def after(self, target: timedelta) -> timedelta:
        """Business time from the clock's start to this step."""
        if self.percent is not None:
            return target * self.percent / 100
        return max(timedelta(), target + (self.offset or timedelta()))


@dataclass(frozen=True)
class Policy:
    """A promise, free of the database."""

    id: int
    name: str
    targets: Mapping[Kind, timedelta]
    calendar: Calendar = ROUND_THE_CLOCK
    calendar_name: str = ""
    pauses_on_hold: bool = True
    steps: tuple[Step, ...] = ()
    is_active: bool = True
    task_type: str | None = None
    priority: int | None = None
    principal: str | None = None

    def fits(self, task_type: str, priority: int, principal: str) -> bool:
        given = ((self.task_type, task_type), (self.priority, priority), (self.principal, principal))
        return self.is_active and all(own is None or own == value for own, value in given)

    @property
    def specificity(self) -> tuple[int, bool, bool, bool]:
        """More conditions win; of as many, one that names the principal, then the type, then the priority."""
        named = (self.principal is not None, self.task_type is not None, self.priority is not None)
        return (sum(named), *named)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the clocks need to know of a task."""

    priority: int
    created_at: datetime
    first_assigned_at: datetime | None = None
    assigned_at: datetime | None = None
    explicit_due: datetime | None = None
    holds: tuple[Span, ...] = ()
    held_since: datetime | None = None
    follow_up_at: datetime | None = None
    quiet_until: datetime | None = None
    escalated_at: datetime | None = None
    expiry: datetime | None = None
    expiry_is_given: bool = False
    """Somebody put the end off to this moment: no hold moves it."""
    expiry_warned_at: datetime | None = None
    claim: Claim | None = None
    staged_until: datetime | None = None

    @property
    def all_holds(self) -> tuple[Span, ...]:
        """The past holds, and the present one up to its follow-up time."""
        if self.held_since is None or self.follow_up_at is None:
            return self.holds
        return (*self.holds, (self.held_since, self.follow_up_at))


@dataclass(frozen=True, slots=True)
class Target:
    """One clock that runs: when it began, how much time it gives, and until when that lasts."""

    kind: Kind
    begins: datetime
    duration: timedelta
    deadline: datetime
    calendar: Calendar
    stops: tuple[Span, ...]

    def moment_of(self, step: Step) -> datetime | None:
        try:
            spans = without(self.calendar.spans(self.begins), self.stops)
            return reach(spans, self.begins, step.after(self.duration))
        except NeverReached:
            return None


@dataclass(frozen=True, slots=True)
class Plan:
    """The deadlines of a task, and what timers will do."""

    assign: Target | None
    due: Target | None
    steps: tuple[tuple[datetime, Step], ...]
    """Those still to be taken, with their moments, the earliest first."""
    escalates_at: datetime | None
    """The built-in step, where no policy has steps: escalate once when overdue."""
    expires_at: datetime | None
    warns_of_expiry_at: datetime | None
    resumes_at: datetime | None
    quiet_until: datetime | None
    ends_at: datetime | None = None
    """When the task would expire; told on hold too, when nothing expires."""
    returns_at: datetime | None = None
    """When a task that its holder left alone goes back to the queue."""
    warns_of_return_at: datetime | None = None
    decides_at: datetime | None = None
    """When a decision that waits is carried out. No timer comes before it: that would undo what a person decided."""
    targets: Mapping[Kind, Target] = field(default_factory=dict)

    @property
    def next_timer_at(self) -> datetime | None:
        moments = [moment for moment, _step in self.steps[:1]]
        others = (self.escalates_at, self.expires_at, self.warns_of_expiry_at, self.returns_at, self.warns_of_return_at)
        moments += [moment for moment in others if moment is not None]
        for quiet in (self.quiet_until, self.decides_at):
            if quiet is not None:
                moments = [max(moment, quiet) for moment in moments]
        exact = (self.resumes_at, self.decides_at)  # no quiet time puts these off
        return min([*moments, *(moment for moment in exact if moment is not None)], default=None)


def _target(
    kind: Kind, begins: datetime, duration: timedelta, calendar: Calendar, stops: tuple[Span, ...]
) -> Target | None:
    try:
        deadline = reach(without(calendar.spans(begins), stops), begins, duration)
    except NeverReached:
        return None
    return Target(kind, begins, duration, deadline, calendar, stops)


def targets(facts: Facts, policy: Policy | None) -> dict[Kind, Target]:
    """The clocks of a task. An explicit due time replaces the two that end with the task, and knows no pause."""
    calendar = policy.calendar if policy else ROUND_THE_CLOCK
    stops = facts.all_holds if policy and policy.pauses_on_hold else ()
    begins = {Kind.ASSIGN: facts.created_at, Kind.RESOLVE: facts.created_at, Kind.WORK: facts.assigned_at}
    if policy is None:
        hours = deadlines.DEFAULT_HOURS[facts.priority]
        given = {} if hours is None else {Kind.RESOLVE: timedelta(hours=hours)}
    else:
        given = dict(policy.targets)
    found: dict[Kind, Target] = {}
    for kind, duration in given.items():
        since = begins[kind]
        if since is not None and (kind is Kind.ASSIGN or facts.explicit_due is None):
            target = _target(kind, since, duration, calendar, stops)
            if target is not None:
                found[kind] = target
    if facts.explicit_due is not None:
        length = facts.explicit_due - facts.created_at
        found[Kind.RESOLVE] = Target(Kind.RESOLVE, facts.created_at, length, facts.explicit_due, ROUND_THE_CLOCK, ())
    return found


def plan(facts: Facts, policy: Policy | None, fired: Collection[str] = ()) -> Plan:
    """The deadlines and timers of an open task, given the keys of the steps that it has taken already.

    Without steps, a deadline counts as acted upon once the task was escalated after it had passed: once, not for ever.
    """
    running = targets(facts, policy)
    assign = running.get(Kind.ASSIGN) if facts.first_assigned_at is None else None
    ending = [running[kind] for kind in (Kind.RESOLVE, Kind.WORK) if kind in running]
    due = min(ending, key=lambda target: target.deadline, default=None)
    is_held, pauses = facts.held_since is not None, policy is not None and policy.pauses_on_hold
    stands_still = pauses and facts.explicit_due is None  # a deadline that the adapter gave knows no pause
    steps = []
    for step in policy.steps if policy else ():
        target = assign if step.clock == "assign" else due
        if step.key in fired or target is None or (is_held and (stands_still or step.action not in GENTLE)):
            continue
        moment = target.moment_of(step)
        if moment is not None:
            steps.append((moment, step))
    has_steps = policy is not None and bool(policy.steps)
    handled = due is None or has_steps or (facts.escalated_at is not None and due.deadline <= facts.escalated_at)
    expiry = facts.expiry
    if expiry is not None and pauses and not facts.expiry_is_given:
        expiry += sum((end - start for start, end in facts.all_holds), timedelta())
    warns = None
    if expiry is not None:
        notice = min(EXPIRY_WARNING, (expiry - facts.created_at) / 4)
        if facts.expiry_warned_at is None:
            warns = expiry - notice
        else:  # who was warned late, since timers were down, has half of the notice all the same
            expiry = max(expiry, facts.expiry_warned_at + notice / 2)
    return Plan(
        assign=assign,
        due=due,
        steps=tuple(sorted(steps, key=lambda pair: (pair[0], WEIGHT[pair[1].action]))),
        escalates_at=None if due is None or handled or is_held else due.deadline,
        expires_at=None if is_held else expiry,
        warns_of_expiry_at=None if is_held else warns,
        resumes_at=facts.follow_up_at,
        quiet_until=facts.quiet_until,
        ends_at=expiry,
        returns_at=None if is_held or facts.claim is None else facts.claim.returns_at,
        warns_of_return_at=None if is_held or facts.claim is None else facts.claim.warns_at,
        decides_at=facts.staged_until,
        targets=running,
    )


def due_steps(plan: Plan, now: datetime) -> tuple[list[Step], list[Step]]:
    """What the sweep does now: the steps to take, and those passed over.

    Steps of one moment belong together. Where several moments have come since the last look (the timers were down),
    the one with the heaviest action counts, the latest of equal ones; the others are passed over, so that the return
    of the timers is no storm.
    """
    moments: dict[datetime, list[Step]] = {}
    for moment, step in plan.steps:
        if moment <= now:
            moments.setdefault(moment, []).append(step)
    if not moments:
        return [], []
    counts = max(moments, key=lambda moment: (max(WEIGHT[step.action] for step in moments[moment]), moment))
    return moments[counts], [step for moment, steps in moments.items() if moment != counts for step in steps]
