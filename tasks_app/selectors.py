"""Questions about tasks. They read open rows by index; none of them costs more with the number of closed tasks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from django.db.models import Count, IntegerField, Q, QuerySet, Subquery

from core import prepared
from tasks_app.actors import Actor, team_grants
from tasks_app.models import FeedHead, HumanTask, Mention, TaskEvent, TeamMembership, User
from tasks_app.models.task import QUEUE_ORDER, TaskQuerySet
from tasks_app.permissions import NOTHING, can_work, may_decide_at_this_stage, served_by, visible_to
from tasks_app.states import WAITING, EventType

SOON: Final = timedelta(hours=1)
# Nobody reads a number above this; the console shows "999+".
COUNTED_UP_TO: Final = 1_000
# How far "recently closed" looks back, whoever closed them: a bound that a million finished tasks do not move.
RECENTLY_CLOSED: Final = 1_000
_LEAVES_ITS_HOLDER: Final = (
    EventType.ASSIGNED,
    EventType.RELEASED,
    EventType.PUT_BACK,
    EventType.ROUTED,
    EventType.ESCALATED,
    EventType.DECISION_RECORDED,
)


def visible_tasks(actor: Actor) -> TaskQuerySet:
    """Every task that the actor may see, finished ones included."""
    return HumanTask.objects.filter(visible_to(actor))


def nothing() -> TaskQuerySet:
    return HumanTask.objects.filter(NOTHING)


def open_tasks(actor: Actor) -> TaskQuerySet:
    return visible_tasks(actor).open()


def claimable(actor: Actor, *, task_type: str | None = None, principal_id: str | None = None) -> TaskQuerySet:
    """The waiting tasks that the actor may claim, the most urgent first."""
    if not actor.is_person:
        return nothing()
    unseen = Q(stage=1) | (~Q(first_decided_by=actor.user) & ~Q(requested_by=actor.user))
    tasks = HumanTask.objects.open().filter(served_by(actor), unseen, status__in=sorted(WAITING))
    if task_type is not None:
        tasks = tasks.filter(task_type=task_type)
    if principal_id is not None:
        tasks = tasks.filter(principal=principal_id)
    # A waiting task has no assignee: said so, and in the order of that index, nothing is read of what others hold.
    return tasks.filter(assigned_to__isnull=True).order_by("assigned_to_id", *QUEUE_ORDER)


# -- what the console shows --------------------------------------------------------------------------------------------


def queue_views(actor: Actor, now: datetime, later: datetime | None = None) -> dict[str, Q]:
    """The views of the queue by name, as filters on the open tasks that the actor sees. `later`: until when is soon."""
    return {
        "mine": Q(assigned_to=actor.user),
        "unassigned": Q(status__in=sorted(WAITING)),
        "overdue": Q(due_by__lt=now),
        "soon": Q(due_by__gte=now, due_by__lt=later or now + SOON),
        "escalated": Q(escalation_level__gt=0),
        "all": Q(),
    }


def queue_counts(actor: Actor, now: datetime) -> dict[str, int]:
    """How many open tasks each view of the queue holds, counted up to COUNTED_UP_TO: in one statement.

    Each count walks an index and stops at the limit, so that it costs the same beside 15,000 open tasks as beside
    1,000. Counting all views in one pass over all open rows took 90 ms.
    """
    views = queue_views(actor, now)
    key = ("queue counts", actor.user.pk, actor.user.is_active, actor.grants)
    found = prepared.rows(key, lambda: _counts(actor), now=now, later=now + SOON)
    return dict(zip(views, found[0], strict=True)) if found else dict.fromkeys(views, 0)


def _counts(actor: Actor) -> "QuerySet[FeedHead, Any]":
    """One row of numbers, for `prepared.rows`. One row to ask from: the place of the feed is always there."""
    seen, by_due = open_tasks(actor), {"overdue", "soon"}
    counts: dict[str, Any] = {}
    for name, view in queue_views(actor, prepared.NOW, prepared.LATER).items():
        tasks = seen.filter(view)
        ordered = tasks.order_by("due_by") if name in by_due else tasks.in_queue_order()
        counts[name] = _Number(ordered.values("pk")[:COUNTED_UP_TO])
    return FeedHead.objects.values_list(*counts.values())[:1]


class _Number(Subquery):
    """How many rows a query has, as a value."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


@dataclass(frozen=True)
class Present:
    """Who and what occurs among the tasks at the head of the queue: what its filters offer."""

    principals: dict[str, str]
    adapters: list[str]
    people: list[str]


def present_in_queue(actor: Actor) -> Present:
    """Principals (id and name), adapters and assignees of the 1,000 most urgent open tasks that the actor sees."""
    columns = ("principal_id", "principal__name", "adapter_name", "assigned_to__username")
    rows = set(open_tasks(actor).in_queue_order().values_list(*columns)[:COUNTED_UP_TO])
    named = sorted((name or pk, pk) for pk, name in {(row[0], row[1]) for row in rows})
    return Present(
        principals={pk: name for name, pk in named},
        adapters=sorted({row[2] for row in rows if row[2]}),
        people=sorted({row[3] for row in rows if row[3]}),
    )


