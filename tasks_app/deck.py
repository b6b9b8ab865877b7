"""What the deck shows next: the reader's own tasks and those that he or she may claim, in the queue's order."""

from collections.abc import Collection

from django.db.models import Q

from tasks_app.actors import Actor
from tasks_app.models import HumanTask
from tasks_app.models.task import TaskQuerySet
from tasks_app.permissions import NOTHING, served_by
from tasks_app.selectors import COUNTED_UP_TO
from tasks_app.states import HELD, WAITING


def deck_tasks(actor: Actor, chosen: Q, *, without: Collection[str] = ()) -> TaskQuerySet:
    """The open tasks that the actor may decide now, but for those on hold, those decided already, and `without`."""
    if not actor.is_person:
        return HumanTask.objects.filter(NOTHING)
    unseen = Q(stage=1) | (~Q(first_decided_by=actor.user) & ~Q(requested_by=actor.user))
    within_reach = Q(status__in=sorted(WAITING)) | Q(status__in=sorted(HELD), assigned_to=actor.user)
    tasks = HumanTask.objects.open().filter(served_by(actor), unseen, within_reach, chosen)
    tasks = tasks.filter(held_since__isnull=True, staged_until__isnull=True)
    return tasks.exclude(pk__in=list(without)).in_queue_order()


def left_in_deck(tasks: TaskQuerySet) -> int:
    """How many that are, counted up to COUNTED_UP_TO."""
    return tasks.values("pk")[:COUNTED_UP_TO].count()
