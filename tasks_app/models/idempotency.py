"""First answers to requests with an `Idempotency-Key`, so that a repeated request has its effect once."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import KeyField


class IdempotencyRecord(models.Model):
    """Scoped by service user; kept 72 hours; written in the same transaction as the effect."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="+", db_index=False
    )
    key = KeyField(_("key digest"), max_length=64)
    fingerprint = KeyField(_("fingerprint of method, path and body"), max_length=64)
    status = models.PositiveSmallIntegerField(_("status"), null=True)
    body = models.BinaryField(_("body"), null=True)
    created_at = models.DateTimeField(_("created"), db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_once")]
        verbose_name = _("idempotency record")
        verbose_name_plural = _("idempotency records")

    def __str__(self) -> str:
        return f"{self.user_id}:{self.key[:8]}"
