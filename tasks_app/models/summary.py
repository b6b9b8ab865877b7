"""What is kept of past work: one small row an hour, kind of event and dimension, whatever the number of tasks."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import KeyField


class HourSummary(models.Model):
    """How often something happened in an hour, and how long it had taken, in buckets.

    `what` names the figure (`created`, `assigned`, `ended` ...), the other keys its dimensions; empty where they do not
    apply. `buckets` counts durations by the bounds of tasks_app/metrics.py, so that rows add up to any period.
    """

    hour = models.DateTimeField(_("hour"))
    what = KeyField(_("what"), max_length=30)
    task_type = KeyField(_("type"), max_length=50, blank=True)
    adapter_name = KeyField(_("adapter"), max_length=64, blank=True)
    operation = KeyField(_("operation"), max_length=64, blank=True)
    policy = KeyField(_("policy"), max_length=100, blank=True)
    person = KeyField(_("person"), max_length=150, blank=True)
    team = KeyField(_("team"), max_length=50, blank=True)
    number = models.PositiveIntegerField(_("number"), default=0)
    missed = models.PositiveIntegerField(_("deadline missed"), default=0)
    seconds = models.FloatField(_("seconds in all"), default=0)
    buckets = models.JSONField(_("by duration"), default=list, blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["hour", "what", "task_type", "adapter_name", "operation", "policy", "person", "team"],
                name="hour_once",
            )
        ]
        verbose_name = _("hour")
        verbose_name_plural = _("hours")

    def __str__(self) -> str:
        return f"{self.what} at {self.hour:%Y-%m-%d %H}"


class Quarter(models.Model):
    """What happened in a quarter of an hour to tasks of a type, team, principal and adapter: what reports are made of.

    `buckets` counts durations by the number of their bucket (`tasks_app.summaries.BOUNDS`); only those that are not
    empty.
    """

    at = models.DateTimeField(_("from"))
    what = KeyField(_("what"), max_length=30)
    task_type = KeyField(_("type"), max_length=50, blank=True)
    team = KeyField(_("team"), max_length=50, blank=True)
    principal = KeyField(_("principal"), max_length=64, blank=True)
    adapter_name = KeyField(_("adapter"), max_length=64, blank=True)
    number = models.PositiveIntegerField(_("number"), default=0)
    missed = models.PositiveIntegerField(_("deadline missed"), default=0)
    seconds = models.FloatField(_("seconds in all"), default=0)
    buckets = models.JSONField(_("by duration"), default=dict, blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["at", "what", "task_type", "team", "principal", "adapter_name"], name="quarter_once"
            )
        ]
        verbose_name = _("quarter of an hour")
        verbose_name_plural = _("quarters of an hour")

    def __str__(self) -> str:
        return f"{self.what} at {self.at:%Y-%m-%d %H:%M}"


class SummaryHead(models.Model):
    """One row: up to which position of the feed the summaries are told. Its lock makes roll-ups follow one another."""

    position = models.BigIntegerField(_("position"), default=0)
    swept_at = models.DateTimeField(_("timers last swept"), null=True)

    class Meta:
        default_permissions = ()
        verbose_name = verbose_name_plural = _("place of the summaries")

    def __str__(self) -> str:
        return str(self.position)
