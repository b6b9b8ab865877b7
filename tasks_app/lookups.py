"""The catalogue and the people, as they are needed with every change: remembered by the process.

None of these rows is ever deleted, and what they say acts within `HITL_LOOKUP_SECONDS` (core/recent.py). A row is
frozen: change it by a copy of your own.
"""

from typing import Any, Final

from core.recent import Recent, RecentRows
from tasks_app.models import HumanTask, Principal, TaskType, Team, User

kinds: Final[RecentRows[str, TaskType]] = RecentRows(
    lambda slugs: TaskType.objects.select_related("default_team__escalation_team").in_bulk(list(slugs))
)
teams: Final[RecentRows[str, Team]] = RecentRows(
    lambda slugs: Team.objects.select_related("escalation_team").in_bulk(list(slugs))
)
principals: Final[RecentRows[str, Principal]] = RecentRows(lambda pks: Principal.objects.in_bulk(list(pks)))
people: Final[RecentRows[int, User]] = RecentRows(lambda pks: User.objects.in_bulk(list(pks)))

_specific: Final[Recent[str, frozenset[str]]] = Recent(
    lambda _all: frozenset(
        Team.objects.filter(serves_all_principals=False, is_active=True)
        .exclude(task_types=None)
        .values_list("task_types", flat=True)
    )
)


def has_specific_teams(task_type: str) -> bool:
    """Whether some team works on this type for named principals only."""
    return task_type in _specific.get("all")


def refresh() -> None:
    """Have at hand what a transaction that begins now will ask for."""
    for rows in (kinds, teams, people, principals):
        rows.refresh()
    _specific.refresh()


def complete(task: HumanTask) -> HumanTask:
    """Give a task that was read alone its type, its team and its people, without joining them."""
    related: dict[str, Any] = {"task_type": kinds.get(task.task_type_id), "team": teams.get(task.team_id)}
    for name in ("assigned_to", "resolved_by", "requested_by"):
        pk = getattr(task, f"{name}_id")
        related[name] = None if pk is None else people.get(pk)
    task.knows(**{name: row for name, row in related.items() if row is not None})
    return task
