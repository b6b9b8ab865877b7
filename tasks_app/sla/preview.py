"""What a policy would change, before it is saved: the open tasks that it fits, and their deadlines then."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final

from core import clock as core_clock
from tasks_app.models import BusinessCalendar, HumanTask, SLAPolicy
from tasks_app.sla import policies
from tasks_app.sla.calendars import ROUND_THE_CLOCK
from tasks_app.sla.clock import Policy, Step

LIMIT: Final = 500


@dataclass(frozen=True, slots=True)
class Difference:
    """One open task that would change: that the policy fits, or that would leave it."""

    task_id: str
    task_type: str
    subject: str
    policy_before: str
    policy_after: str
    due_before: datetime | None
    due_after: datetime | None
    assign_before: datetime | None
    assign_after: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    matched: int
    """How many open tasks the policy would fit and win."""
    changed: int
    newly_overdue: int
    acted_upon: int
    """On how many timers would act as soon as it is saved: steps whose moment has passed, or what is overdue then."""
    differences: tuple[Difference, ...]
    """The first 500 that would change, in the order of ids."""


def preview_policy(policy: SLAPolicy, steps: Sequence[Step] = ()) -> Preview:
    """What saving `policy` (new or edited) would mean for the open tasks. Reads each of them, writes nothing."""
    calendar = ROUND_THE_CLOCK if policy.calendar is None else policies.calendar_of(policy.calendar)
    candidate = policies.policy_of_row(policy, calendar, list(steps))
    return _preview([candidate])


def preview_calendar(calendar: BusinessCalendar) -> Preview:
    """What saving `calendar` (edited) would mean for the open tasks whose policies count by it."""
    ids = set(SLAPolicy.objects.filter(calendar=calendar.pk).values_list("pk", flat=True))
    arithmetic = policies.calendar_of(calendar)
    known = policies.book().policies
    return _preview(
        [replace(known[pk], calendar=arithmetic, calendar_name=calendar.name) for pk in sorted(ids & known.keys())]
    )


def _preview(candidates: Sequence[Policy]) -> Preview:
    with policies.read_once() as book:
        return _compared(replace(book, policies={**book.policies, **{c.id: c for c in candidates}}), candidates)


def _compared(changed_book: policies.Book, candidates: Sequence[Policy]) -> Preview:
    """Each open task under the policies as they are, and as they would be."""
    now, ids = core_clock.now(), {candidate.id for candidate in candidates}
    matched = changed = overdue = acted_upon = 0
    found: list[Difference] = []
    tasks = HumanTask.objects.open().select_related("task_type", "team").defer("context_data", "error_detail")
    for task, fired in _with_steps_taken(tasks.order_by("pk").iterator(chunk_size=500)):
        winner = changed_book.match(task.task_type_id, policies.promised_priority(task), task.principal_id)
        wins = winner is not None and winner.id in ids
        matched += wins
        if not wins and task.sla_policy_id not in ids:
            continue
        before, plan = policies.policy_of(task), policies.plan(task, winner, fired)
        due, assign = (None if target is None else target.deadline for target in (plan.due, plan.assign))
        acted_upon += _is_past(plan.next_timer_at, now) and not _is_past(task.next_timer_at, now)
        # As `recompute_open_tasks` will compare them: another name alone is no change.
        if (task.sla_policy_id, task.due_by, task.assign_by) == (winner.id if winner else None, due, assign):
            continue
        changed += 1
        overdue += _is_past(due, now) and not _is_past(task.due_by, now)
        if len(found) < LIMIT:
            found.append(
                Difference(
                    task.task_id,
                    task.task_type.label,
                    " · ".join(filter(None, (task.operation, task.creative_id or task.media_buy_id))),
                    before.name if before else "",
                    winner.name if winner else "",
                    task.due_by,
                    due,
                    task.assign_by,
                    assign,
                )
            )
    return Preview(matched, changed, overdue, acted_upon, tuple(found))


def _with_steps_taken(tasks: Iterator[HumanTask]) -> Iterator[tuple[HumanTask, set[str]]]:
    """Each task with the keys of the steps that it has taken, read for 500 at once."""
    while batch := list(islice(tasks, 500)):
        taken = policies.steps_taken([task.task_id for task in batch])
        yield from ((task, taken.get(task.task_id, set())) for task in batch)


def _is_past(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment < now
