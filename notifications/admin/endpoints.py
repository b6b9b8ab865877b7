"""Webhook endpoints in the console: made and filtered here; the secret is shown once, the rest are buttons."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminPasswordWidget

from core.errors import HitlError
from notifications import relay, services
from notifications.admin.base import AdministratorsAdmin, administers, refuse_get
from notifications.models import Endpoint, outcomes
from tasks_app.admin.actors import actor_of
from tasks_app.admin.base import CatalogAdmin, labelled
from tasks_app.exceptions import InvalidInput
from tasks_app.models import Principal, TaskType, User
from tasks_app.states import EventType

if TYPE_CHECKING:
    _EndpointForm = ModelForm[Endpoint]
else:
    _EndpointForm = ModelForm

FILTERS = ("event_types", "min_priority", "task_types", "principals", "adapter_name")


def _several(label: Any, help_text: Any) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label, required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget, help_text=help_text
    )


class EndpointForm(_EndpointForm):
    """The URL is judged as at every sending; what is wrong with it is said beside it."""

    event_types = _several(gettext_lazy("Events"), gettext_lazy("None ticked: all of them."))
    task_types = _several(gettext_lazy("Task types"), gettext_lazy("None ticked: all of them."))
    principals = _several(gettext_lazy("Principals"), gettext_lazy("None ticked: all of them."))
    credentials = forms.CharField(
        label=gettext_lazy("credentials"),
        required=False,
        max_length=512,
        strip=False,
        widget=UnfoldAdminPasswordWidget,
        help_text=gettext_lazy("The receiver's own, 32 characters at least. Empty: they are made here and shown once."),
    )
    token = forms.CharField(
        label=gettext_lazy("token"),
        required=False,
        min_length=16,
        max_length=4096,
        strip=False,
        widget=UnfoldAdminPasswordWidget,
        help_text=gettext_lazy("Echoed in every message, if the receiver asks for one."),
    )

    judged: ClassVar[dict[str, str]] = {}
    """The addresses that were judged before the admin's transaction began, with what is wrong with them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: dict[str, Any] = {
            "event_types": EventType.choices,
            "task_types": list(TaskType.objects.values_list("slug", "label")),
            "principals": [(principal.pk, str(principal)) for principal in Principal.objects.all()],
        }
        for name in choices.keys() & self.fields.keys():
            self.fields[name].choices = choices[name]  # type: ignore[attr-defined]
        if "event_types" in self.fields and self.instance._state.adding:
            self.initial["event_types"] = outcomes()
        if "scheme" in self.fields:
            self.fields["scheme"].required = False
        if "owner" in self.fields:
            adapters = User.objects.filter(kind=User.Kind.SERVICE, is_active=True).order_by("username")
            self.fields["owner"].queryset = adapters  # type: ignore[attr-defined]

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        if url != self.instance.url or self.instance._state.adding:
            wrong = self.judged.get(url, _("This address was not looked at; try again."))
            if wrong:
                raise ValidationError(wrong)
        return url

    def clean_scheme(self) -> str:
        return str(self.cleaned_data["scheme"] or Endpoint.Scheme.HMAC)

    def clean_credentials(self) -> str:
        credentials = str(self.cleaned_data["credentials"])
        try:
            services.check_credentials(str(self.cleaned_data.get("format", "")), credentials)
        except InvalidInput as error:
            raise ValidationError(error.message) from error
        return credentials

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("format") != Endpoint.Format.ADCP:
            given["scheme"] = Endpoint.Scheme.HMAC
            if given.get("token"):
                self.add_error("token", _("Only messages of the Ad Context Protocol carry a token."))
        return given


def _moment(text: str) -> datetime:
    """A moment as the form sends it, in the reader's zone. Raises InvalidInput for what is none (a 31st of June)."""
    try:
        moment = parse_datetime(text)
        if moment is not None and 1970 <= moment.year <= 9000:
            return make_aware(moment) if is_naive(moment) else moment
    except ValueError:
        pass
    raise InvalidInput("since", _("give the moment from which on to send what was missed."))


def judge(url: str) -> dict[str, str]:
    """What is wrong with an address (empty: nothing), by address. It may wait for a name server."""
    try:
        services.check_reachable(url)
    except InvalidInput as error:
        return {url: error.message}
    return {url: ""}


