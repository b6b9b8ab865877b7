"""People and adapters' service users in the console."""

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from tasks_app import reasons, services
from tasks_app.admin import consequences
from tasks_app.admin.actors import actor_of
from tasks_app.admin.base import CatalogAdmin, audited
from tasks_app.admin.history import Told
from tasks_app.admin.reader import my_settings
from tasks_app.models import TeamMembership, User


@admin.register(User)
class PeopleAdmin(UserAdmin, CatalogAdmin):  # type: ignore[misc, type-arg]  # Unfold is untyped
    """Nobody is deleted: who left is deactivated, gives back what he or she holds, and stays named in the trail."""

    explanation = gettext_lazy(
        "People sign in to the console; adapters act through tokens. What a person may work on comes from the teams, "
        "and roles add to it. Nobody is deleted: who leaves is switched off, gives back what he or she holds, and "
        "stays named in the trail."
    )
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "name", "email", "kind", "is_active", "last_login")
    list_filter = ("kind", "is_active")
    ordering = ("username",)
    search_fields = ("username", "email")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password", "kind")}),
        (gettext_lazy("Person"), {"fields": ("first_name", "last_name", "email", "language", "time_zone")}),
        (
            gettext_lazy("Rights"),
            {
                "fields": ("is_active", "is_staff", "groups"),
                "description": gettext_lazy(
                    "Staff may enter the console. What a person works on comes from the teams; roles add to it."
                ),
            },
        ),
        (gettext_lazy("History"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "email", "kind", "is_staff", "usable_password", "password1", "password2")}),
    )

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        mine = path("mine/", self.admin_site.admin_view(my_settings), name="tasks_app_user_mine")
        return [mine, *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None and cast(User, request.user).is_superuser:
            superuser = (gettext_lazy("Superuser"), {"fields": ("is_superuser",)})
            return (*fieldsets[:3], superuser, *fieldsets[3:])
        return fieldsets

    @admin.display(description=gettext_lazy("name"))
    def name(self, user: User) -> str:
        return user.get_full_name()

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The system user is nobody's to change; superusers are changed by superusers alone."""
        if isinstance(obj, User) and (obj.kind == User.Kind.SYSTEM or obj.is_superuser):
            mine = cast(User, request.user).is_superuser and obj.kind != User.Kind.SYSTEM
            return mine and super().has_change_permission(request, obj)
        return super().has_change_permission(request, obj)

    def consequences(self, request: HttpRequest, form: Any, formsets: list[Any]) -> list[str]:
        return consequences.of_person(form.instance, form)

    def told_with(self, row: Any) -> list[Told]:
        return [Told(TeamMembership, "person", row.get_username())]

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with audited(request):
            return super().user_change_password(request, id, form_url)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data and not obj.is_active:
            returned = services.return_tasks_of(obj, actor_of(request), reason=reasons.DEACTIVATED)
            if returned:
                self.message_user(request, _("%(n)d tasks went back to the queue.") % {"n": returned})
