"""The catalogue in the console: task types, teams with their people, principals."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from jsonschema import Draft202012Validator, SchemaError
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from core.numbers import whole
from tasks_app import reasons, services
from tasks_app.admin import consequences
from tasks_app.admin.actors import actor_of
from tasks_app.admin.base import CatalogAdmin
from tasks_app.admin.history import Told
from tasks_app.admin.type_preview import preview_answer, previewed
from tasks_app.models import Principal, TaskType, Team, TeamMembership, User
from tasks_app.states import DECISIONS, Resolution


def checked_schema(value: Any) -> dict[str, Any]:
    """A JSON Schema, or a ValidationError that says what is wrong with it."""
    if not isinstance(value, dict):
        raise ValidationError(_("Give a JSON Schema as an object, or {} for none."))
    try:
        Draft202012Validator.check_schema(value)
    except SchemaError as error:
        raise ValidationError(_("This is not a JSON Schema: %(why)s") % {"why": error.message}) from error
    return value


class TaskTypeForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A task type; its JSON columns are checked here, because a wrong one would break every task of the type."""

    allowed_resolutions = forms.MultipleChoiceField(
        label=gettext_lazy("Allowed resolutions"),
        choices=[(r.value, r.label) for r in Resolution if r in DECISIONS],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=gettext_lazy("Rejecting and 'cannot complete' always ask for a text."),
    )

    def clean_context_schema(self) -> dict[str, Any]:
        return checked_schema(self.cleaned_data["context_schema"])

    def clean_resolution_schema(self) -> dict[str, Any]:
        return checked_schema(self.cleaned_data["resolution_schema"])

    def clean_instructions(self) -> str:
        """Browsers send line ends of their own, which would look like a change."""
        return str(self.cleaned_data["instructions"]).replace("\r\n", "\n")

    def clean_safe_fields(self) -> list[str]:
        value = self.cleaned_data["safe_fields"]
        if not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
            raise ValidationError(_('Give a list of names, such as ["line_item_id", "targeting.geo"].'))
        return value


