"""The trail: one append-only row per fact about a task, chained by hash, and its mutable neighbour, the outbox."""

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import KeyField
from core.rows import PlainRow
from tasks_app.states import EventType


class TaskEvent(PlainRow):
    """A past fact about a task. No column ever changes: triggers on both databases see to it (core/guards.py).

    One chain per task: `hash` covers every column and the hash before it. The task's row lock orders the chain, so
    writers of different tasks do not wait for each other. No database constraint ties an event to its task, so that a
    task may leave by retention while its trail stays.
    """

    event_id = KeyField(_("event"), max_length=40, primary_key=True)
    task = models.ForeignKey(
        "HumanTask",
        verbose_name=_("task"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="events",
        db_index=False,
    )
    seq = models.PositiveIntegerField(_("number"))
    type = KeyField(_("what"), max_length=40, choices=EventType.choices)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("who"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("on behalf of"),
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
    )
    reason = models.TextField(_("reason"), blank=True)
    at = models.DateTimeField(_("when"))
    from_status = KeyField(_("from"), max_length=20, blank=True)
    to_status = KeyField(_("to"), max_length=20)
    snapshot = models.BinaryField(_("snapshot"), help_text=_("Canonical JSON, frozen as the bytes that were hashed."))
    prev_hash = KeyField(_("previous hash"), max_length=64, blank=True)
    hash = KeyField(_("hash"), max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "seq"], name="event_seq_once")]
        verbose_name = _("event")
        verbose_name_plural = _("events")

    def __str__(self) -> str:
        return f"{self.type} #{self.seq} of {self.task_id}"

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("events are never deleted")


class EventOutbox(models.Model):
    """Where an event stands on its way out. `position` is gapless and assigned after commit, by one writer at a time.

    Ids grow with insertion, so a task's events have theirs in order even if the clocks of two machines differ; but a
    slow commit shows up behind higher ids, which is why readers go by `position` alone.
    """

    event = models.OneToOneField(
        TaskEvent, verbose_name=_("event"), on_delete=models.DO_NOTHING, db_constraint=False, related_name="outbox"
    )
    principal = models.ForeignKey(
        "Principal", verbose_name=_("principal"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    position = models.BigIntegerField(_("position"), null=True, unique=True)
    dispatched_at = models.DateTimeField(_("dispatched"), null=True)

    class Meta:
        indexes = [
            models.Index(fields=["id"], name="outbox_new", condition=models.Q(position__isnull=True)),
            models.Index(
                fields=["position"], name="outbox_undispatched", condition=models.Q(dispatched_at__isnull=True)
            ),
            models.Index(fields=["principal", "position"], name="outbox_feed"),
        ]
        verbose_name = _("outbox entry")
        verbose_name_plural = _("outbox")

    def __str__(self) -> str:
        return f"{self.event_id} at {self.position}"


class FeedLine(models.Model):
    """What the feed shows of one of the newest events, as bytes that are ready to be sent (tasks_app/feed.py).

    Written once, with the event's position, and dropped when the event is no longer among the newest. A text can always
    be written again: the trail does not rest on it, and `audit_verify` compares it. PostgreSQL only.
    """

    place = models.OneToOneField(
        EventOutbox,
        verbose_name=_("position"),
        on_delete=models.DO_NOTHING,
        to_field="position",
        db_column="position",
        db_constraint=False,
        primary_key=True,
        related_name="line",
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("who"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        db_index=False,
    )
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("on behalf of"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="+",
        db_index=False,
    )
    # The answer of the feed without its first brace and the names of people.
    text = models.BinaryField(_("text"))

    class Meta:
        verbose_name = _("line of the feed")
        verbose_name_plural = _("lines of the feed")

    def __str__(self) -> str:
        return f"line {self.pk}"


class FeedHead(models.Model):
    """One row: the last position given. Its row lock makes positions gapless on both databases."""

    last_position = models.BigIntegerField(_("last position"), default=0)

    class Meta:
        verbose_name = _("feed head")
        verbose_name_plural = _("feed head")

    def __str__(self) -> str:
        return str(self.last_position)
