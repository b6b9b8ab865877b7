"""How long ended tasks are kept."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks_app.models.catalog import TaskType


class RetentionPolicy(models.Model):
    """How long the ended tasks of a type stay; without one, for ever. What becomes of them: tasks_app/retention.py."""

    task_type = models.OneToOneField(
        TaskType, verbose_name=_("type"), on_delete=models.PROTECT, related_name="retention", primary_key=True
    )
    days = models.PositiveIntegerField(
        _("days"),
        validators=[MinValueValidator(1), MaxValueValidator(100 * 366)],
        help_text=_("Counted from the end of a task."),
    )
    export_first = models.BooleanField(
        _("export first"),
        default=True,
        help_text=_("Write each task and its events to a file in the retention folder before it leaves."),
    )
    is_active = models.BooleanField(
        _("active"), default=False, help_text=_("Look at the preview before you switch it on.")
    )
    # The end of the last task that left: nobody looks through what is kept for longer again and again.
    reached = models.DateTimeField(_("reached"), null=True, editable=False)

    class Meta:
        default_permissions = ("add", "change", "view")
        verbose_name = _("retention policy")
        verbose_name_plural = _("retention")

    def __str__(self) -> str:
        return f"{self.task_type.label}: {self.days} d"