@admin.register(TaskType)
class TaskTypeAdmin(CatalogAdmin):
    class Media:
        js = ("console/type_preview.js",)

    form = TaskTypeForm
    explanation = gettext_lazy(
        "A task type is a kind of work: the question that a reviewer is asked, the decisions that are allowed, the "
        "instructions beside them, and the team that gets it. A new kind of work needs a row here and no code. What "
        "you type is shown in the preview as reviewers will see it. Types are never deleted; switch off what is not "
        "used."
    )
    fixed_fields = ("slug",)
    list_display = ("label", "slug", "default_team", "default_priority", "shown_resolutions", "is_active")
    list_select_related = ("default_team",)
    readonly_fields = ("preview",)
    fieldsets = (
        (None, {"fields": ("label", "slug", "question", "is_active")}),
        (
            gettext_lazy("Work"),
            {"fields": ("default_team", "default_priority", "usual_handling_minutes", "expires_after_hours")},
        ),
        (
            gettext_lazy("Decision"),
            {"fields": ("allowed_resolutions", "needs_second_reviewer", "instructions", "preview")},
        ),
        (
            gettext_lazy("Form"),
            {
                "fields": ("safe_fields", "context_schema", "resolution_schema"),
                "description": gettext_lazy(
                    "Safe fields are shown as they come; everything else is searched for personal data and credentials."
                ),
            },
        ),
    )

    @admin.display(description=gettext_lazy("Resolutions"))
    def shown_resolutions(self, kind: TaskType) -> str:
        return ", ".join(str(Resolution(name).label) for name in kind.allowed_resolutions if name in Resolution.values)

    @admin.display(description=gettext_lazy("Preview"))
    def preview(self, kind: TaskType) -> SafeString:
        """As reviewers see it; static/console/type_preview.js asks for it anew while the form is filled in."""
        return previewed(
            question=kind.question,
            instructions=kind.instructions,
            resolutions=kind.allowed_resolutions,
            schema=kind.resolution_schema,
        )

    def get_urls(self) -> list[URLPattern]:
        preview = path("preview/", self.admin_site.admin_view(self.preview_anew), name="tasks_app_tasktype_preview")
        return [preview, *super().get_urls()]

    def preview_anew(self, request: HttpRequest) -> HttpResponse:
        """The preview of what stands in the form; nothing is saved."""
        if not (self.has_change_permission(request) or self.has_add_permission(request)):
            raise PermissionDenied
        return require_POST(preview_answer)(request)

    def consequences(self, request: HttpRequest, form: Any, formsets: list[Any]) -> list[str]:
        return consequences.of_task_type(form.instance, form)

    def save_model(self, request: HttpRequest, obj: TaskType, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and {"expires_after_hours", "usual_handling_minutes"} & set(form.changed_data):
            services.note_type_changed(
                reasons.TYPE_CHANGED % {"name": obj.label, "person": request.user.get_username()}
            )


class PeopleWidget(AutocompleteSelect):
    """Django looks up whatever was sent when it shows a form again; a key that is no number would be a server error."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> Any:
        return super().optgroups(name, [one for one in value if whole(str(one)) is not None], attr)


class MembershipInline(TabularInline):  # type: ignore[misc]  # Unfold is untyped
    model = TeamMembership
    extra = 0
    autocomplete_fields = ("user",)
    verbose_name = gettext_lazy("member")
    verbose_name_plural = gettext_lazy("members")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            kwargs["widget"] = PeopleWidget(db_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The table's heads label the columns for the eye alone: each field says its name itself."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.widget.attrs["aria-label"] = field.label
        return field

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """To leave a team is a change of the team, and unlike its row nothing points at a membership."""
        return bool(self.has_change_permission(request, obj))


@admin.register(Team)
class TeamAdmin(CatalogAdmin):
    explanation = gettext_lazy(
        "A team is the people who work some task types, for all principals or for some. Members take and decide tasks; "
        "leads also assign, route and release them, and keep the team's phrases. Escalated tasks go to the escalation "
        "team. Who leaves a team gives back what he or she holds of its work."
    )
    fixed_fields = ("slug",)
    list_display = ("name", "slug", "shown_types", "members", "escalation_team", "is_active")
    list_select_related = ("escalation_team",)
    autocomplete_fields = ("principals",)
    inlines = (MembershipInline,)
    fieldsets = (
        (None, {"fields": ("name", "slug", "is_active", "escalation_team")}),
        (gettext_lazy("Serves"), {"fields": ("task_types", "serves_all_principals", "principals")}),
        (gettext_lazy("Work"), {"fields": ("return_after_minutes",)}),
    )

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "task_types":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        active = Count("memberships", filter=Q(memberships__user__is_active=True), distinct=True)
        teams: QuerySet[Team] = super().get_queryset(request)
        return teams.annotate(active_members=active).prefetch_related("task_types")

    @admin.display(description=gettext_lazy("Task types"))
    def shown_types(self, team: Team) -> str:
        return ", ".join(kind.label for kind in team.task_types.all()) or "–"

    @admin.display(description=gettext_lazy("Members"))
    def members(self, team: Any) -> int:
        return int(team.active_members)

    def consequences(self, request: HttpRequest, form: Any, formsets: list[Any]) -> list[str]:
        return consequences.of_team(form.instance, form, formsets)

    def told_with(self, row: Any) -> list[Told]:
        return [Told(TeamMembership, "team", row.pk)]

    def save_related(self, request: HttpRequest, form: Any, formsets: list[Any], change: bool) -> None:
        """Whoever loses work by this change gives back what he or she holds of it, in the same transaction."""
        team = form.instance
        before = set(TeamMembership.objects.filter(team=team).values_list("user_id", flat=True)) if change else set()
        super().save_related(request, form, formsets, change)
        if change and "return_after_minutes" in form.changed_data:
            services.follow_limit(team)
        reason = reasons.LEFT_TEAM % {"team": team.name}
        for person in User.objects.filter(pk__in=before):
            returned = services.return_tasks_of(person, actor_of(request), reason=reason, only_lost=True)
            if returned:
                said = _("%(n)d tasks of %(person)s went back to the queue.")
                self.message_user(request, said % {"n": returned, "person": person.get_username()})


@admin.register(Principal)
class PrincipalAdmin(CatalogAdmin):
    explanation = gettext_lazy(
        "A principal is the advertiser or tenant for whom an adapter acts. Adapters open tasks for the principals that "
        "their token names; one whose token speaks for all registers new ones here by itself."
    )
    fixed_fields = ("principal_id",)
    list_display = ("principal_id", "name", "is_active")
    search_fields = ("principal_id", "name")
    fields = ("principal_id", "name", "is_active")

    def consequences(self, request: HttpRequest, form: Any, formsets: list[Any]) -> list[str]:
        return consequences.of_principal(form.instance, form)
