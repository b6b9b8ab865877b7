"""Masked values: shown once to those who may, with a reason that stays in the trail; or erased for good."""

import orjson
from django.utils.translation import gettext as _

from core import crypto
from tasks_app import permissions
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput, NotAllowed
from tasks_app.models import SealedDetail
from tasks_app.services.rhythm import changing
from tasks_app.services.texts import masked_reason
from tasks_app.states import EventType


def reveal_detail(
    task_id: str, actor: Actor, *, placeholder: str, reason: str, expected_version: int | None = None
) -> str:
    """The original behind `placeholder`, e.g. `[email 1]`. Leaves `task.detail_revealed` with the reason."""
    with changing(task_id, actor, expected_version=expected_version) as change:
        change.permit(permissions.can_reveal(actor, change.task), _("You may not reveal masked values of this task."))
        if not reason.strip():
            raise InvalidInput("reason", _("say why you need the value."))
        for detail in SealedDetail.objects.filter(task=change.task).order_by("pk"):
            if placeholder in detail.placeholders:
                original = str(orjson.loads(crypto.unseal(bytes(detail.sealed)))[placeholder])
                change.note(EventType.DETAIL_REVEALED, reason=f"{placeholder}: {masked_reason(change, reason)}")
                return original
        raise InvalidInput(
            "placeholder", _("nothing is sealed under '%(name)s'; it may have been erased.") % {"name": placeholder}
        )


def erase_details(task_id: str, actor: Actor, *, reason: str) -> int:
    """Delete the sealed originals of a task for good; return how many rows that were. For administrators."""
    with changing(task_id, actor) as change:
        if not actor.grants.manages_everything:
            raise NotAllowed(_("Only an administrator may erase sealed values."))
        erased, _per_model = SealedDetail.objects.filter(task=change.task).delete()
        change.note(EventType.DETAILS_ERASED, reason=masked_reason(change, reason))
        return erased
