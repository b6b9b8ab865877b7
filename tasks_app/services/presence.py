"""Who has a task open now. A page says so every few seconds; nothing of it goes into the trail.

A heartbeat is written at most every ten seconds, whatever a page sends, and counts for 45. It shows that the task's
holder has not left it alone (tasks_app/sla/claims.py).
"""

from datetime import timedelta
from typing import Final

from django.db.models import Q

from core import clock
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, TaskPresence, User
from tasks_app.selectors import serving

COUNTS_FOR: Final = timedelta(seconds=45)
WRITTEN_EVERY: Final = timedelta(seconds=10)
SHOWN: Final = 5


def note_presence(task: HumanTask, actor: Actor) -> list[User]:
    """Say that the actor, who sees the task, has it open; return the others who do, the latest five.

    Listed are those alone who may see the task now: one may have left a team with its page still open.
    """
    now = clock.now()
    recent = TaskPresence.objects.filter(task=task, seen_at__gt=now - COUNTS_FOR).order_by("-seen_at")
    seen = dict(recent.values_list("user_id", "seen_at")[:50])
    own = seen.pop(actor.user.pk, None)
    if own is None or own <= now - WRITTEN_EVERY:
        TaskPresence.objects.bulk_create(
            [TaskPresence(task=task, user=actor.user, seen_at=now)],
            update_conflicts=True,
            unique_fields=["task", "user"],
            update_fields=["seen_at"],
        )
    if not seen:
        return []
    may_see = User.objects.filter(who_sees(task), pk__in=list(seen), is_active=True).distinct()
    return sorted(may_see, key=lambda user: seen[user.pk], reverse=True)[:SHOWN]


def leave(task_id: str, actor: Actor) -> None:
    """The page was closed: the heartbeat stays as the holder's last act, but is nobody's presence any more."""
    now = clock.now()
    mine = TaskPresence.objects.filter(task=task_id, user=actor.user, seen_at__gt=now - COUNTS_FOR)
    mine.update(seen_at=now - COUNTS_FOR)


def who_sees(task: HumanTask) -> Q:
    """The people who may see the task, as a filter on User. `permissions.can_see` is its twin in memory."""
    oversees = Q()
    for codename in ("view_every_task", "manage_every_task"):
        granted = {"content_type__app_label": "tasks_app", "codename": codename}
        oversees |= Q(**{f"user_permissions__{name}": value for name, value in granted.items()})
        oversees |= Q(**{f"groups__permissions__{name}": value for name, value in granted.items()})
    return serving(task) | oversees | Q(is_superuser=True)
