"""Channels in the console: those of teams for administrators, and each person's own page of notifications."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import validate_slug
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from core.errors import HitlError
from notifications import channel_services, letters
from notifications.admin.base import AdministratorsAdmin, administers, refuse_get
from notifications.models import Channel, Endpoint, first_choice
from tasks_app.admin.actors import actor_of, works_here
from tasks_app.admin.base import CatalogAdmin, labelled
from tasks_app.admin.site import page_context
from tasks_app.exceptions import InvalidInput
from tasks_app.models import Principal, TaskType, User
from tasks_app.states import EventType, Priority

if TYPE_CHECKING:
    _ChannelForm = ModelForm[Channel]
else:
    _ChannelForm = ModelForm

HEARS = ("event_types", "min_priority", "task_types", "principals")
_ALL = gettext_lazy("None ticked: all of them.")


def _several(label: Any) -> forms.MultipleChoiceField:
    widget = UnfoldAdminCheckboxSelectMultipleWidget
    return forms.MultipleChoiceField(label=label, required=False, widget=widget, help_text=_ALL)


class ChannelForm(_ChannelForm):
    """A channel with what its endpoint holds."""

    kind = forms.ChoiceField(label=gettext_lazy("Kind"), widget=UnfoldAdminSelectWidget)
    address = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=2048,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("A mail address, or the URL of an incoming webhook. A URL is kept encrypted."),
    )
    event_types = _several(gettext_lazy("Events"))
    min_priority = forms.TypedChoiceField(
        label=gettext_lazy("Priority at least"),
        choices=Priority.choices,
        coerce=int,
        initial=Priority.LOW,
        widget=UnfoldAdminSelectWidget,
    )
    task_types = _several(gettext_lazy("Task types"))
    principals = _several(gettext_lazy("Principals"))

    judged: ClassVar[dict[tuple[str, str], str]] = {}
    """Kind and address that were judged before the admin's transaction began, with what is wrong with them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: dict[str, Any] = {
            "kind": channel_services.kinds(),
            "event_types": [(event, str(words)) for event, words in _team_words()],
            "task_types": list(TaskType.objects.values_list("slug", "label")),
            "principals": [(principal.pk, str(principal)) for principal in Principal.objects.all()],
        }
        for name in choices.keys() & self.fields.keys():
            self.fields[name].choices = choices[name]  # type: ignore[attr-defined]
        if self.instance._state.adding:
            self.initial["event_types"] = first_choice()
        else:
            endpoint = self.instance.endpoint
            self.initial.update({name: getattr(endpoint, name) for name in HEARS})
            self.fields["address"].required = False
            self.fields["address"].help_text = _("Now: %(url)s. Leave empty to keep it.") % {"url": endpoint.url}

    def clean_slug(self) -> str:
        slug = str(self.cleaned_data["slug"])
        validate_slug(slug)
        return slug

    def clean_address(self) -> str:
        address = str(self.cleaned_data["address"])
        adding = self.instance._state.adding
        kind = str(self.cleaned_data.get("kind", "") if adding else self.instance.endpoint.format)
        if address or adding:
            wrong = self.judged.get((kind, address), _("This address was not looked at; try again."))
            if wrong:
                raise ValidationError(wrong)
        return address


def _team_words() -> list[tuple[str, Any]]:
    return [(event, EventType(event).label) for event, _words in letters.offered()]


def judge(kind: str, address: str) -> str:
    """What is wrong with an address; empty: nothing. It may wait for a name server."""
    try:
        channel_services.check_address(kind, address)
    except InvalidInput as error:
        return error.message
    return ""


def state_of(endpoint: Endpoint) -> tuple[str, str]:
    if not endpoint.enabled:
        return "off", _("disabled: %(why)s") % {"why": endpoint.get_disabled_reason_display()}
    if endpoint.failing_since is not None:
        return "failing", _("failing")
    return "works", _("enabled")


