"""Signed checkpoints of the trail."""

from typing import Any, NoReturn

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import KeyField


class Checkpoint(models.Model):
    """What the trail said at one moment, signed with a key that the database does not hold.

    It covers the positions after `from_position` up to `to_position`, and through `previous` every checkpoint before.
    `rows` lists what it covers, so that a bad row can be named even where it is gone; its digest alone is signed.
    docs/audit.md gives the form. Append-only, like the events (core/guards.py).
    """

    number = models.PositiveIntegerField(_("number"), primary_key=True)
    from_position = models.BigIntegerField(_("after position"))
    to_position = models.BigIntegerField(_("up to position"))
    rows = models.TextField(_("rows"), help_text=_("One line per event: position, task, seq, digest."))
    rows_digest = KeyField(_("digest of the rows"), max_length=64)
    previous = KeyField(_("digest of the previous checkpoint"), max_length=64, blank=True)
    made_at = models.DateTimeField(_("made"))
    key_id = KeyField(_("key"), max_length=16)
    digest = KeyField(_("digest"), max_length=64)
    signature = KeyField(_("signature"), max_length=88)

    class Meta:
        default_permissions = ("view",)
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")

    def __str__(self) -> str:
        return f"checkpoint {self.number}"

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("checkpoints are never deleted")
