"""Promises about time: calendars, policies, and the steps that a policy takes on the way to a deadline."""

import secrets
from datetime import timedelta
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core import prepared
from core.fields import KeyField
from tasks_app import reasons
from tasks_app.models.catalog import Principal, TaskType, Team
from tasks_app.states import Priority

# Beyond a year of working minutes no calendar is looked through, and no date is far enough.
LONGEST_MINUTES: Final = 366 * 24 * 60


def new_token() -> str:
    return secrets.token_hex(8)


class SLARevision(models.Model):
    """One row, with a new random token whenever a policy, step or calendar changes: processes keep what they have read
    until it differs. (A counter would come back to an old value after a rollback.)

    `applied` is the token for which the open tasks were last computed, `reason` what their timelines will say.
    """

    token = KeyField(max_length=16, default=new_token)
    applied = KeyField(max_length=16, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        default_permissions = ()
        verbose_name = verbose_name_plural = _("revision of the policies")

    def __str__(self) -> str:
        return str(self.token)

    @classmethod
    def bump(cls) -> None:
        cls.objects.update_or_create(pk=1, defaults={"token": new_token()})

    @classmethod
    def current(cls) -> str:
        """The token; empty where no policy was ever set."""
        found = prepared.rows("revision of the policies", lambda: cls.objects.filter(pk=1).values_list("token"))
        return str(found[0][0]) if found else ""


class _Revised(models.Model):
    """Saving tells every process to read the policies again."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        SLARevision.bump()


class BusinessCalendar(_Revised):
    """When people work. What its columns mean is in tasks_app/sla/calendars.py, which also checks them."""

    slug = KeyField(_("slug"), max_length=50, primary_key=True)
    name = models.CharField(_("name"), max_length=100)
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    weekly_hours = models.JSONField(
        _("weekly hours"),
        default=dict,
        help_text=_(
            'For each day its ranges: {"mon": [["09:00", "12:30"], ["13:30", "18:00"]]}. '
            "A range that ends before it starts runs past midnight."
        ),
    )
    country = models.CharField(_("country"), max_length=10, blank=True, help_text=_("For public holidays, e.g. DE."))
    subdivision = models.CharField(_("region"), max_length=20, blank=True, help_text=_("E.g. BY, or CA for the US."))
    own_dates = models.JSONField(
        _("own dates"),
        default=dict,
        blank=True,
        help_text=_('They replace a day: {"2026-12-24": [["09:00", "12:00"]], "2026-12-31": []}.'),
    )

    class Meta:
        ordering = ["name"]
        verbose_name = _("calendar")
        verbose_name_plural = _("calendars")

    def __str__(self) -> str:
        return self.name


class SLAPolicy(_Revised):
    """How long tasks of a type, priority and principal may take. Empty conditions fit all; the most specific wins."""

    name = models.CharField(_("name"), max_length=100)
    task_type = models.ForeignKey(
        TaskType, verbose_name=_("type"), on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    priority = models.PositiveSmallIntegerField(_("priority"), choices=Priority.choices, null=True, blank=True)
    principal = models.ForeignKey(
        Principal, verbose_name=_("principal"), on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    to_assign_minutes = models.PositiveIntegerField(
        _("opened to assigned (minutes)"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(LONGEST_MINUTES)],
        help_text=_("Until somebody first has it."),
    )
    assigned_to_resolve_minutes = models.PositiveIntegerField(
        _("assigned to ended (minutes)"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(LONGEST_MINUTES)],
        help_text=_("Begins anew with each assignment."),
    )
    to_resolve_minutes = models.PositiveIntegerField(
        _("opened to ended (minutes)"), null=True, blank=True, validators=[MaxValueValidator(LONGEST_MINUTES)]
    )
    calendar = models.ForeignKey(
        BusinessCalendar,
        verbose_name=_("calendar"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Empty: round the clock."),
    )
    pauses_on_hold = models.BooleanField(_("clocks stop on hold"), default=True)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("deadline policy")
        verbose_name_plural = _("deadline policies")
        constraints = [
            models.UniqueConstraint(
                Coalesce("task_type", Value("")),
                Coalesce("priority", Value(0)),
                Coalesce("principal", Value("")),
                condition=Q(is_active=True),
                name="sla_policy_once",
                violation_error_message=_("There is an active policy for this type, priority and principal already."),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """In no time at all nobody does anything: every task would be late as it is opened."""
        names = ("to_assign_minutes", "assigned_to_resolve_minutes", "to_resolve_minutes")
        refusal = _("Give at least one minute, or leave it empty.")
        wrong = {name: refusal for name in names if getattr(self, name) == 0}
        if wrong:
            raise ValidationError(wrong)


class SLAStep(_Revised):
    """What happens at a moment of a clock. A step that was used is never edited: the new version is a new row.

    `key` stays with all versions of a step, so that a task which took one does not take its successor too.
    """

    class Clock(models.TextChoices):
        ASSIGN = "assign", _("until assigned")
        RESOLVE = "resolve", _("until ended")

    class Action(models.TextChoices):
        """In the order of their weight: after an outage the heaviest of the missed steps is taken."""

        WARN = "warn", _("Warn the assignee")
        NOTIFY = "notify", _("Notify a channel")
        RAISE_PRIORITY = "raise_priority", _("Raise the priority")
        ROUTE = "route", _("Route to a team")
        ESCALATE = "escalate", _("Escalate")

    policy = models.ForeignKey(SLAPolicy, verbose_name=_("policy"), on_delete=models.PROTECT, related_name="steps")
    key = KeyField(_("key"), max_length=16, default=new_token, editable=False)
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    is_current = models.BooleanField(_("current"), default=True, editable=False)
    clock = KeyField(_("clock"), max_length=10, choices=Clock.choices, default=Clock.RESOLVE)
    at_percent = models.PositiveIntegerField(
        _("at percent of the target"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(1_000)],
        help_text=_("100 is the deadline; 150 half as much later."),
    )
    offset_minutes = models.IntegerField(
        _("minutes from the deadline"), null=True, blank=True, help_text=_("Below 0: before it. Business time.")
    )
    action = KeyField(_("action"), max_length=20, choices=Action.choices)
    channel = KeyField(_("channel"), max_length=50, blank=True, help_text=_("Slug of the channel to notify."))
    team = models.ForeignKey(
        Team, verbose_name=_("team"), on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["policy", "clock", "at_percent", "offset_minutes", "id"]
        verbose_name = _("escalation step")
        verbose_name_plural = _("escalation steps")
        constraints = [
            models.CheckConstraint(
                condition=Q(at_percent__isnull=False, offset_minutes__isnull=True)
                | Q(at_percent__isnull=True, offset_minutes__isnull=False),
                name="sla_step_one_moment",
                violation_error_message=_("Give a percentage of the target or minutes from the deadline, not both."),
            ),
            models.CheckConstraint(
                condition=(~Q(action="notify") | ~Q(channel="")) & (~Q(action="route") | Q(team__isnull=False)),
                name="sla_step_complete",
                violation_error_message=_("Name the channel to notify, or the team to route to."),
            ),
            models.UniqueConstraint(fields=["key", "version"], name="sla_step_version"),
        ]

    def __str__(self) -> str:
        return f"{self.when}: {self.get_action_display()}"

    @property
    def when(self) -> str:
        """`at 80 %`, `30 min before the deadline`."""
        offset = None if self.offset_minutes is None else timedelta(minutes=self.offset_minutes)
        return reasons.when(self.at_percent, offset, gettext)

    def clean(self) -> None:
        if self.offset_minutes is not None and abs(timedelta(minutes=self.offset_minutes)) > timedelta(days=366):
            raise ValidationError({"offset_minutes": _("Give at most a year.")})
        if self.clock == self.Clock.ASSIGN and self.policy.to_assign_minutes is None:
            raise ValidationError({"clock": _("The policy gives no time to assign, so this step would never come.")})


class FiredStep(models.Model):
    """A step that a task has taken, or passed over after an outage: once, whatever the number of sweeps.

    Held by no constraint to its task, so that the task may leave by retention.
    """

    class Outcome(models.TextChoices):
        DONE = "done", _("Done")
        PASSED_OVER = "passed_over", _("Passed over for a later step")
        NOT_NEEDED = "not_needed", _("Nothing to do")

    task = models.ForeignKey(
        "HumanTask", on_delete=models.DO_NOTHING, db_constraint=False, related_name="fired_steps", db_index=False
    )
    step = models.ForeignKey(SLAStep, on_delete=models.PROTECT, related_name="+", db_index=False)
    fired_at = models.DateTimeField(_("when"))
    outcome = KeyField(_("outcome"), max_length=20, choices=Outcome.choices)
    event_id = KeyField(_("event"), max_length=40, blank=True, db_index=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["task", "step"], name="step_once")]
        verbose_name = _("step taken")
        verbose_name_plural = _("steps taken")

    def __str__(self) -> str:
        return f"{self.step_id} of {self.task_id}"
