"""Opening a task: what an adapter does when its operation needs a person."""

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from jsonschema import Draft202012Validator

from core import clock, crypto
from core.bulk import update_many
from core.recent import Recent
from tasks_app import events, lookups, masking, permissions, reasons
from tasks_app.actors import Actor
from tasks_app.exceptions import Conflict, InvalidInput, NotAllowed, PoliciesMoved, TaskError
from tasks_app.models import HumanTask, Principal, TaskType, Team
from tasks_app.services.priorities import reprioritise
from tasks_app.services.rhythm import Change, Ledger, schedule
from tasks_app.services.texts import seal_originals
from tasks_app.sla import deadlines, policies
from tasks_app.states import EventType

ADAPTER_NAME: Final = 64  # as its column; masking may make a text longer
_VARIES: Final = re.compile(r"\d+|\b[0-9a-f]{8,}\b", re.IGNORECASE)


@dataclass(frozen=True)
class NewTask:
    """What a caller tells of the blocked operation. Times are aware; `due_in_hours` and `due_by` exclude each other."""

    task_type: str
    principal_id: str
    adapter_name: str = ""
    priority: int | None = None
    media_buy_id: str = ""
    creative_id: str = ""
    operation: str = ""
    error_detail: str = ""
    context_data: dict[str, Any] = field(default_factory=dict)
    due_in_hours: float | None = None
    due_by: datetime | None = None
    dedup_key: str = ""
    follows: str | None = None


def open_task(new: NewTask, actor: Actor) -> tuple[HumanTask, bool]:
    """Open a task; return it and whether it is new.

    With a `dedup_key` that an open task of the same principal carries, that task is returned instead: its occurrences
    are counted, and its priority is raised where the newcomer's is higher. A person's keys meet only that person's: a
    guessed key must not show another team's task.

    Raises NotAllowed (the token does not speak for the principal) and InvalidInput naming the field.
    """
    if not new.dedup_key:
        task = _open_at_once(new, actor)
        if task is not None:
            return task, True
    return _open_all([new], actor, lambda _number, error: error)[0]


def open_tasks(news: Sequence[NewTask], actor: Actor) -> list[tuple[HumanTask, bool]]:
    """Open several tasks in one transaction, all or none; the answers stand in their order.

    What is wrong is told for every task, by its number: `items.3.priority`. Tasks of one `dedup_key` fold into one.
    """
    return _open_all(news, actor, _numbered)


def _open_at_once(new: NewTask, actor: Actor) -> HumanTask | None:
    """The ordinary case: nothing is held while Python works. On PostgreSQL it is one statement, hence a transaction.

    None where that is not enough: a principal to register, or policies that were changed at this moment.
    """
    kind, principal = _kind(new), _known_principal(new, actor)
    if principal is None:
        return None
    with policies.as_remembered() as revision:
        task, originals = _prepare(new, actor, kind, principal, None)
        entry = events.compose(task, EventType.CREATED, actor, at=task.created_at, before=None)
        try:
            with transaction.atomic() if originals or connection.vendor != "postgresql" else nullcontext():
                events.write_many([entry], revision=revision)
                seal_originals({task.task_id: originals}, task.created_at)
        except PoliciesMoved:
            return None
    return task


def _open_all(
    news: Sequence[NewTask], actor: Actor, told: Callable[[int, TaskError], TaskError]
) -> list[tuple[HumanTask, bool]]:
    keys = [_dedup_key(new, actor) for new in news]
    lookups.refresh()
    for _attempt in range(3):
        try:
            with transaction.atomic(), policies.read_once():
                return _open_in_transaction(news, keys, actor, told)
        except IntegrityError:
            # A twin committed first between our look and our insert: look again and fold into it.
            if not any(keys):
                raise
    raise Conflict


def _open_in_transaction(
    news: Sequence[NewTask],
    keys: Sequence[str | None],
    actor: Actor,
    told: Callable[[int, TaskError], TaskError],
) -> list[tuple[HumanTask, bool]]:
    twins, now, ledger = _open_twins(keys), clock.now(), Ledger()
    opened: list[tuple[HumanTask, bool]] = []
    sealed: dict[str, dict[str, str]] = {}
    wrong: list[InvalidInput] = []
    for number, (new, key) in enumerate(zip(news, keys, strict=True)):
        try:
            kind, principal = _kind(new), _principal(new, actor)
            twin = None if key is None else twins.get(key)
            if twin is None:
                task, sealed_of_task = _prepare(new, actor, kind, principal, key)
                ledger.entries.append(events.compose(task, EventType.CREATED, actor, at=task.created_at, before=None))
                sealed[task.task_id] = sealed_of_task
                opened.append((task, True))
                if key is not None:
                    twins[key] = task
            else:
                if twin._state.adding:
                    ledger.write()
                _recur(Change(task=twin, actor=actor, now=now, ledger=ledger), new, kind)
                opened.append((twin, False))
        except InvalidInput as error:
            wrong.append(cast("InvalidInput", told(number, error)))
        except NotAllowed as error:
            raise told(number, error) from None
    if wrong:
        raise wrong[0].with_others(wrong[1:])
    ledger.write()
    update_many({task.task_id: task for task, is_new in opened if not is_new}.values(), ["occurrences", "last_seen_at"])
    seal_originals(sealed, now)
    return opened


