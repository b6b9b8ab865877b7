"""Who is named in a comment with @: people who may see the task are told of it, and nobody else learns anything."""

import re
from typing import Final

from core import clock
from tasks_app import permissions
from tasks_app.actors import Actor
from tasks_app.models import HumanTask, Mention, TaskEvent, User
from tasks_app.services.rhythm import Change

_NAME: Final = re.compile(r"(?<![\w@.+-])@([\w.+-][\w.+@-]{0,149})")
MOST: Final = 10


def names_in(text: str) -> list[str]:
    """The names after an @ in their order, ten at most; the @ of an e-mail address names nobody."""
    return list(dict.fromkeys(name.rstrip(".,+-@") for name in _NAME.findall(text)))[:MOST]


def record_mentions(change: Change, event: TaskEvent, text: str) -> None:
    """Write down who is named in the text, in the comment's own transaction.

    `notifications` finds them by the event. A name that is unknown and one of somebody who may not see the task are
    alike: they stay text.
    """
    names = names_in(text)
    if not names:
        return
    people = User.objects.filter(username__in=names, is_active=True, kind=User.Kind.PERSON)
    entitled = [
        person
        for person in people.exclude(pk=change.actor.user.pk)
        if permissions.can_see(Actor(user=person), change.task)
    ]
    Mention.objects.bulk_create(
        Mention(event=event, task=change.task, person=person, at=change.now) for person in entitled
    )


def read_mentions(actor: Actor, task: HumanTask | None = None) -> int:
    """Mark the actor's own unread mentions as read, of one task or all; return how many that were."""
    unread = Mention.objects.filter(person=actor.user, read_at__isnull=True)
    return (unread if task is None else unread.filter(task=task)).update(read_at=clock.now())