def held_by(actor: Actor) -> int:
    """How many open tasks the actor has taken. One index look-up, for every page."""
    return HumanTask.objects.open().filter(assigned_to=actor.user).count()


def recently_closed(actor: Actor) -> TaskQuerySet:
    """What the actor sees of the last 1,000 tasks that ended, the latest first."""
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


def was_taken_back(task: HumanTask, person: User) -> bool:
    """Whether somebody else, or a timer, took this waiting task from a person who may still believe to hold it.

    False for whoever gave it back, passed it on or referred it himself, and for whoever never had it. The two
    questions go to the task's own events.
    """
    trail = TaskEvent.objects.filter(task_id=task.pk)
    for taken in trail.filter(type__in=(EventType.CLAIMED, EventType.ASSIGNED)).order_by("-seq")[:50]:
        if orjson.loads(bytes(taken.snapshot)).get("assigned_to_id") != person.pk:
            continue
        lost = trail.filter(seq__gt=taken.seq, type__in=_LEAVES_ITS_HOLDER).order_by("seq").first()
        return lost is not None and person.pk not in (lost.actor_id, lost.on_behalf_of_id)
    return False


def claimed_from(task: HumanTask) -> str:
    """The status from which a task was last claimed; empty where it came to its holder otherwise since."""
    ways = (EventType.CLAIMED, EventType.ASSIGNED, EventType.HANDED_OVER)
    taken = TaskEvent.objects.filter(task_id=task.pk, type__in=ways).order_by("-seq").values_list("type", "from_status")
    kind, status = taken.first() or ("", "")
    return status if kind == EventType.CLAIMED else ""


def same_principal(actor: Actor, task: HumanTask, *, limit: int = 4) -> TaskQuerySet:
    """What else of the same kind waits for the task's principal, the most urgent first: by the index of both."""
    alike = open_tasks(actor).filter(task_type=task.task_type_id, principal=task.principal_id)
    return alike.exclude(pk=task.pk).in_queue_order()[:limit]


def serving(task: HumanTask) -> Q:
    """The members of active teams that serve the task, as a filter on User."""
    principal = Q(memberships__team__serves_all_principals=True) | Q(memberships__team__principals=task.principal_id)
    serves = Q(memberships__team=task.team_id) | (Q(memberships__team__task_types=task.task_type_id) & principal)
    return serves & Q(memberships__team__is_active=True)


def _people_serving(task: HumanTask) -> QuerySet[User]:
    """The active people of the teams that serve the task, by name."""
    people = User.objects.filter(serving(task), is_active=True, kind=User.Kind.PERSON)
    return people.distinct().order_by("username")


def names_of_people(task: HumanTask, *, limit: int = 12) -> list[str]:
    """The names of a few who may work on the task: whom a comment can tell with one click."""
    return list(_people_serving(task).values_list("username", flat=True)[:limit])


def entitled_people(task: HumanTask) -> list[tuple[User, int]]:
    """The people of the teams that serve the task, with the number of open tasks each holds, by name (200 at most)."""
    people = list(_people_serving(task)[:200])
    held = HumanTask.objects.open().filter(assigned_to__in=people).order_by()
    load = Counter(dict(held.values_list("assigned_to").annotate(n=Count("pk"))))
    return [(person, load[person.pk]) for person in people if may_decide_at_this_stage(Actor(user=person), task)]


def unread_mentions(actor: Actor, task: HumanTask, *, limit: int = 3) -> list[Mention]:
    """The latest comments of the task that name the actor and that he or she has not marked as read."""
    unread = Mention.objects.filter(person=actor.user, task=task, read_at__isnull=True)
    return list(unread.select_related("event__actor").order_by("-pk")[:limit])


def people_for(tasks: Sequence[HumanTask]) -> list[tuple[User, int, int]]:
    """Who could be given these tasks: each person with the open tasks held, and how many of these he or she may take.

    Like `entitled_people` for many tasks, in a number of queries that does not depend on them.
    """
    serves = Q(team__in={task.team_id for task in tasks}) | Q(team__task_types__in={t.task_type_id for t in tasks})
    memberships = (
        TeamMembership.objects.filter(serves, team__is_active=True, user__is_active=True, user__kind=User.Kind.PERSON)
        .select_related("team", "user")
        .prefetch_related("team__task_types", "team__principals")
        .distinct()
        .order_by("user__username", "pk")[:1_000]
    )
    by_person: dict[int, list[TeamMembership]] = {}
    for membership in memberships:
        by_person.setdefault(membership.user_id, []).append(membership)
    held = HumanTask.objects.open().filter(assigned_to__in=list(by_person)).order_by()
    load = Counter(dict(held.values_list("assigned_to").annotate(n=Count("pk"))))
    offers = []
    for theirs in by_person.values():
        person, grants = theirs[0].user, team_grants(theirs)
        candidate = Actor(user=person, read_grants=lambda _user, grants=grants: grants)  # type: ignore[misc]
        able = sum(can_work(candidate, task) for task in tasks)
        if able:
            offers.append((person, load[person.pk], able))
    return offers