def _numbered(number: int, error: TaskError) -> TaskError:
    """The same error, saying which of several tasks it is about."""
    if isinstance(error, InvalidInput):
        return InvalidInput(f"items.{number}.{error.field}", error.message)
    return NotAllowed(f"items.{number}: {error.detail}")


def _dedup_key(new: NewTask, actor: Actor) -> str | None:
    whose = [] if actor.is_adapter else [actor.user.get_username()]
    return crypto.keyed_digest(new.principal_id, new.dedup_key, *whose) if new.dedup_key else None


def _kind(new: NewTask) -> TaskType:
    kind = lookups.kinds.get(new.task_type)
    if kind is None or not kind.is_active:
        known = ", ".join(TaskType.objects.filter(is_active=True).order_by("slug").values_list("slug", flat=True))
        raise InvalidInput(
            "task_type",
            _("'%(type)s' is not a task type; known are %(known)s.") % {"type": new.task_type, "known": known},
        )
    return kind


def _principal(new: NewTask, actor: Actor) -> Principal:
    """The principal; registered on first sight where the token speaks for all of them.

    Its id goes everywhere: lists, messages, the trail. So one that is somebody's address or number is not registered by
    an adapter.
    """
    principal = _known_principal(new, actor)
    if principal is not None:
        return principal
    if masking.mask_fields({"principal_id": new.principal_id}).originals:
        raise InvalidInput(
            "principal_id",
            _("this looks like personal data or a secret; give an id, or ask an administrator to register it."),
        )
    return Principal.objects.get_or_create(pk=new.principal_id)[0]


def _known_principal(new: NewTask, actor: Actor) -> Principal | None:
    """The active principal for which the actor may open tasks; None where it is to be registered first."""
    if actor.is_adapter and actor.principals is not None and not permissions.can_create(actor, new.principal_id):
        raise NotAllowed(_("This token may not open tasks for principal '%(id)s'.") % {"id": new.principal_id})
    if not permissions.can_create(actor, new.principal_id):
        raise NotAllowed(_("You may not open tasks."))
    principal = lookups.principals.get(new.principal_id)
    if principal is None and actor.is_adapter and actor.principals is None:
        return None
    if principal is None or not principal.is_active:
        raise InvalidInput(
            "principal_id", _("'%(id)s' is not a registered, active principal.") % {"id": new.principal_id}
        )
    return principal


def _open_twins(keys: Sequence[str | None]) -> dict[str, HumanTask]:
    """The open tasks with these keys, locked in the order of their ids."""
    wanted = sorted({key for key in keys if key is not None})
    if not wanted:
        return {}
    twins = HumanTask.objects.open().select_for_update().filter(dedup_key__in=wanted).order_by("pk")
    return {str(task.dedup_key): lookups.complete(task) for task in twins}


def _recur(change: Change, new: NewTask, kind: TaskType) -> None:
    """Count the occurrence; leave an event at 2, 10, 100 ... times: a storm of reports is not one of events."""
    task = change.task
    task.occurrences += 1
    task.last_seen_at = change.now
    priority = new.priority or kind.default_priority
    if priority > task.priority:
        change.change(
            EventType.PRIORITY_CHANGED,
            lambda: reprioritise(task, priority, change.now),
            reason=reasons.REPORTED_AGAIN,
        )
    if task.occurrences == 2 or re.fullmatch(r"10+", str(task.occurrences)):
        change.note(EventType.RECURRED, reason=reasons.REPORTED_TIMES % {"n": task.occurrences})


