"""Tokens in the console: made here, shown once, revoked; never changed, and their digest never seen."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from core import clock
from tasks_app import tokens
from tasks_app.admin import consequences
from tasks_app.admin.base import CONFIRMED, CatalogAdmin, audited, confirmation_page, labelled
from tasks_app.models import AdapterToken, Scope, User
from tasks_app.models.access import default_scopes


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A new token: for an adapter with scopes and principals, or for oneself, with one's own rights."""

    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes"),
        choices=Scope.choices,
        initial=default_scopes,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=gettext_lazy("What an adapter's token may do. Your own token carries your own rights instead."),
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        user = values.get("user")
        if user is not None and user.kind == User.Kind.SERVICE:
            if not values.get("all_principals") and not values.get("principals"):
                raise ValidationError(
                    _("Name the principals that this adapter speaks for, or say that it speaks for all.")
                )
            if not values.get("scopes"):
                raise ValidationError({"scopes": _("Without a scope the token could do nothing.")})
        return values


@admin.register(AdapterToken)
class AdapterTokenAdmin(CatalogAdmin):
    explanation = gettext_lazy(
        "A token lets an adapter, or one of your own scripts, call the API. It is shown once when it is made; here you "
        "see its beginning, when it was last used, and what it may do. Make a new one before you revoke the old one, "
        "so that nothing stops in between."
    )
    form = TokenForm
    list_display = ("name", "user", "shown_prefix", "speaks_for", "state", "last_used_at")
    list_select_related = ("user",)
    list_filter = ("all_principals",)
    search_fields = ("name", "prefix")
    add_fields = ("name", "user", "scopes", "all_principals", "principals", "expires_at")
    view_fields = (
        "name",
        "user",
        "shown_prefix",
        "state",
        "shown_scopes",
        "speaks_for",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
    )
    autocomplete_fields = ("principals",)
    change_form_outer_before_template = "console/token_revoke.html"

    def get_fields(self, request: HttpRequest, obj: AdapterToken | None = None) -> tuple[str, ...]:
        return self.add_fields if obj is None else self.view_fields

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """For adapters and for oneself: a token of somebody else would be that person's rights in one's own hands."""
        if db_field.name == "user":
            holders = Q(kind=User.Kind.SERVICE) | Q(pk=request.user.pk)
            kwargs["queryset"] = User.objects.filter(holders, is_active=True).order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """No field of a token changes: what is wrong is revoked and made anew."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[AdapterToken]:
        rows: QuerySet[AdapterToken] = super().get_queryset(request)
        return rows.defer("digest").prefetch_related("principals")

    @admin.display(description=gettext_lazy("Token"))
    def shown_prefix(self, token: AdapterToken) -> str:
        return f"{tokens.LABEL}_{token.prefix}_…"

    @admin.display(description=gettext_lazy("Speaks for"))
    def speaks_for(self, token: AdapterToken) -> str:
        if token.user.kind == User.Kind.PERSON:
            return _("the person's own rights")
        return _("all principals") if token.all_principals else ", ".join(p.pk for p in token.principals.all())

    @admin.display(description=gettext_lazy("Scopes"))
    def shown_scopes(self, token: AdapterToken) -> str:
        return ", ".join(str(Scope(scope).label) for scope in token.scopes if scope in Scope.values) or "–"

    @labelled(gettext_lazy("State"), {"live": "success", "revoked": "danger", "expired": "warning"})
    def state(self, token: AdapterToken) -> tuple[str, str]:
        if token.revoked_at is not None:
            return "revoked", _("revoked")
        if token.expires_at is not None and token.expires_at <= clock.now():
            return "expired", _("expired")
        return "live", _("live")

    def get_urls(self) -> list[URLPattern]:
        revoke = path(
            "<int:token_id>/revoke/", self.admin_site.admin_view(self.revoke), name="tasks_app_adaptertoken_revoke"
        )
        return [revoke, *super().get_urls()]

    def revoke(self, request: HttpRequest, token_id: int) -> HttpResponse:
        return require_POST(self._revoke)(request, token_id)

    def _revoke(self, request: HttpRequest, token_id: int) -> HttpResponse:
        if not request.user.has_perm("tasks_app.change_adaptertoken"):
            raise PermissionDenied
        token = get_object_or_404(AdapterToken, pk=token_id)
        if token.revoked_at is None and CONFIRMED not in request.POST:
            return confirmation_page(
                request,
                title=_("Revoke the token?"),
                consequences=consequences.of_token(token),
                back_url=reverse("admin:tasks_app_adaptertoken_change", args=[token.pk]),
            )
        if token.revoked_at is None:
            token.revoked_at = clock.now()
            with audited(request):
                token.save(update_fields=["revoked_at"])
        self.message_user(request, _("The token %(name)s is revoked.") % {"name": token})
        return HttpResponseRedirect(reverse("admin:tasks_app_adaptertoken_changelist"))

    def save_model(self, request: HttpRequest, obj: AdapterToken, form: Any, change: bool) -> None:
        """Make the token. Its text is kept for this answer alone: a message would travel in a cookie."""
        given = form.cleaned_data
        made, text = tokens.issue(
            given["name"],
            given["user"],
            principals=list(given["principals"]),
            all_principals=given["all_principals"],
            scopes=given["scopes"],
            expires_at=given["expires_at"],
        )
        obj.pk, obj.prefix, obj._state.adding = made.pk, made.prefix, False
        request.issued_token = text  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: AdapterToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Token made"),
            "token": obj,
            "text": request.issued_token,  # type: ignore[attr-defined]
            "list_url": reverse("admin:tasks_app_adaptertoken_changelist"),
        }
        return TemplateResponse(request, "console/token_made.html", context)