@admin.register(Channel)
class ChannelAdmin(AdministratorsAdmin):
    explanation = gettext_lazy(
        "A channel brings news to people: a team's mail address or a Slack channel. It hears of tasks that its team "
        "may see, in a message that says what, why now and how long is left; a flood arrives as one digest. People "
        "set up their own under My notifications."
    )
    form = ChannelForm
    list_display = ("name", "slug", "kind", "hears_of", "state")
    list_select_related = ("endpoint", "team", "person")
    search_fields = ("slug", "name")
    fixed_fields = ("slug",)
    change_form_outer_before_template = "notifications/channel_actions.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    def has_change_permission(self, request: HttpRequest, obj: Channel | None = None) -> bool:
        return administers(request) and (obj is None or obj.person_id is None)

    def get_queryset(self, request: HttpRequest) -> Any:
        """The channels of teams and of the operators: what a person is told is that person's own matter."""
        return super().get_queryset(request).filter(person__isnull=True)

    def get_fieldsets(self, request: HttpRequest, obj: Channel | None = None) -> Any:
        where = ("name", "slug", *(("kind",) if obj is None else ()), "address", "team")
        return ((None, {"fields": where}), (gettext_lazy("What it hears of"), {"fields": HEARS}))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.judged = getattr(request, "judged", {})
        if obj is not None and "kind" in form.base_fields:
            form.base_fields["kind"].required = False
        return form

    @admin.display(description=gettext_lazy("Kind"))
    def kind(self, channel: Channel) -> str:
        return str(channel.endpoint.get_format_display())

    @admin.display(description=gettext_lazy("Hears of"))
    def hears_of(self, channel: Channel) -> str:
        return _("all tasks") if channel.team is None else _("tasks of %(team)s") % {"team": channel.team}

    @labelled(gettext_lazy("State"), {"works": "success", "failing": "warning", "off": "danger"})
    def state(self, channel: Channel) -> tuple[str, str]:
        return state_of(channel.endpoint)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.site.admin_view
        return [
            path("<str:slug>/act/<slug:verb>/", wrap(self._act), name="notifications_channel_act"),
            *super().get_urls(),
        ]

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        given, actor = form.cleaned_data, actor_of(request)
        hears = {name: given[name] for name in HEARS}
        if change:
            changes = {"name": given["name"], "team": given["team"], **hears}
            channel_services.change_channel(obj.pk, actor, changes, address=given["address"])
            return
        named = {name: given[name] for name in ("slug", "name", "kind", "address", "team")}
        made = channel_services.create_channel(channel_services.NewChannel(**named, **hears), actor)
        obj.endpoint, obj._state.adding = made.endpoint, False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The address is judged before the admin's transaction; the services set the frame of the audit."""
        address = request.POST.get("address", "").strip()
        if request.method == "POST" and administers(request) and address:
            channel = Channel.objects.select_related("endpoint").filter(pk=unquote(object_id or "")).first()
            kind = request.POST.get("kind", "") if channel is None else str(channel.endpoint.format)
            request.judged = {(kind, address): judge(kind, address)}  # type: ignore[attr-defined]
        view = super(CatalogAdmin, self).changeform_view
        response: HttpResponse = view(request, object_id, form_url, extra_context)
        return response

    def _act(self, request: HttpRequest, slug: str, verb: str) -> HttpResponse:
        refused = refuse_get(request)
        if refused is not None:
            return refused
        _press(request, slug, verb)
        return HttpResponseRedirect(reverse("admin:notifications_channel_change", args=[slug]))


def _press(request: HttpRequest, slug: str, verb: str) -> None:
    """Carry out a button of a channel and say what came of it."""
    actor = actor_of(request)
    try:
        if verb == "test":
            tested = channel_services.send_test(slug, actor)
            if tested.delivered:
                messages.success(request, _("The test message arrived (%(status)s).") % {"status": tested.status})
            else:
                messages.error(request, _("The test message did not arrive. %(why)s") % {"why": tested.error})
        elif verb in ("enable", "disable"):
            channel_services.switch_channel(slug, actor, on=verb == "enable")
            messages.success(request, _("It is switched on.") if verb == "enable" else _("It is switched off."))
        else:
            raise PermissionDenied
    except HitlError as error:
        messages.error(request, error.detail)


