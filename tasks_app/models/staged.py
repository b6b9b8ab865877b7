"""A decision that can still be taken back: kept on the server, carried out when its time is over."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import KeyField
from tasks_app.states import Resolution


class StagedDecision(models.Model):
    """What a person decided, at which version of the task, until when it waits, and what became of it.

    Texts are masked already. Rows are written under the task's row lock alone, so at most one of a task waits; when it
    is due stands on the task itself (`staged_until`), where the sweep looks.
    """

    class Outcome(models.TextChoices):
        WAITING = "", _("Waits")
        CARRIED_OUT = "carried_out", _("Carried out")
        TAKEN_BACK = "taken_back", _("Taken back")
        CANCELLED = "cancelled", _("Not carried out")

    task = models.ForeignKey("HumanTask", verbose_name=_("task"), on_delete=models.CASCADE, related_name="staged")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("who"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    resolution = KeyField(_("resolution"), max_length=20, choices=Resolution.choices)
    detail = models.TextField(_("feedback"), blank=True)
    modifications = models.JSONField(_("modifications"), default=dict, blank=True)
    version = models.PositiveIntegerField(_("version decided on"))
    staged_at = models.DateTimeField(_("decided at"))
    due_at = models.DateTimeField(_("carried out at"))
    # The frame of the request, for the audit entry of the end
    address = models.GenericIPAddressField(_("address"), null=True)
    correlation_id = models.CharField(_("correlation id"), max_length=255, blank=True)
    outcome = KeyField(_("outcome"), max_length=20, choices=Outcome.choices, blank=True)
    why = models.TextField(_("why it was not carried out"), blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)
    told_at = models.DateTimeField(_("told at"), null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task"], condition=models.Q(outcome=""), name="staged_once_per_task")
        ]
        indexes = [
            models.Index(fields=["person", "due_at"], condition=models.Q(outcome=""), name="staged_waiting"),
            models.Index(
                fields=["person"], condition=models.Q(outcome="cancelled", told_at__isnull=True), name="staged_untold"
            ),
            models.Index(fields=["ended_at"], name="staged_ended"),
        ]
        verbose_name = _("staged decision")
        verbose_name_plural = _("staged decisions")

    def __str__(self) -> str:
        return f"{self.resolution} of {self.task_id} by {self.person_id}"
