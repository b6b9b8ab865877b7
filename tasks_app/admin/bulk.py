"""Many tasks at once: what was seen, who is eligible, and one result per task.

The version of what the reader saw travels with each task. Every task is changed by its own call of the service that
its page calls, in its own transaction and with that version: what has changed meanwhile is skipped and named. Nothing
here changes a task itself.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.translation import gettext as _

from core.numbers import whole
from tasks_app import selectors
from tasks_app.actors import Actor
from tasks_app.admin.bulk_verbs import BulkVerb, obstacle, where_it_stands
from tasks_app.admin.task_page import subject_of
from tasks_app.admin.verbs import VERBS
from tasks_app.catalog_data import shown
from tasks_app.exceptions import InvalidInput, StaleVersion, TaskError, TaskNotFound, WrongState
from tasks_app.models import HumanTask
from tasks_app.states import NEEDS_TEXT

MOST: Final = 500
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_RELATED: Final = ("task_type", "team", "assigned_to", "resolved_by")


@dataclass(frozen=True)
class Seen:
    """A task as the reader saw it. An id that cannot be one is kept: it answers like an unknown one."""

    task_id: str
    version: int

    @property
    def value(self) -> str:
        return f"{self.task_id}:{self.version}"


@dataclass(frozen=True)
class Item:
    """One task in a preview or a result. `reason`: why it is or was skipped; `note`: what else there is to say."""

    seen: Seen
    name: str
    in_sight: bool = False
    reason: str = ""
    note: str = ""


@dataclass(frozen=True)
class Option:
    """One answer to 'what?' or 'to whom?', with how many of the tasks it fits."""

    value: str
    label: str
    number: int
    needs_text: bool = False


@dataclass
class Plan:
    """What would happen: the eligible, the skipped, and those that have changed but could be included as they are."""

    eligible: list[Item] = field(default_factory=list)
    changed: list[Item] = field(default_factory=list)
    skipped: list[Item] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)


def seen_in(values: Iterable[str]) -> list[Seen]:
    """The tasks named by a form's `id:version` values; each once, at most 500."""
    found: dict[str, Seen] = {}
    for value in values:
        task_id, _colon, version = value.partition(":")
        if task_id and len(found) < MOST:
            found.setdefault(task_id[:100], Seen(task_id[:100], whole(version, digits=9) or 0))
    return list(found.values())


def unknown() -> str:
    """The reason for a task that is not there, and for one that is not the reader's to see."""
    return _("no such task, or not yours to see")


def tasks_in_sight(seen: Sequence[Seen], actor: Actor) -> dict[str, HumanTask]:
    keys = [one.task_id for one in seen if _ID.fullmatch(one.task_id)]
    tasks = selectors.visible_tasks(actor).select_related(*_RELATED).defer("context_data", "error_detail")
    return {task.pk: task for task in tasks.filter(pk__in=keys)}


def plan_for(bulk: BulkVerb, seen: Sequence[Seen], actor: Actor) -> Plan:
    """Say beforehand what would happen. A fixed number of queries."""
    plan, tasks = Plan(), tasks_in_sight(seen, actor)
    within_reach: list[HumanTask] = []
    for one in seen:
        task = tasks.get(one.task_id)
        if task is None:
            plan.skipped.append(Item(one, one.task_id, reason=unknown()))
            continue
        reason, name = obstacle(bulk, task, actor), name_of(task)
        is_stale = task.version != one.version
        if reason:
            plan.skipped.append(Item(one, name, in_sight=True, reason=reason))
        elif is_stale:
            now = where_it_stands(task, actor) or str(task.get_status_display()).lower()
            plan.changed.append(Item(Seen(task.pk, task.version), name, in_sight=True, reason=changed(), note=now))
            within_reach.append(task)
        else:
            plan.eligible.append(Item(one, name, in_sight=True, note=where_it_stands(task, actor)))
            within_reach.append(task)
    plan.options = options_for(bulk, within_reach, actor)
    return plan


def changed() -> str:
    return _("changed since you chose it")


def name_of(task: HumanTask) -> str:
    return f"{shown(task.task_type.label)} · {subject_of(task)}"


def options_for(bulk: BulkVerb, tasks: Sequence[HumanTask], actor: Actor) -> list[Option]:
    """The decisions that fit at least one of the tasks, or the people who may take at least one."""
    if bulk.pick == "decision":
        found = []
        for name in bulk.verbs:
            able = sum(not obstacle(bulk, task, actor, decision=name) for task in tasks)
            if able:
                found.append(Option(name, str(VERBS[name].label), able, VERBS[name].resolution in NEEDS_TEXT))
        return found
    if bulk.pick == "assigned_to" and tasks:
        people = selectors.people_for(tasks)
        return [
            Option(person.username, _("%(name)s (%(n)d open)") % {"name": person.username, "n": held}, able)
            for person, held, able in people
        ]
    return []


def carry_out(bulk: BulkVerb, seen: Seen, actor: Actor, values: Mapping[str, Any]) -> Item:
    """Change one task, by the service and with the version that was seen. A refusal is a result like any other."""
    verb = bulk.verb(values.get("decision", ""))
    if not _ID.fullmatch(seen.task_id):
        return Item(seen, seen.task_id, reason=unknown())
    try:
        task = verb.run(seen.task_id, actor, {**values, "version": seen.version})
    except TaskError as error:
        return _skipped(bulk, seen, actor, values, error)
    assert isinstance(task, HumanTask)  # noqa: S101  (a verb for many always returns the task)
    is_half = bool(verb.resolution) and task.is_open
    note = _("a second reviewer confirms it") if is_half and task.stage == 2 else ""
    if is_half and task.stage == 1:
        note = _("the first reviewer decided otherwise; the review starts again")
    return Item(seen, name_of(task), in_sight=True, note=note)


def _skipped(bulk: BulkVerb, seen: Seen, actor: Actor, values: Mapping[str, Any], error: TaskError) -> Item:
    task = tasks_in_sight([seen], actor).get(seen.task_id)
    if isinstance(error, TaskNotFound) or task is None:
        return Item(seen, seen.task_id, reason=unknown())
    reason = obstacle(bulk, task, actor, decision=values.get("decision", ""))
    if isinstance(error, InvalidInput) and error.field == "assigned_to":
        reason = _("%(name)s may not work on it") % {"name": values.get("assigned_to", "")}
    elif isinstance(error, StaleVersion | WrongState):
        reason = reason or where_it_stands(task, actor) or changed()
    return Item(seen, name_of(task), in_sight=True, reason=reason or error.detail)


def told(reasons: Iterable[str]) -> str:
    """Reasons with their numbers, the most frequent first: `taken by zoe (2), changed since you chose it`."""
    counted = Counter(reasons).most_common()
    return ", ".join(f"{reason} ({number})" if number > 1 else reason for reason, number in counted)
