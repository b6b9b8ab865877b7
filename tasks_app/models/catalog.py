"""The catalogue: what kinds of work there are, who does them, and for whom. All of it is data."""

import uuid
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import KeyField
from tasks_app.states import DECISIONS, Priority


def new_revision() -> str:
    return str(uuid.uuid4())


class CatalogueRevision(models.Model):
    """One row, whose token triggers renew with every change of the catalogue, people, roles and tokens."""

    token = KeyField(max_length=36, default=new_revision)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.token)


class Principal(models.Model):
    """The advertiser or tenant on whose behalf an adapter acts."""

    principal_id = KeyField(_("principal"), max_length=64, primary_key=True)
    name = models.CharField(_("name"), max_length=200, blank=True)
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        ordering = ["principal_id"]
        verbose_name = _("principal")
        verbose_name_plural = _("principals")

    def __str__(self) -> str:
        return self.name or self.principal_id


class Team(models.Model):
    """The people who work task types for principals."""

    slug = KeyField(_("slug"), max_length=50, primary_key=True)
    name = models.CharField(_("name"), max_length=100)
    task_types: "models.ManyToManyField[TaskType, Any]" = models.ManyToManyField(
        "TaskType",
        verbose_name=_("task types"),
        blank=True,
        related_name="teams",
        help_text=_("What this team works on."),
    )
    serves_all_principals = models.BooleanField(_("serves all principals"), default=True)
    principals = models.ManyToManyField(
        Principal, verbose_name=_("principals"), blank=True, help_text=_("Counts where the team does not serve all.")
    )
    escalation_team = models.ForeignKey(
        "self",
        verbose_name=_("escalation team"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Escalated tasks go there; without one they stay with this team."),
    )
    return_after_minutes = models.PositiveIntegerField(
        _("untouched tasks return after (minutes)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(5), MaxValueValidator(24 * 60)],
        help_text=_("What somebody took and left alone goes back to the queue, after a warning. Empty: never."),
    )
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("team")
        verbose_name_plural = _("teams")

    def __str__(self) -> str:
        return self.name


class TeamMembership(models.Model):
    """A person in a team, as member or lead."""

    class Role(models.TextChoices):
        MEMBER = "member", _("Member")
        LEAD = "lead", _("Lead")

    team = models.ForeignKey(Team, verbose_name=_("team"), on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("person"), on_delete=models.PROTECT, related_name="memberships"
    )
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "team"], name="membership_once")]
        verbose_name = _("team member")
        verbose_name_plural = _("team members")

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()}, {self.team})"

    def get_additional_data(self) -> dict[str, str]:
        """For the audit log: by these the histories of team and person find a membership, also one that is gone."""
        return {"team": self.team_id, "person": self.user.get_username()}


def every_decision() -> list[str]:
    return sorted(DECISIONS)


class TaskType(models.Model):
    """A kind of work. A new kind needs a row, not code."""

    slug = KeyField(_("slug"), max_length=50, primary_key=True)
    label = models.CharField(_("label"), max_length=100)
    question = models.CharField(
        _("question"), max_length=200, blank=True, help_text=_("What the reviewer is asked, in one sentence.")
    )
    default_team = models.ForeignKey(Team, verbose_name=_("default team"), on_delete=models.PROTECT, related_name="+")
    default_priority = models.PositiveSmallIntegerField(
        _("default priority"), choices=Priority.choices, default=Priority.MEDIUM
    )
    allowed_resolutions = models.JSONField(_("allowed resolutions"), default=every_decision)
    instructions = models.TextField(_("instructions"), blank=True, help_text=_("Markdown, shown beside the work."))
    context_schema = models.JSONField(
        _("schema of context_data"),
        default=dict,
        blank=True,
        help_text=_("JSON Schema; checked when a task is opened."),
    )
    resolution_schema = models.JSONField(
        _("schema of the modifications"), default=dict, blank=True, help_text=_("JSON Schema; checked on a decision.")
    )
    safe_fields = models.JSONField(
        _("safe fields"),
        default=list,
        blank=True,
        help_text=_("Names or dotted paths of context_data that never hold personal data, such as ids."),
    )
    usual_handling_minutes = models.PositiveIntegerField(
        _("usual handling time (minutes)"), default=15, validators=[MaxValueValidator(30 * 24 * 60)]
    )
    needs_second_reviewer = models.BooleanField(_("needs a second reviewer"), default=False)
    expires_after_hours = models.PositiveIntegerField(
        _("expires after (hours)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(10 * 366 * 24)],
        help_text=_("Empty: tasks of this type never expire."),
    )
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        ordering = ["label"]
        verbose_name = _("task type")
        verbose_name_plural = _("task types")

    def __str__(self) -> str:
        return self.label
