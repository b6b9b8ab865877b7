"""Where events go, what is on its way, and what was tried."""

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import crypto
from core.fields import KeyField
from core.ids import new_id
from tasks_app.models import TaskEvent
from tasks_app.states import OUTCOMES, Priority

ENDPOINT_PREFIX: Final = "ep_"
DELIVERY_PREFIX: Final = "dlv_"
ROTATION_OVERLAP: Final = timedelta(hours=24)
"""How long the old secret signs too, after a new one was made."""

IS_PENDING: Final = Q(status="pending")


def new_endpoint_id() -> str:
    return new_id(ENDPOINT_PREFIX)


def new_delivery_id() -> str:
    return new_id(DELIVERY_PREFIX)


def outcomes() -> list[str]:
    return [str(event) for event in OUTCOMES]


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def present(self) -> "EndpointQuerySet":
        """Those not removed."""
        return self.filter(removed_at__isnull=True)

    def callable(self, now: datetime) -> "EndpointQuerySet":
        """Those that may be called now."""
        return self.present().filter(Q(paused_until__isnull=True) | Q(paused_until__lte=now), enabled=True)


EndpointManager = models.Manager.from_queryset(EndpointQuerySet)


class Endpoint(models.Model):
    """A receiver of events: an adapter's own (`owner`), which hears of the tasks that it opened, or the operator's.

    Removing keeps the row, so that the log of what was sent stays readable.
    """

    class Format(models.TextChoices):
        STANDARD = "standard", _("Standard Webhooks")
        FLAT = "flat", _("Flat (task_id, type, priority, detail, principal)")

    class Disabled(models.TextChoices):
        """Why an endpoint is switched off. The last two were not decided by a person."""

        BY_HAND = "by_hand", _("by hand")
        SETTINGS = "settings", _("HITL_WEBHOOK_URL was taken away")
        GONE = "gone", _("the receiver answered 410 Gone")
        FAILING = "failing", _("nothing arrived for five days")

    endpoint_id = KeyField(_("endpoint"), max_length=40, primary_key=True, default=new_endpoint_id, editable=False)
    url = models.CharField(_("URL"), max_length=2048)
    description = models.CharField(_("description"), max_length=200, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("adapter"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="webhook_endpoints",
        help_text=_("Hears of the tasks that it opened. Empty: the operator's, which hears of all tasks."),
    )
    format = KeyField(_("format"), max_length=20, choices=Format.choices, default=Format.STANDARD)
    setting = KeyField(_("made by setting"), max_length=40, null=True, blank=True, unique=True, editable=False)

    # Which events; an empty list or text leaves nothing out.
    event_types = models.JSONField(_("events"), default=outcomes, blank=True)
    min_priority = models.PositiveSmallIntegerField(
        _("priority at least"), choices=Priority.choices, default=Priority.LOW
    )
    task_types = models.JSONField(_("task types"), default=list, blank=True)
    principals = models.JSONField(_("principals"), default=list, blank=True)
    adapter_name = KeyField(_("adapter name"), max_length=64, blank=True)

    # Newest first: {"sealed": encrypted secret, "until": end of its overlap or null}
    secrets = models.JSONField(_("secrets"), default=list, editable=False)

    enabled = models.BooleanField(_("enabled"), default=True)
    disabled_reason = KeyField(_("disabled because"), max_length=20, choices=Disabled.choices, blank=True)
    disabled_at = models.DateTimeField(_("disabled at"), null=True, blank=True)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    failures_in_a_row = models.PositiveIntegerField(_("failures in a row"), default=0)
    warned_at = models.DateTimeField(_("warned at"), null=True, blank=True)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    removed_at = models.DateTimeField(_("removed at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"))

    objects = EndpointManager()

    class Meta:
        ordering = ["-endpoint_id"]
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")

    def __str__(self) -> str:
        return self.description or self.url

    @property
    def gave_up(self) -> bool:
        """Switched off because of the receiver, not by a person: what happens meanwhile is kept as undelivered."""
        return self.disabled_reason in (self.Disabled.GONE, self.Disabled.FAILING)

    def add_secret(self, secret: str, *, now: datetime) -> None:
        """Sign with `secret` first; the one before goes on signing too for `ROTATION_OVERLAP`, older ones end."""
        until = (now + ROTATION_OVERLAP).isoformat()
        previous = [{"sealed": old["sealed"], "until": until} for old in self.secrets[:1]]
        self.secrets = [{"sealed": crypto.seal(secret).decode("ascii"), "until": None}, *previous]

    def live_secrets(self, now: datetime) -> list[str]:
        """The secrets to sign with at `now`, newest first."""
        return [
            crypto.unseal(entry["sealed"].encode("ascii"))
            for entry in self.secrets
            if entry["until"] is None or datetime.fromisoformat(entry["until"]) > now
        ]

    def disable(self, reason: str, *, now: datetime) -> None:
        self.enabled = False
        self.disabled_reason = reason
        self.disabled_at = now

    def enable(self) -> None:
        """Switch on with a clean record: the five days of failure start anew."""
        self.enabled = True
        self.disabled_reason = ""
        self.disabled_at = self.failing_since = self.warned_at = self.paused_until = None
        self.failures_in_a_row = 0


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self, now: datetime) -> "DeliveryQuerySet":
        """Those to try now, which nobody has leased."""
        free = Q(leased_until__isnull=True) | Q(leased_until__lte=now)
        return self.filter(free, status=Delivery.Status.PENDING, next_attempt_at__lte=now)

    def undelivered_outcomes(self) -> "DeliveryQuerySet":
        """Outcomes that some receiver was to hear of and did not, and that nobody tries any more."""
        return self.filter(status=Delivery.Status.FAILED, event_type__in=outcomes(), endpoint__removed_at__isnull=True)


DeliveryManager = models.Manager.from_queryset(DeliveryQuerySet)


class Delivery(models.Model):
    """One event for one endpoint, with the very bytes of every try. The row is the queue; nothing else holds it."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        SENT = "sent", _("Delivered")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    delivery_id = KeyField(_("delivery"), max_length=40, primary_key=True, default=new_delivery_id, editable=False)
    event = models.ForeignKey(
        TaskEvent,
        verbose_name=_("event"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="deliveries",
        db_index=False,
    )
    endpoint = models.ForeignKey(
        Endpoint, verbose_name=_("endpoint"), on_delete=models.PROTECT, related_name="deliveries", db_index=False
    )
    event_type = KeyField(_("what"), max_length=40)
    task_id = KeyField(_("task"), max_length=40)
    seq = models.PositiveIntegerField(_("number"))
    body = models.BinaryField(_("body"))
    status = KeyField(_("status"), max_length=20, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_attempt_at = models.DateTimeField(_("next try"), null=True, blank=True)
    leased_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    lease = KeyField(_("lease"), max_length=32, blank=True)
    created_at = models.DateTimeField(_("created"))
    delivered_at = models.DateTimeField(_("delivered at"), null=True, blank=True)

    objects = DeliveryManager()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["event", "endpoint"], name="delivery_once"),
            models.CheckConstraint(
                condition=Q(status="pending", next_attempt_at__isnull=False, delivered_at__isnull=True)
                | Q(status="sent", next_attempt_at__isnull=True, delivered_at__isnull=False)
                | Q(status__in=["failed", "cancelled"], next_attempt_at__isnull=True, delivered_at__isnull=True),
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
        ]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")

    def __str__(self) -> str:
        return f"{self.event_type} of {self.task_id}"


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