class MineForm(forms.Form):
    """What one of a person's own channels hears."""

    address = forms.CharField(label=gettext_lazy("Address of the incoming webhook"), required=False, max_length=2048)
    event_types = forms.MultipleChoiceField(
        label=gettext_lazy("Tell me when"), required=False, widget=forms.CheckboxSelectMultiple
    )
    min_priority = forms.TypedChoiceField(
        label=gettext_lazy("Only from this priority on"), choices=Priority.choices, coerce=int
    )

    def __init__(self, kind: str, channel: Channel | None, data: Any = None) -> None:
        endpoint = None if channel is None else channel.endpoint
        initial = {
            "event_types": first_choice() if endpoint is None else endpoint.event_types,
            "min_priority": Priority.LOW if endpoint is None else endpoint.min_priority,
        }
        super().__init__(data, initial=initial, prefix=kind)
        self.fields["event_types"].choices = letters.offered()  # type: ignore[attr-defined]
        if kind == Endpoint.Format.EMAIL:
            del self.fields["address"]
        else:
            self.fields["address"].widget.attrs |= {"class": "c-input", "placeholder": "https://hooks.slack.com/…"}
            self.fields["address"].required = channel is None
        self.fields["min_priority"].widget.attrs["class"] = "c-input c-input-short"


def my_notifications(request: HttpRequest) -> HttpResponse:
    """A person's own page: where and of what he or she is told. Everybody who may enter the console has one."""
    if not works_here(request):
        raise PermissionDenied
    person = actor_of(request).user
    if request.method == "POST":
        failed = _save_mine(request, person)
        if failed is None:
            return HttpResponseRedirect(reverse("console-my-notifications"))
    else:
        failed = None
    own = {channel.endpoint.format: channel for channel in _own(person)}
    parts = []
    for kind, label in channel_services.kinds():
        channel = own.get(kind)
        form = failed[1] if failed is not None and failed[0] == kind else MineForm(kind, channel)
        state = None if channel is None else state_of(channel.endpoint)
        parts.append({"kind": kind, "label": label, "channel": channel, "form": form, "state": state})
    context = page_context(request) | {"title": _("My notifications"), "parts": parts, "person": person}
    return TemplateResponse(request, "notifications/mine.html", context)


def _own(person: User) -> Any:
    return Channel.objects.filter(person=person).select_related("endpoint", "person").order_by("slug")


def _save_mine(request: HttpRequest, person: User) -> tuple[str, MineForm] | None:
    """Save one part of the page; the form with its errors if it cannot be."""
    kind, verb = request.POST.get("kind", ""), request.POST.get("verb", "save")
    if kind not in dict(channel_services.kinds()):
        raise PermissionDenied
    channel = _own(person).filter(endpoint__format=kind).first()
    if channel is not None and verb != "save":
        _press(request, channel.pk, verb)
        return None
    form = MineForm(kind, channel, request.POST)
    if not form.is_valid():
        return kind, form
    given = form.cleaned_data
    address = given.pop("address", "").strip()
    try:
        if address:
            channel_services.check_address(kind, address)
        _store(request, person, kind, channel, given, address)
    except InvalidInput as error:
        form.add_error("address" if "address" in form.fields else None, error.message)
        return kind, form
    messages.success(request, _("Saved."))
    return None


def _store(
    request: HttpRequest, person: User, kind: str, channel: Channel | None, given: dict[str, Any], address: str
) -> None:
    actor = actor_of(request)
    if channel is not None:
        channel_services.change_channel(channel.pk, actor, given, address=address)
        return
    slug = channel_services.own_slug(person, kind)
    name = f"{person.get_username()} ({dict(channel_services.kinds())[kind]})"
    new = channel_services.NewChannel(slug, name, kind, address=address, person=person, **given)
    channel_services.create_channel(new, actor)
