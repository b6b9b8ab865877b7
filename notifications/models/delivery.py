"""What is on its way, and what was tried."""

from datetime import datetime
from typing import Any, Final

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import crypto
from core.fields import KeyField
from core.ids import new_id
from core.rows import PlainRow
from notifications.models.alert import Alert
from notifications.models.endpoint import Endpoint, outcomes
from tasks_app.models import TaskEvent

DELIVERY_PREFIX: Final = "dlv_"
IS_PENDING: Final = Q(status="pending")


def new_delivery_id() -> str:
    return new_id(DELIVERY_PREFIX)


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self, now: datetime) -> "DeliveryQuerySet":
        """Those to try now, which nobody has leased."""
        free = Q(leased_until__isnull=True) | Q(leased_until__lte=now)
        return self.filter(free, status=Delivery.Status.PENDING, next_attempt_at__lte=now)

    def undelivered_outcomes(self) -> "DeliveryQuerySet":
        """Outcomes that some receiver was to hear of and did not, and that nobody tries any more."""
        return self.filter(
            status=Delivery.Status.FAILED,
            event_type__in=outcomes(),
            endpoint__removed_at__isnull=True,
            endpoint__channel__isnull=True,
        )


DeliveryManager = models.Manager.from_queryset(DeliveryQuerySet)


class Delivery(PlainRow):
    """One event for one endpoint, with the very bytes of every try. The row is the queue; nothing else holds it."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        SENT = "sent", _("Delivered")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")
        HELD = "held", _("Waits for a digest")
        FOLDED = "folded", _("In a digest")

    delivery_id = KeyField(_("delivery"), max_length=40, primary_key=True, default=new_delivery_id, editable=False)
    event = models.ForeignKey(
        TaskEvent,
        verbose_name=_("event"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="deliveries",
        db_index=False,
        null=True,
        help_text=_("None: a digest or an alert."),
    )
    endpoint = models.ForeignKey(
        Endpoint, verbose_name=_("endpoint"), on_delete=models.PROTECT, related_name="deliveries", db_index=False
    )
    alert = models.ForeignKey(
        Alert,
        verbose_name=_("alert"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="deliveries",
        db_index=False,
    )
    event_type = KeyField(_("what"), max_length=40)
    task_id = KeyField(_("task"), max_length=40, blank=True)
    seq = models.PositiveIntegerField(_("number"))
    body = models.BinaryField(_("body"))
    is_sealed = models.BooleanField(_("body is encrypted"), default=False, db_default=False, editable=False)
    status = KeyField(_("status"), max_length=20, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_attempt_at = models.DateTimeField(_("next try"), null=True, blank=True)
    leased_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    lease = KeyField(_("lease"), max_length=32, blank=True)
    created_at = models.DateTimeField(_("created"))
    delivered_at = models.DateTimeField(_("delivered at"), null=True, blank=True)

    # Messages to people: when it was let out as one of its own, or the digest that it is part of
    spoken_at = models.DateTimeField(_("let out"), null=True, blank=True, editable=False)
    folded_into = models.ForeignKey(
        "self",
        verbose_name=_("digest"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="folded",
        db_index=False,
    )

    objects = DeliveryManager()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["event", "endpoint"], name="delivery_once"),
            models.UniqueConstraint(
                fields=["alert", "endpoint", "event_type"],
                condition=Q(alert__isnull=False),
                name="delivery_of_alert_once",
            ),
            models.CheckConstraint(
                condition=Q(status="pending", next_attempt_at__isnull=False, delivered_at__isnull=True)
                | Q(status="sent", next_attempt_at__isnull=True, delivered_at__isnull=False)
                | Q(
                    status__in=["failed", "cancelled", "held", "folded"],
                    next_attempt_at__isnull=True,
                    delivered_at__isnull=True,
                ),
                name="delivery_status_agrees",
            ),
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "next_attempt_at", "delivery_id"], condition=IS_PENDING, name="delivery_due"
            ),
            models.Index(fields=["task_id", "endpoint", "seq"], condition=IS_PENDING, name="delivery_in_order"),
            models.Index(fields=["task_id"], condition=Q(status="failed"), name="delivery_undelivered"),
            models.Index(fields=["endpoint", "delivery_id"], name="delivery_of_endpoint"),
            models.Index(fields=["task_id", "delivery_id"], name="delivery_of_task"),
            models.Index(
                fields=["endpoint", "-spoken_at"], condition=Q(spoken_at__isnull=False), name="delivery_spoken"
            ),
            models.Index(fields=["endpoint", "delivery_id"], condition=Q(status="held"), name="delivery_held"),
            models.Index(fields=["folded_into"], condition=Q(folded_into__isnull=False), name="delivery_folded"),
        ]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")

    def __str__(self) -> str:
        return f"{self.event_type} of {self.task_id}" if self.task_id else str(self.event_type)

    @property
    def message_id(self) -> str:
        """The same over all tries: the event's id, or for what is no event its own."""
        return str(self.event_id or self.delivery_id)

    @property
    def content(self) -> bytes:
        """The bytes that are sent. Those that echo a receiver's token are encrypted in the table."""
        stored = bytes(self.body)
        return crypto.unseal(stored).encode() if self.is_sealed else stored

    def columns(self) -> dict[str, Any]:
        """All columns (attribute names) as they stand in memory."""
        return {field.attname: self.__dict__[field.attname] for field in self._meta.concrete_fields}

    def keep(self, content: bytes, *, sealed: bool) -> None:
        """Store the bytes to send."""
        self.body, self.is_sealed = crypto.seal(content.decode()) if sealed else content, sealed


class Attempt(models.Model):
    """One try to send a delivery, and what came back. Written whether or not the lease was still ours."""

    delivery = models.ForeignKey(Delivery, verbose_name=_("delivery"), on_delete=models.CASCADE, related_name="tries")
    started_at = models.DateTimeField(_("started"))
    duration_ms = models.PositiveIntegerField(_("took (ms)"))
    headers = models.JSONField(_("headers sent"), default=dict)
    status = models.PositiveSmallIntegerField(_("answer's status"), null=True, blank=True)
    answer_headers = models.JSONField(_("answer's headers"), default=dict, blank=True)
    answer = models.TextField(_("answer's beginning"), blank=True)
    error = KeyField(_("error"), max_length=20, blank=True)
    detail = models.TextField(_("what went wrong"), blank=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["id"]
        verbose_name = _("try")
        verbose_name_plural = _("tries")

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M:%S}: {self.status or self.error}"
