"""Where events go: receivers, what they want to hear, and how messages to them are signed."""

from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core import crypto
from core.fields import KeyField
from core.ids import new_id
from tasks_app.states import OUTCOMES, Priority

ENDPOINT_PREFIX: Final = "ep_"
ROTATION_OVERLAP: Final = timedelta(hours=24)
"""How long the old secret signs too, after a new one was made."""


def new_endpoint_id() -> str:
    return new_id(ENDPOINT_PREFIX)


def formats() -> list[tuple[str, Any]]:
    """A callable, so that a further kind of receiver needs no migration."""
    return list(Endpoint.Format.choices)


def outcomes() -> list[str]:
    return [str(event) for event in OUTCOMES]


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def present(self) -> "EndpointQuerySet":
        """Those not removed."""
        return self.filter(removed_at__isnull=True)

    def for_programs(self) -> "EndpointQuerySet":
        """Webhook endpoints; the others stand below the channels of people."""
        return self.filter(channel__isnull=True)

    def of_the_active(self) -> "EndpointQuerySet":
        """Those that belong to nobody who was deactivated."""
        owned = self.filter(Q(owner__isnull=True) | Q(owner__is_active=True))
        return owned.exclude(channel__person__is_active=False)

    def in_use(self) -> "EndpointQuerySet":
        """Those that messages may go to."""
        return self.present().of_the_active().filter(enabled=True)

    def callable(self, now: datetime) -> "EndpointQuerySet":
        """Those that may be called now."""
        return self.in_use().filter(Q(paused_until__isnull=True) | Q(paused_until__lte=now))


EndpointManager = models.Manager.from_queryset(EndpointQuerySet)


class Endpoint(models.Model):
    """A receiver of events: an adapter's own (`owner`), which hears of the tasks that it opened, or the operator's.

    Removing keeps the row, so that the log of what was sent stays readable.
    """

    class Format(models.TextChoices):
        STANDARD = "standard", _("Standard Webhooks")
        FLAT = "flat", _("Flat (task_id, type, priority, detail, principal)")
        ADCP = "adcp", _("Ad Context Protocol (push notification)")
        EMAIL = "email", _("E-mail")
        SLACK = "slack", _("Slack")

    class Scheme(models.TextChoices):
        """How messages of the Ad Context Protocol are authenticated; the names are the protocol's own."""

        HMAC = "HMAC-SHA256", _("signed (HMAC-SHA256)")
        BEARER = "Bearer", _("bearer token")

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
    format = KeyField(_("format"), max_length=20, choices=formats, default=Format.STANDARD)
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
    scheme = KeyField(
        _("authentication"), max_length=20, choices=Scheme.choices, default=Scheme.HMAC, db_default=Scheme.HMAC
    )
    sealed_token = models.TextField(_("token to echo"), blank=True, db_default="", editable=False)

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
        """The secrets to sign with at `now`, newest first. Raises InvalidToken where the newest cannot be read.

        An older one that cannot be read is left out, so that a new secret is the way out after a lost key.
        """
        found = []
        for entry in self.secrets:
            if entry["until"] is not None and datetime.fromisoformat(entry["until"]) <= now:
                continue
            try:
                found.append(crypto.unseal(entry["sealed"].encode("ascii")))
            except InvalidToken:
                if not found:
                    raise
        return found

    @property
    def token(self) -> str:
        """What the receiver wants to read in every message of the Ad Context Protocol; or empty."""
        return crypto.unseal(self.sealed_token.encode("ascii")) if self.sealed_token else ""

    @token.setter
    def token(self, token: str) -> None:
        self.sealed_token = crypto.seal(token).decode("ascii") if token else ""

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
