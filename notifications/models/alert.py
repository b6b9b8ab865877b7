"""What calls for attention: rules as data, and the episodes in which one held."""

from typing import Any, Final

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.fields import KeyField
from core.ids import new_id
from notifications.models.channel import Channel
from tasks_app.states import Priority

ALERT_PREFIX: Final = "alrt_"


def new_alert_id() -> str:
    return new_id(ALERT_PREFIX)


class AlertRule(models.Model):
    """When to raise an alert, and where to say so. `minutes` and `threshold` mean what the kind says they do."""

    class Kind(models.TextChoices):
        HIGH_PRIORITY = "high_priority", _("An urgent task waits for somebody")
        OVERDUE = "overdue", _("A task is past its deadline")
        FAILURES = "failures", _("Operations fail in a burst")
        ENDPOINT = "endpoint", _("A receiver fails")
        OUTBOX = "outbox", _("Messages pile up")
        SILENCE = "silence", _("The timers are silent")

    slug = KeyField(_("slug"), max_length=50, primary_key=True)
    name = models.CharField(_("name"), max_length=100)
    kind = KeyField(_("kind"), max_length=20, choices=Kind.choices)
    enabled = models.BooleanField(_("enabled"), default=True)
    min_priority = models.PositiveSmallIntegerField(
        _("priority at least"), choices=Priority.choices, default=Priority.LOW, help_text=_("For alerts about tasks.")
    )
    minutes = models.PositiveIntegerField(
        _("minutes"),
        default=0,
        validators=[MaxValueValidator(366 * 24 * 60)],
        help_text=_(
            "Tasks: how long one may wait, or be overdue, before the alert. Failures: how far to look back. "
            "Receiver, messages, timers: for how long it has to be so."
        ),
    )
    threshold = models.PositiveIntegerField(
        _("number"), default=1, help_text=_("Failures: so many within the time. Messages: so many waiting.")
    )
    channels: "models.ManyToManyField[Channel, Any]" = models.ManyToManyField(
        Channel,
        verbose_name=_("tell"),
        blank=True,
        related_name="alert_rules",
        help_text=_("None: the alert is shown in the console alone."),
    )

    class Meta:
        ordering = ["name"]
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """One episode: from when a rule began to hold for something until it no longer did. At most one is open."""

    alert_id = KeyField(_("alert"), max_length=40, primary_key=True, default=new_alert_id, editable=False)
    rule = models.ForeignKey(AlertRule, verbose_name=_("rule"), on_delete=models.PROTECT, related_name="alerts")
    subject = KeyField(_("about"), max_length=500, blank=True)
    text = models.CharField(_("what"), max_length=500)
    task_id = KeyField(_("task"), max_length=40, blank=True)
    opened_at = models.DateTimeField(_("since"))
    closed_at = models.DateTimeField(_("over"), null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["-alert_id"]
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject"], condition=Q(closed_at__isnull=True), name="alert_open_once"
            )
        ]

    def __str__(self) -> str:
        return self.text


class WatchHead(models.Model):
    """One row: when the rules were last looked at. Whoever moves it on looks at them."""

    looked_at = models.DateTimeField(_("rules last looked at"))

    class Meta:
        default_permissions = ()
        verbose_name = verbose_name_plural = _("watch")

    def __str__(self) -> str:
        return str(self.looked_at)
