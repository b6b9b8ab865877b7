"""Who has a task open now: heartbeats of pages, not facts of the trail. They grow stale in seconds."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class TaskPresence(models.Model):
    """A person's page showed a task last at `seen_at`."""

    task = models.ForeignKey(
        "HumanTask", verbose_name=_("task"), on_delete=models.CASCADE, related_name="+", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("who"), on_delete=models.CASCADE, related_name="+", db_index=False
    )
    seen_at = models.DateTimeField(_("seen at"), db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "user"], name="presence_once")]
        verbose_name = _("presence")
        verbose_name_plural = _("presences")

    def __str__(self) -> str:
        return f"{self.user_id} on {self.task_id}"
