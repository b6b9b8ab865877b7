"""Questions about tasks. They read open rows by index; none of them costs more with the number of closed tasks."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Q

from tasks_app.actors import Actor
from tasks_app.models import HumanTask, User
from tasks_app.models.task import TaskQuerySet
from tasks_app.permissions import NOTHING, may_decide_at_this_stage, served_by, visible_to
from tasks_app.states import WAITING

SOON: Final = timedelta(hours=1)
# How far "recently closed" looks back, whoever closed them: a bound that a million finished tasks do not move.
RECENTLY_CLOSED: Final = 2_000


def visible_tasks(actor: Actor) -> TaskQuerySet:
    """Every task that the actor may see, finished ones included."""
    return HumanTask.objects.filter(visible_to(actor))


def open_tasks(actor: Actor) -> TaskQuerySet:
    return visible_tasks(actor).open()


def claimable(actor: Actor, *, task_type: str | None = None, principal_id: str | None = None) -> TaskQuerySet:
    """The waiting tasks that the actor may claim, the most urgent first."""
    if not actor.is_person:
        return HumanTask.objects.filter(NOTHING)
    unseen = Q(stage=1) | (~Q(first_decided_by=actor.user) & ~Q(requested_by=actor.user))
    tasks = HumanTask.objects.open().filter(served_by(actor), unseen, status__in=sorted(WAITING))
    if task_type is not None:
        tasks = tasks.filter(task_type=task_type)
    if principal_id is not None:
        tasks = tasks.filter(principal=principal_id)
    return tasks.in_queue_order()


def overdue_tasks(actor: Actor, now: datetime) -> TaskQuerySet:
    return open_tasks(actor).filter(due_by__lt=now)


# -- what the console shows --------------------------------------------------------------------------------------------


def queue_views(actor: Actor, now: datetime) -> dict[str, Q]:
    """The views of the queue by name, as filters on the open tasks that the actor sees."""
    return {
        "mine": Q(assigned_to=actor.user),
        "unassigned": Q(status__in=sorted(WAITING)),
        "overdue": Q(due_by__lt=now),
        "soon": Q(due_by__gte=now, due_by__lt=now + SOON),
        "escalated": Q(escalation_level__gt=0),
        "all": Q(),
    }


def queue_counts(actor: Actor, now: datetime) -> dict[str, int]:
    """How many open tasks each view of the queue holds: one pass over the open rows that the actor sees."""
    views = queue_views(actor, now)
    counted = {name: Count("pk", filter=view) if view else Count("pk") for name, view in views.items()}
    return dict(open_tasks(actor).order_by().aggregate(**counted))


def held_by(actor: Actor) -> int:
    """How many open tasks the actor has taken. One index look-up, for every page."""
    return HumanTask.objects.open().filter(assigned_to=actor.user).count()


def recently_closed(actor: Actor) -> TaskQuerySet:
    """What the actor sees of the last 2,000 tasks that ended, the latest first."""
    ended = HumanTask.objects.filter(completed_at__isnull=False).order_by("-completed_at")
    return visible_tasks(actor).filter(pk__in=ended.values("pk")[:RECENTLY_CLOSED]).order_by("-completed_at")


def tasks_named(actor: Actor, name: str) -> TaskQuerySet:
    """Tasks, open or ended, with exactly this task, media buy or creative id; the latest first.

    Three look-ups by index, each on its own: joined by OR, no database used them all.
    """
    named = HumanTask.objects.filter(pk=name).values("pk")
    for field in ("media_buy_id", "creative_id"):
        # The second condition repeats the partial index's own, so that SQLite too sees that it fits.
        named = named.union(HumanTask.objects.filter(~Q(**{field: ""}), **{field: name}).values("pk"), all=True)
    return visible_tasks(actor).filter(pk__in=list(named.values_list("pk", flat=True)[:200])).order_by("-task_id")


def related_tasks(actor: Actor, task: HumanTask, *, limit: int = 6) -> TaskQuerySet:
    """Other tasks of the same media buy or creative, and those that this one follows or that follow it."""
    names = {"media_buy_id": task.media_buy_id, "creative_id": task.creative_id}
    found = HumanTask.objects.filter(follows=task.pk).values("pk")
    for field, name in names.items():
        if name:
            found = found.union(HumanTask.objects.filter(~Q(**{field: ""}), **{field: name}).values("pk"), all=True)
    keys = {*found.values_list("pk", flat=True)[:200], *filter(None, [task.follows_id])} - {task.pk}
    return visible_tasks(actor).filter(pk__in=keys).order_by("-task_id")[:limit]


def entitled_people(task: HumanTask) -> list[tuple[User, int]]:
    """The people of the teams that serve the task, with the number of open tasks each holds, by name (200 at most)."""
    principal = Q(memberships__team__serves_all_principals=True) | Q(memberships__team__principals=task.principal_id)
    serves = Q(memberships__team=task.team_id) | (Q(memberships__team__task_types=task.task_type_id) & principal)
    people = list(
        User.objects.filter(serves, memberships__team__is_active=True, is_active=True, kind=User.Kind.PERSON)
        .distinct()
        .order_by("username")[:200]
    )
    held = HumanTask.objects.open().filter(assigned_to__in=people).order_by()
    load = Counter(dict(held.values_list("assigned_to").annotate(n=Count("pk"))))
    return [(person, load[person.pk]) for person in people if may_decide_at_this_stage(Actor(user=person), task)]