def _prepare(
    new: NewTask, actor: Actor, kind: TaskType, principal: Principal, dedup_key: str | None
) -> tuple[HumanTask, dict[str, str]]:
    """The task as it will be stored, and what masking cut out of it."""
    now = clock.now()
    _check_context(new, kind)
    priority = new.priority or kind.default_priority
    due_by = _explicit_due(new, now)
    masked = masking.mask_fields(
        {
            "adapter_name": new.adapter_name,
            "media_buy_id": new.media_buy_id,
            "creative_id": new.creative_id,
            "operation": new.operation,
            "error_detail": new.error_detail,
            "context_data": new.context_data,
        },
        safe_fields=frozenset(kind.safe_fields),
    )
    if len(str(masked.values["adapter_name"])) > ADAPTER_NAME:
        raise InvalidInput("adapter_name", _("give a name, without personal data."))
    team = _teams.get((kind.pk, principal.pk), kind) if lookups.has_specific_teams(kind.pk) else kind.default_team
    followed = _followed(new, actor)
    columns = {
        **HumanTask.defaults(),
        "task_type_id": kind.pk,
        "principal_id": principal.pk,
        "priority": priority,
        "team_id": team.pk,
        "requested_by_id": actor.user.pk,
        "follows_id": None if followed is None else followed.pk,
        "created_at": now,
        "updated_at": now,
        "last_seen_at": now,
        "due_by": due_by,
        "due_is_explicit": due_by is not None,
        "sla_priority": priority,
        "value_at_risk": _value_at_risk(new.context_data),
        "dedup_key": dedup_key,
        **masked.values,
    }
    task = HumanTask.of_columns(columns.items())
    task.knows(task_type=kind, principal=principal, team=team, requested_by=actor.user, follows=followed)
    task.similarity_key = similarity_key(task)
    policies.apply(task)
    schedule(task, now=now)
    return task, masked.originals


def _check_context(new: NewTask, kind: TaskType) -> None:
    """The type's JSON Schema, checked before masking."""
    if not kind.context_schema:
        return
    error = next(Draft202012Validator(kind.context_schema).iter_errors(new.context_data), None)
    if error is not None:
        path = ".".join(["context_data", *(str(part) for part in error.absolute_path)])
        expected = error.schema.get("description") if isinstance(error.schema, dict) else None
        raise InvalidInput(
            path,
            expected
            or _("does not fit what tasks of type '%(type)s' need (%(rule)s)")
            % {"type": kind.slug, "rule": error.validator},
        )


def _value_at_risk(context: dict[str, Any]) -> int | None:
    """`context_data.value_at_risk`, where an adapter tells it: a number in the house's own currency, whole units."""
    value = context.get("value_at_risk")
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0 <= value <= deadlines.MOST_VALUE):
        raise InvalidInput("context_data.value_at_risk", _("give a number from 0 to 1,000,000,000."))
    whole: int = round(value)
    return whole


def _explicit_due(new: NewTask, now: datetime) -> datetime | None:
    """The due time that the caller gave; without one the policy's, or the default by priority, applies."""
    if new.due_by is not None and new.due_in_hours is not None:
        raise InvalidInput("due_by", _("give due_by or due_in_hours, not both."))
    if new.due_in_hours is not None:
        if not 0 < new.due_in_hours <= 24 * 366:
            raise InvalidInput("due_in_hours", _("give a number of hours above 0, at most 8784 (one year)."))
        return now + timedelta(hours=new.due_in_hours)
    if new.due_by is not None:
        if not now < new.due_by <= now + timedelta(days=366):
            raise InvalidInput("due_by", _("give a moment in the future, at most one year ahead."))
        return new.due_by
    return None


def _followed(new: NewTask, actor: Actor) -> HumanTask | None:
    if new.follows is None:
        return None
    followed = HumanTask.objects.filter(permissions.visible_to(actor), pk=new.follows).first()
    if followed is None:
        raise InvalidInput("follows", _("there is no task '%(id)s'.") % {"id": new.follows})
    if followed.principal_id != new.principal_id:
        raise InvalidInput("follows", _("a task follows one of the same principal."))
    return followed


def team_for(kind: TaskType, principal_id: str) -> Team:
    """The most specific team for type and principal: one that names the principal, else the type's default team."""
    named = Q(serves_all_principals=False, principals=principal_id)
    team = Team.objects.filter(named, task_types=kind, is_active=True).order_by("slug").first()
    return team or kind.default_team


_teams: Recent[tuple[str, str], Team] = Recent(lambda key, kind: team_for(kind, key[1]))


def similarity_key(task: HumanTask) -> str:
    """Equal for tasks alike in type, principal, adapter, operation and masked error, whatever the numbers in it."""
    normalised = _VARIES.sub("#", task.error_detail).casefold()
    text = "\x1f".join(
        [task.task_type_id, task.principal_id, task.adapter_name, task.operation, " ".join(normalised.split())]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]
