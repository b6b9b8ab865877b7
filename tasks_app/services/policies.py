"""Changing promises: policies with their steps, calendars, and what that means for the tasks that are open."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from core import clock
from tasks_app import reasons, registries
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput
from tasks_app.models import BusinessCalendar, FiredStep, HumanTask, SLAPolicy, SLARevision, SLAStep, Team
from tasks_app.services.rhythm import Change, start_by_of, written_at_the_end
from tasks_app.sla import policies
from tasks_app.sla.calendars import CalendarError, NeverReached
from tasks_app.states import EventType

BATCH: Final = 200


@dataclass(frozen=True)
class StepSpec:
    """A step as an administrator gives it; `key` names the step that it edits, empty for a new one."""

    action: str
    at_percent: int | None = None
    offset_minutes: int | None = None
    clock: str = SLAStep.Clock.RESOLVE
    channel: str = ""
    team: str | None = None
    key: str = ""


@transaction.atomic
def save_calendar(calendar: BusinessCalendar) -> BusinessCalendar:
    """Check and store a calendar. Raises InvalidInput that says what would be right.

    Afterwards call `recompute_open_tasks`.
    """
    try:
        arithmetic = policies.calendar_of(calendar)
    except CalendarError as error:
        raise InvalidInput(error.field, str(error)) from None
    except (AttributeError, TypeError, ValueError):
        raise InvalidInput("weekly_hours", _("give the hours as described.")) from None
    if not any(arithmetic.week):
        raise InvalidInput("weekly_hours", _("give hours for at least one day of the week."))
    calendar.save()
    return calendar


@transaction.atomic
def save_policy(policy: SLAPolicy, steps: Sequence[StepSpec] | None = None) -> SLAPolicy:
    """Check and store a policy, and its steps where given; None leaves them. Raises InvalidInput.

    A step that differs from the stored one becomes a new version of it, one that is left out is retired: what tasks
    have taken stays as it was. Afterwards call `recompute_open_tasks`.
    """
    _check(policy, "policy")
    check_reach(
        policy.calendar, (policy.to_assign_minutes, policy.assigned_to_resolve_minutes, policy.to_resolve_minutes)
    )
    policy.save()
    if steps is not None:
        _replace_steps(policy, steps)
    return policy


def _check(row: SLAPolicy | SLAStep, field: str) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise InvalidInput(field if name == "__all__" else name, messages[0]) from None


def check_reach(calendar: BusinessCalendar | None, targets: Sequence[int | None]) -> None:
    """Raise InvalidInput where a calendar does not open for so long: the clock would never end, and nobody notice."""
    if calendar is None:
        return
    longest, arithmetic = max(filter(None, targets), default=0), policies.calendar_of(calendar)
    try:
        arithmetic.add_business_time(clock.now(), timedelta(minutes=longest))
    except NeverReached:
        raise InvalidInput("calendar", _("It does not open for so many minutes within ten years.")) from None


def _replace_steps(policy: SLAPolicy, specs: Sequence[StepSpec]) -> None:
    current = {step.key: step for step in policy.steps.filter(is_current=True)}
    for spec in specs:
        old = current.pop(spec.key, None)
        if old is not None and _spec_of(old) == spec:
            continue
        step = SLAStep(
            policy=policy,
            clock=spec.clock,
            at_percent=spec.at_percent,
            offset_minutes=spec.offset_minutes,
            action=spec.action,
            channel=spec.channel,
            team=check_team(spec.team) if spec.team else None,
        )
        if old is not None:
            step.key, step.version = old.key, old.version + 1
            _retire(old)
        _check(step, "steps")
        if spec.action == SLAStep.Action.NOTIFY:
            check_channel(spec.channel)
        step.save()
    for left_out in current.values():
        _retire(left_out)


def check_team(slug: str) -> Team:
    """Raise InvalidInput where no team of this slug works: the step would do nothing."""
    team = Team.objects.filter(pk=slug, is_active=True).first()
    if team is None:
        raise InvalidInput("steps", _("There is no active team '%(team)s'.") % {"team": slug})
    return team


def check_channel(slug: str) -> None:
    """Raise InvalidInput where no channel has this slug: the step would tell nobody, and nobody would notice."""
    known = registries.known_channels()
    if slug in known:
        return
    if known:
        said = _("There is no channel '%(slug)s'. Channels are: %(known)s.")
        raise InvalidInput("steps", said % {"slug": slug, "known": ", ".join(known[:20])})
    raise InvalidInput("steps", _("There is no channel '%(slug)s', nor any other: make one first.") % {"slug": slug})


def _spec_of(step: SLAStep) -> StepSpec:
    values = {field.name: getattr(step, field.name) for field in fields(StepSpec) if field.name != "team"}
    return StepSpec(team=step.team_id, **values)


def _retire(step: SLAStep) -> None:
    step.is_current = False
    step.save(update_fields=["is_current"])


def note_reason(reason: str) -> None:
    """What the timelines of open tasks will say when `apply_changes` computes them anew."""
    SLARevision.objects.filter(pk=1).update(reason=reason)


def note_type_changed(reason: str) -> None:
    """A type's expiry and usual handling time are in the timers and places of its open tasks: compute those anew."""
    SLARevision.bump()
    note_reason(reason)


