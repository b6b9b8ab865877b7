"""Where people hear of their work: a team's mailbox or chat room, a person's own, or that of those who run it all."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.fields import KeyField
from notifications.models.endpoint import Endpoint
from tasks_app.models import Team
from tasks_app.states import EventType

FOR_PEOPLE: Final = (
    EventType.ASSIGNED,
    EventType.CREATED,
    EventType.ROUTED,
    EventType.ESCALATED,
    EventType.SLA_WARNED,
    EventType.COMMENTED,
    EventType.WITHDRAWN,
    EventType.EXPIRED,
    EventType.COMPLETED,
    EventType.FAILED,
)
"""The events that people can ask to hear of, in the order in which they are offered."""


def first_choice() -> list[str]:
    """What a new channel of a person hears of."""
    chosen = (EventType.ASSIGNED, EventType.ESCALATED, EventType.SLA_WARNED, EventType.COMMENTED)
    return [str(event) for event in chosen]


class Channel(models.Model):
    """A receiver that is people, on an `Endpoint` of its own: that holds what to hear, what failed, and the queue.

    Of a team, it hears of the tasks in the team's hands; of a person, of those that he or she holds or whose team
    they are in; of neither, of all tasks: such a one belongs to those who run the system. A step of a deadline policy
    names a channel by its slug.
    """

    slug = KeyField(_("slug"), max_length=50, primary_key=True)
    name = models.CharField(_("name"), max_length=100)
    endpoint = models.OneToOneField(
        Endpoint, verbose_name=_("endpoint"), on_delete=models.PROTECT, related_name="channel", editable=False
    )
    team = models.ForeignKey(
        Team,
        verbose_name=_("team"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Hears of the tasks in this team's hands. Empty: of all tasks."),
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("person"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="notification_channels",
        editable=False,
    )

    class Meta:
        ordering = ["name"]
        verbose_name = _("channel")
        verbose_name_plural = _("channels")
        constraints = [
            models.CheckConstraint(condition=Q(team__isnull=True) | Q(person__isnull=True), name="channel_of_one")
        ]

    def __str__(self) -> str:
        return self.name