@admin.register(Endpoint)
class EndpointAdmin(AdministratorsAdmin):
    explanation = gettext_lazy(
        "A webhook endpoint is where an adapter hears how its tasks ended. Messages are signed and tried again until "
        "they arrive; after five days without success the endpoint is switched off, and what it missed can be "
        "recovered. Adapters add their own over the API; one without an adapter hears of all tasks."
    )
    form = EndpointForm
    list_display = ("name", "url", "shown_owner", "format", "state", "created_at")
    list_select_related = ("owner",)
    list_filter = ("enabled", "format")
    fixed_fields = ("owner", "format", "scheme")
    change_form_outer_before_template = "notifications/endpoint_actions.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    def has_change_permission(self, request: HttpRequest, obj: Endpoint | None = None) -> bool:
        return administers(request) and (obj is None or (obj.removed_at is None and not obj.setting))

    def get_fieldsets(self, request: HttpRequest, obj: Endpoint | None = None) -> Any:
        shown: tuple[str, ...] = ("url", "description", "owner", "format")
        if obj is not None and obj.format == Endpoint.Format.ADCP:
            shown += ("scheme",)
        receiver = (None, {"fields": shown})
        filters = (gettext_lazy("What it hears of"), {"fields": FILTERS})
        if obj is None:
            protocol = {
                "fields": ("scheme", "credentials", "token"),
                "description": gettext_lazy("Only with the format of the Ad Context Protocol."),
            }
            return (receiver, filters, (gettext_lazy("Ad Context Protocol"), protocol))
        return (receiver, filters)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.judged = getattr(request, "judged", {})
        return form

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).present().for_programs()

    @admin.display(description=gettext_lazy("Endpoint"))
    def name(self, endpoint: Endpoint) -> str:
        return endpoint.description or endpoint.pk

    @admin.display(description=gettext_lazy("Hears of"))
    def shown_owner(self, endpoint: Endpoint) -> str:
        if endpoint.owner is None:
            return _("all tasks")
        return _("tasks of %(adapter)s") % {"adapter": endpoint.owner.get_username()}

    @labelled(gettext_lazy("State"), {"works": "success", "failing": "warning", "off": "danger"})
    def state(self, endpoint: Endpoint) -> tuple[str, str]:
        if not endpoint.enabled:
            return "off", _("disabled: %(why)s") % {"why": endpoint.get_disabled_reason_display()}
        if endpoint.failing_since is not None:
            return "failing", _("failing")
        return "works", _("enabled")

    def get_urls(self) -> list[URLPattern]:
        verbs: dict[str, Callable[[HttpRequest, str], HttpResponse]] = {
            "test": self._test,
            "secret": self._rotate,
            "enable": self._enable,
            "disable": self._disable,
            "recover": self._recover,
            "remove": self._remove,
        }
        ours = [
            path(
                f"<str:endpoint_id>/{name}/",
                self.site.admin_view(partial(self._post, verb)),
                name=f"notifications_endpoint_{name}",
            )
            for name, verb in verbs.items()
        ]
        return [*ours, *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:
        """Add through the service; change the filters alone, and never what the relay writes at the same time."""
        given = form.cleaned_data
        if change:
            changes = {name: given[name] for name in form.changed_data if name in services.CHANGEABLE}
            services.change_endpoint(obj.pk, actor_of(request), changes)
            return
        new = services.NewEndpoint(**{name: value for name, value in given.items() if name != "owner"})
        made, secret = services.create_endpoint(new, actor_of(request), owner=given["owner"])
        obj.pk, obj._state.adding = made.pk, False
        request.made_secret = secret  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Endpoint, post_url_continue: str | None = None) -> HttpResponse:
        return self._shown_once(request, obj, request.made_secret)  # type: ignore[attr-defined]

    def _shown_once(self, request: HttpRequest, endpoint: Endpoint, secret: str) -> HttpResponse:
        """The secret lives in this answer alone: a message would travel in a cookie."""
        context = {**self.site.each_context(request), "title": _("Secret"), "endpoint": endpoint, "secret": secret}
        return TemplateResponse(request, "notifications/secret.html", context)

    def _post(
        self, verb: Callable[[HttpRequest, str], HttpResponse], request: HttpRequest, endpoint_id: str
    ) -> HttpResponse:
        refused = refuse_get(request)
        if refused is not None:
            return refused
        try:
            return verb(request, endpoint_id)
        except HitlError as error:
            messages.error(request, error.detail)
            return self._to_list() if error.status == 404 else self._to_page(endpoint_id)

    def _test(self, request: HttpRequest, endpoint_id: str) -> HttpResponse:
        tested = services.send_test(endpoint_id, actor_of(request))
        if tested.delivered:
            messages.success(request, _("The test message arrived (%(status)s).") % {"status": tested.status})
        else:
            messages.error(request, _("The test message did not arrive. %(why)s") % {"why": tested.error})
        return self._to_page(endpoint_id)

    def _rotate(self, request: HttpRequest, endpoint_id: str) -> HttpResponse:
        endpoint, secret = services.rotate_secret(endpoint_id, actor_of(request))
        return self._shown_once(request, endpoint, secret)

    def _enable(self, request: HttpRequest, endpoint_id: str) -> HttpResponse:
        services.enable_endpoint(endpoint_id, actor_of(request))
        messages.success(request, _("The endpoint is enabled. What it missed can be sent with 'Recover'."))
        return self._to_page(endpoint_id)

    def _disable(self, request: HttpRequest, endpoint_id: str) -> HttpResponse:
        services.disable_endpoint(endpoint_id, actor_of(request))
        messages.success(request, _("The endpoint is disabled; what waited for it is cancelled."))
        return self._to_page(endpoint_id)

    def _recover(self, request: HttpRequest, endpoint_id: str) -> HttpResponse:
        endpoint = services.endpoint_of(actor_of(request), endpoint_id)
        count = relay.recover_since(endpoint.pk, _moment(request.POST.get("since", "")))
        messages.success(request, _("%(n)d deliveries are sent again.") % {"n": count})
        return self._to_page(endpoint_id)

    def _remove(self, request: HttpRequest, endpoint_id: str) -> HttpResponse:
        services.remove_endpoint(endpoint_id, actor_of(request))
        messages.success(request, _("The endpoint is removed; the log of what was sent to it stays."))
        return self._to_list()

    def _to_page(self, endpoint_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:notifications_endpoint_change", args=[endpoint_id]))

    def _to_list(self) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:notifications_endpoint_changelist"))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Past the base's frame for the audit: the services set it, and it must not be nested.

        The admin saves inside a transaction, and looking a name up takes its time: so the address is judged before.
        """
        if request.method == "POST" and administers(request) and "url" in request.POST:
            request.judged = judge(request.POST["url"].strip())  # type: ignore[attr-defined]
        view = super(CatalogAdmin, self).changeform_view
        response: HttpResponse = view(request, object_id, form_url, extra_context)
        return response
