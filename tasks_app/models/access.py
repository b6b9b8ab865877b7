"""Tokens: how adapters, and people's scripts, come in."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.fields import KeyField
from tasks_app.models.catalog import Principal


class Scope(models.TextChoices):
    """What an adapter's token may do. `tasks:work` lets it assign, and decide in the name of an entitled person."""

    CREATE = "tasks:create", _("Open tasks")
    READ = "tasks:read", _("Read tasks and events")
    COMMENT = "tasks:comment", _("Comment")
    WITHDRAW = "tasks:withdraw", _("Withdraw tasks")
    WORK = "tasks:work", _("Assign, and decide in a person's name")
    ENDPOINTS = "endpoints:manage", _("Manage its own webhook endpoints")


def default_scopes() -> list[str]:
    return [Scope.CREATE, Scope.READ, Scope.COMMENT, Scope.WITHDRAW, Scope.ENDPOINTS]


class AdapterToken(models.Model):
    """A bearer token: `hitl_<prefix>_<secret>`. Only the secret's SHA-256 is kept; several live ones rotate.

    A token of a service user is bound to principals and scopes. A token of a person (`is_personal`) carries that
    person's own rights and nothing else.
    """

    name = models.CharField(_("name"), max_length=100)
    prefix = KeyField(_("prefix"), max_length=16, unique=True, editable=False)
    digest = KeyField(_("digest"), max_length=64, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("acts as"), on_delete=models.PROTECT, related_name="tokens"
    )
    scopes = models.JSONField(_("scopes"), default=default_scopes)
    all_principals = models.BooleanField(_("speaks for all principals"), default=False)
    principals = models.ManyToManyField(Principal, verbose_name=_("principals"), blank=True)
    created_at = models.DateTimeField(_("created"))
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    # The ids of `principals` where they bind, filled by tasks_app.tokens.resolve; None: no principal binds.
    bound_to: frozenset[str] | None = None

    class Meta:
        ordering = ["name", "-created_at"]
        verbose_name = _("token")
        verbose_name_plural = _("tokens")

    def __str__(self) -> str:
        return f"{self.name} (hitl_{self.prefix}_…)"
