"""What masking cut out of a task, encrypted. Lists, exports, webhooks, logs and the trail never hold it."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class SealedDetail(models.Model):
    """The originals of one text or call: sealed JSON of placeholder -> original. Erasure deletes the row."""

    task = models.ForeignKey(
        "HumanTask", verbose_name=_("task"), on_delete=models.CASCADE, related_name="sealed_details"
    )
    placeholders = models.JSONField(
        _("placeholders"), default=list, help_text=_("What stands in the texts instead, e.g. [email 1].")
    )
    sealed = models.BinaryField(_("sealed originals"), editable=False)
    created_at = models.DateTimeField(_("sealed at"))

    class Meta:
        verbose_name = _("sealed detail")
        verbose_name_plural = _("sealed details")

    def __str__(self) -> str:
        return f"sealed detail of {self.task_id}"
