"""Comments: said about a task, changing nothing of it."""

from django.utils.translation import gettext as _

from tasks_app import permissions
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput
from tasks_app.models import TaskEvent
from tasks_app.services.mentions import record_mentions
from tasks_app.services.rhythm import changing
from tasks_app.services.texts import masked_reason
from tasks_app.states import EventType


def comment_on_task(task_id: str, actor: Actor, text: str, *, expected_version: int | None = None) -> TaskEvent:
    """Add a comment, masked, to the timeline; also on a finished task. People named with @ who may see it are told."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        change.permit(permissions.can_comment(actor, change.task), _("You may not comment on this task."))
        if not text.strip():
            raise InvalidInput("text", _("write a comment."))
        event = change.note(EventType.COMMENTED, reason=masked_reason(change, text))
        record_mentions(change, event, text)
        return event
