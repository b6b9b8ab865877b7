"""Answers with many rows: where the database can, it writes them as JSON, and they pass through here as they are.

The twins of `task_out` and `event_out` in SQL expressions, made from the same lists of columns. On SQLite the answers
are built by those functions themselves.
"""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from django.db.models import BooleanField, Case, CharField, DateTimeField, F, Q, QuerySet, Value, When
from django.db.models.functions import NullIf

from core import prepared
from core.json_rows import JSONText, MomentText, PlainText, made_by_database
from tasks_app.actors import Actor
from tasks_app.api.serializers import (
    PEOPLE,
    PLAIN_COLUMNS,
    TASK_COLUMNS,
    event_out,
    task_out,
    task_row,
)
from tasks_app.feed import EVENT_COLUMNS, event_line
from tasks_app.models import HumanTask, TaskType
from tasks_app.permissions import available_actions
from tasks_app.selectors import visible_tasks
from tasks_app.states import Priority

# What an expression or a dict makes of a row: JSON that is written already, or values that the renderer writes.
Answer = orjson.Fragment | dict[str, Any]
TaskRows = QuerySet[HumanTask, Any]

_MOMENTS: Final = {field.name for field in HumanTask._meta.concrete_fields if isinstance(field, DateTimeField)}


_MOMENTS_OF_ORDERS: Final = frozenset({"due_or_never"})


def task_line(now: datetime) -> JSONText:
    """The answer for a task: the twin of `task_out`."""
    columns: dict[str, Any] = {name: MomentText(F(name)) if name in _MOMENTS else F(name) for name in PLAIN_COLUMNS}
    columns |= {name: PlainText(F(name)) for name in ("task_id", "status")}
    columns |= {name: F(f"{name}__username") for name in PEOPLE}
    columns |= {
        "task_type": F("task_type_id"),
        "principal_id": F("principal_id"),
        "team": F("team_id"),
        "follows": PlainText(F("follows_id")),
        "priority": PlainText(_case("priority", {priority.value: priority.slug for priority in Priority})),
        "resolution": PlainText(NullIf(F("resolution"), Value(""))),
        "awaiting": PlainText(
            Case(
                When(completed_at__isnull=False, then=None),
                When(stage=2, then=Value("second_decision")),
                default=Value("decision"),
                output_field=CharField(),
            )
        ),
        "is_overdue": Case(
            When(Q(completed_at__isnull=True, due_by__lt=now), then=True), default=False, output_field=BooleanField()
        ),
    }
    return JSONText(**columns)


def _case(column: str, names: dict[int, str]) -> Case:
    whens = (When(**{column: number}, then=Value(name)) for number, name in names.items())
    return Case(*whens, output_field=CharField())


def sight(actor: Actor) -> Hashable:
    """What decides which tasks the actor sees: part of the key of every remembered query over tasks."""
    grants = actor.grants if actor.is_person else None
    return (actor.user.pk, actor.user.kind, actor.user.is_active, actor.scopes, actor.principals, grants)


def task_page(
    key: Hashable, tasks: Callable[[], TaskRows], order: Sequence[str], limit: int, now: datetime
) -> list[dict[str, Any]]:
    """The first `limit` tasks in `order`, as rows with the answer under `line` and the columns of the order.

    `limit` is one more than the page has. Moments of the order are read into Python for the last row of the page alone,
    from which the next cursor is made; in the others they stay text, since reading fifty took a tenth of the page.
    """
    names = [name.removeprefix("-") for name in order]

    def query() -> QuerySet[HumanTask, Any]:
        ordered = tasks().annotate(line=task_line(prepared.NOW)).order_by(*order)
        cells = (MomentText(F(name)) if name in _MOMENTS_OF_ORDERS else F(name) for name in names)
        return ordered.values_list("line", *cells)[:limit]

    found = prepared.rows((key, tuple(order), limit), query, now=now)
    rows = [dict(zip(("line", *names), row, strict=True)) for row in found]
    if len(rows) == limit:
        last = rows[limit - 2]
        last |= {name: datetime.fromisoformat(last[name]) for name in names if name in _MOMENTS_OF_ORDERS}
    return rows


def task_rows(tasks: TaskRows, now: datetime, *names: str) -> TaskRows:
    """The tasks for any page of a list: with their answers where the database makes them, else with their columns."""
    if made_by_database():
        tasks, names = tasks.annotate(line=task_line(now)), ("line", *names)
    else:
        names = (*TASK_COLUMNS, *names)
    rows: TaskRows = tasks.values(*names)
    return rows


def task_answers(rows: Sequence[dict[str, Any]], now: datetime) -> Answer | list[Answer]:
    """What a list of tasks shows of rows of `task_page` or `task_rows`."""
    if rows and "line" in rows[0]:
        return joined(row["line"] for row in rows)
    return [task_out(row, now) for row in rows]


def event_rows(events: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
    rows: QuerySet[Any, Any] = (
        events.annotate(line=event_line()).values("line", "seq")
        if made_by_database()
        else events.values(*EVENT_COLUMNS)
    )
    return rows


def event_answers(rows: Sequence[dict[str, Any]]) -> Answer | list[Answer]:
    if rows and "line" in rows[0]:
        return joined(row["line"] for row in rows)
    return [event_out(row) for row in rows]


def joined(lines: Any) -> orjson.Fragment:
    """JSON texts as one JSON list."""
    return orjson.Fragment(f"[{','.join(lines)}]")


# What `permissions.available_actions` asks of a task, in the order of the model's columns, as `from_db` wants it.
_ASKED_NAMES: Final = frozenset(
    {
        "task_id", "status", "version", "team_id", "task_type_id", "principal_id", "assigned_to_id", "requested_by_id",
        "first_decided_by_id", "stage", "held_since",
    }
)  # fmt: skip
_ASKED: Final = [field.attname for field in HumanTask._meta.concrete_fields if field.attname in _ASKED_NAMES]


def task_detail(task_id: str, actor: Actor, now: datetime) -> tuple[Answer, int] | None:
    """One task with its `allowed_actions`, and its version; None where it is unknown or out of the actor's sight."""
    if not made_by_database():
        related = ("task_type", "assigned_to", "resolved_by", "requested_by")
        stored = visible_tasks(actor).select_related(*related).filter(pk=task_id).first()
        if stored is None:
            return None
        answer = task_out(task_row(stored), now)
        return answer | {"allowed_actions": available_actions(actor, stored)}, stored.version

    def query() -> TaskRows:
        one = visible_tasks(actor).filter(pk=prepared.TEXT).annotate(line=task_line(prepared.NOW))
        return one.values_list("line", "task_type__expires_after_hours", *_ASKED)

    found = prepared.rows(("task", sight(actor)), query, text=task_id, now=now)
    if not found:
        return None
    line, expires, *values = found[0]
    task = HumanTask.from_db(None, _ASKED, values)
    task.task_type = TaskType.from_db(None, ["slug", "expires_after_hours"], [task.task_type_id, expires])
    rights = orjson.dumps(available_actions(actor, task)).decode()
    return orjson.Fragment(f'{line[:-1]}, "allowed_actions": {rights}}}'), task.version