def apply_changes(actor: Actor) -> int:
    """Compute the open tasks anew if policies changed since that was last done; return how many tasks changed.

    Called by a job every few seconds. What a process was killed over is done again, to the same end.
    """
    revision = SLARevision.objects.exclude(token=F("applied")).filter(pk=1).first()
    if revision is None:
        return 0
    changed = recompute_open_tasks(actor, reason=revision.reason)
    SLARevision.objects.filter(pk=1).update(applied=revision.token)
    return changed


def recompute_open_tasks(actor: Actor, *, reason: str = "", batch: int = BATCH) -> int:
    """Put every open task under the policy that fits it now, and compute its deadlines anew; return how many changed.

    The outcome depends on policies and task alone, so that it may be run again at any time. In batches, each its own
    transaction, in the order of ids. An explicit due time never moves. What changes is told in the task's timeline.
    """
    changed, last = 0, ""
    while True:
        task_ids = list(
            HumanTask.objects.open().filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:batch]
        )
        if not task_ids:
            return changed
        with transaction.atomic(), policies.read_once(), written_at_the_end() as ledger:
            tasks = (
                HumanTask.objects.open()
                .select_for_update(of=("self",))
                .select_related("task_type", "team")
                .filter(pk__in=task_ids)
                .order_by("pk")
            )
            taken = policies.steps_taken(task_ids)
            for task in tasks:
                change = Change(task, actor, clock.now(), ledger, taken.get(task.task_id, set()))
                changed += _recompute(change, reason)
        last = task_ids[-1]


def _recompute(change: Change, reason: str) -> bool:
    task = change.task
    before = (task.sla_policy_id, task.due_by, task.assign_by)
    policy = policies.match(task)
    policy_id = policy.id if policy else None
    plan = policies.plan(task, policy, change.fired)
    after = (
        policy_id,
        plan.due.deadline if plan.due else None,
        plan.assign.deadline if plan.assign else None,
    )
    told = reason or reasons.POLICIES_CHANGED
    if before == after:
        if task.start_by != start_by_of(task, task.due_by):  # the type's usual handling time: its place in the queue
            change.change(EventType.DEADLINE_CHANGED, lambda: None, reason=told)
            return True
        if task.next_timer_at != plan.next_timer_at:  # steps, or the type's expiry
            change.wait()
        return False

    def move() -> None:
        task.sla_policy_id = policy_id
        task.change_deadline(now=change.now)

    change.change(EventType.DEADLINE_CHANGED, move, reason=told)
    return True


def steps_taken(task: HumanTask) -> list[FiredStep]:
    """What the task's policies did, in order."""
    return list(FiredStep.objects.filter(task=task).select_related("step").order_by("fired_at", "id"))
