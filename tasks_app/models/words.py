"""What people say: a team's reusable phrases, and who was named in a comment."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks_app.models.catalog import TaskType, Team
from tasks_app.models.event import TaskEvent
from tasks_app.models.task import HumanTask
from tasks_app.states import DECISIONS, Resolution


class Phrase(models.Model):
    """A text that a team uses again and again in its feedback; one click inserts it."""

    team = models.ForeignKey(Team, verbose_name=_("team"), on_delete=models.PROTECT, related_name="phrases")
    task_type = models.ForeignKey(
        TaskType,
        verbose_name=_("task type"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Empty: offered for every type that the team works on."),
    )
    resolution = models.CharField(
        _("decision"),
        max_length=20,
        blank=True,
        choices=[(r.value, r.label) for r in Resolution if r in DECISIONS],
        help_text=_("Empty: offered with every decision."),
    )
    text = models.TextField(_("text"), max_length=1_000)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        ordering = ["team", "pk"]
        verbose_name = _("phrase")
        verbose_name_plural = _("phrases")

    def __str__(self) -> str:
        return self.text if len(self.text) <= 60 else f"{self.text[:59]}…"


class Mention(models.Model):
    """A person was named in a comment, and may see its task. Written with the comment's event; `read_at` is theirs.

    Neither constraint ties it to task and event, so that retention can work; it goes with them.
    """

    event = models.ForeignKey(
        TaskEvent, verbose_name=_("event"), on_delete=models.CASCADE, db_constraint=False, related_name="mentions"
    )
    task = models.ForeignKey(
        HumanTask,
        verbose_name=_("task"),
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="+",
        db_index=False,
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("person"),
        on_delete=models.PROTECT,
        related_name="mentions",
        db_index=False,
    )
    at = models.DateTimeField(_("when"))
    read_at = models.DateTimeField(_("read"), null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["event", "person"], name="mention_once")]
        indexes = [
            models.Index(fields=["person", "-at"], name="mention_recent"),
            models.Index(fields=["person", "task"], name="mention_unread", condition=models.Q(read_at__isnull=True)),
        ]
        verbose_name = _("mention")
        verbose_name_plural = _("mentions")

    def __str__(self) -> str:
        return f"@{self.person} in {self.event_id}"
