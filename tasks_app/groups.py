"""Similar tasks: open ones that are alike in type, principal, adapter, operation and normalised error.

`similarity_key` says who is alike; it is written when a task is opened. Everything here reads one index over open rows.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Count, Min, Q

from tasks_app import selectors
from tasks_app.actors import Actor
from tasks_app.models.task import TaskQuerySet

SHOWN: Final = 100
# The order of the page by name.
ORDERS: Final = {"size": ("-number", "oldest"), "age": ("oldest",), "due": ("first_due", "-number")}


@dataclass(frozen=True)
class Group:
    """`sample` is the id of one of its tasks; `due_by` the nearest deadline in it."""

    key: str
    number: int
    sample: str
    oldest: datetime
    due_by: datetime | None
    overdue: int


def groups_in_sight(actor: Actor, now: datetime, *, order: str = "size", task_type: str = "") -> list[Group]:
    """The groups of two and more among the open tasks that the actor sees: the first hundred in this order."""
    tasks = selectors.open_tasks(actor).order_by()
    if task_type:
        tasks = tasks.filter(task_type=task_type)
    late = Count("pk", filter=Q(due_by__lt=now))
    rows = (
        tasks.values("similarity_key")
        .annotate(
            number=Count("pk"), sample=Min("task_id"), oldest=Min("created_at"), first_due=Min("due_by"), overdue=late
        )
        .filter(number__gt=1)
    )
    if order == "due":
        rows = rows.filter(first_due__isnull=False)
    names = ("similarity_key", "number", "sample", "oldest", "first_due", "overdue")
    return [Group(*row) for row in rows.order_by(*ORDERS[order]).values_list(*names)[:SHOWN]]


def tasks_alike(actor: Actor, key: str) -> TaskQuerySet:
    """The open tasks of one group in the actor's sight, the oldest first."""
    return selectors.open_tasks(actor).filter(similarity_key=key).order_by("created_at", "task_id")


def numbers_alike(actor: Actor, keys: Collection[str]) -> dict[str, int]:
    """How many open tasks in the actor's sight each key has."""
    tasks = selectors.open_tasks(actor).filter(similarity_key__in=sorted(set(keys))).order_by()
    return dict(tasks.values_list("similarity_key").annotate(n=Count("pk")))
