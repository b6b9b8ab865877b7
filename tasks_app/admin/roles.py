"""Roles in the console: what a role lets its people do, as a table to tick instead of a list of permissions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from tasks_app.admin.base import CatalogAdmin

# What concerns tasks: one permission each.
OF_TASKS: Final[dict[str, str | Promise]] = {
    "view_every_task": gettext_lazy("See the tasks of every team, and change nothing (auditor)"),
    "manage_every_task": gettext_lazy("Act as a lead of every team (administrator)"),
    "reveal_detail": gettext_lazy("Reveal masked values of the tasks that one works on"),
}
# What is configured: its name, and the models that its pages edit together.
OF_PAGES: Final[dict[str | Promise, tuple[str, ...]]] = {
    gettext_lazy("Task types"): ("tasktype",),
    gettext_lazy("Teams"): ("team", "teammembership"),
    gettext_lazy("Principals"): ("principal",),
    gettext_lazy("Deadline policies"): ("slapolicy", "slastep"),
    gettext_lazy("Calendars"): ("businesscalendar",),
    gettext_lazy("People and adapters"): ("user",),
    gettext_lazy("Tokens"): ("adaptertoken",),
    gettext_lazy("Retention"): ("retentionpolicy",),
}
VERBS: Final[dict[str, str | Promise]] = {
    "view": gettext_lazy("see"),
    "add": gettext_lazy("add"),
    "change": gettext_lazy("change"),
}


@dataclass(frozen=True)
class Right:
    """One box to tick: the permissions that belong together, the first of which says whether it is given."""

    name: str
    codenames: tuple[str, ...]
    row: str | Promise
    verb: str | Promise = ""

    @property
    def label(self) -> str:
        return f"{self.row}: {self.verb}" if self.verb else str(self.row)


def _rights() -> dict[str, Right]:
    found = [Right(name, (name,), label) for name, label in OF_TASKS.items()]
    for page, models in OF_PAGES.items():
        for verb, label in VERBS.items():
            names = tuple(f"{verb}_{model}" for model in models)
            found.append(Right(names[0], names, page, label))
    return {right.name: right for right in found}


RIGHTS: Final = _rights()


def given_to(role: Group) -> list[str]:
    """The rights of a stored role."""
    if role.pk is None:
        return []
    names = set(role.permissions.filter(content_type__app_label="tasks_app").values_list("codename", flat=True))
    return [name for name in RIGHTS if name in names]


class RightsWidget(UnfoldAdminCheckboxSelectMultipleWidget):  # type: ignore[misc]  # Unfold is untyped
    """A line for each right of tasks, and a table of pages and verbs."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        return render_to_string("console/rights.html", self.get_context(name, value, attrs))

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        boxes = {str(box["value"]): box for _group, options, _n in context["widget"]["optgroups"] for box in options}
        pages: dict[str, list[dict[str, Any]]] = {}
        for right in RIGHTS.values():
            if right.verb:
                pages.setdefault(str(right.row), []).append({**boxes[right.name], "label": right.label})
        context |= {"of_tasks": [boxes[name] for name in OF_TASKS], "pages": pages, "verbs": list(VERBS.values())}
        return context


class RoleForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A role by its rights. Permissions that stand behind none of the boxes stay as they are."""

    rights = forms.MultipleChoiceField(
        label=gettext_lazy("Rights"),
        choices=lambda: [(right.name, right.label) for right in RIGHTS.values()],
        required=False,
        widget=RightsWidget,
    )

    class Meta:
        model = Group
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["rights"].initial = given_to(self.instance)

    def changes(self) -> tuple[list[Right], list[Right]]:
        """What the role gains and what it loses."""
        before, after = set(given_to(self.instance)), set(self.cleaned_data["rights"])
        return (
            [right for name, right in RIGHTS.items() if name in after - before],
            [right for name, right in RIGHTS.items() if name in before - after],
        )

    def _save_m2m(self) -> None:
        super()._save_m2m()  # type: ignore[misc]  # the stubs do not know it
        gained, lost = self.changes()
        self.instance.permissions.add(*_permissions(gained))
        self.instance.permissions.remove(*_permissions(lost))


def _permissions(rights: Iterable[Right]) -> QuerySet[Permission]:
    names = [name for right in rights for name in right.codenames]
    return Permission.objects.filter(content_type__app_label="tasks_app", codename__in=names)


admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(CatalogAdmin):
    """Roles: named sets of rights. Whoever edits them could give himself any: superusers alone do."""

    explanation = gettext_lazy(
        "A role is a named set of rights. Administrators configure and act as leads of every team, auditors see "
        "everything and change nothing; give one to a person under People and adapters. What somebody works on comes "
        "from the teams, and needs no role."
    )
    form = RoleForm
    fields = ("name", "rights")
    list_display = ("name", "people")
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        roles: QuerySet[Group] = super().get_queryset(request)
        return roles.annotate(active_people=Count("user", filter=Q(user__is_active=True)))

    @admin.display(description=gettext_lazy("People"))
    def people(self, role: Any) -> int:
        return int(role.active_people)

    def consequences(self, request: HttpRequest, form: Any, formsets: list[Any]) -> list[str]:
        number = form.instance.user_set.filter(is_active=True).count()
        gained, lost = form.changes()
        more = ngettext("%(n)d person may from now on: %(what)s.", "%(n)d people may from now on: %(what)s.", number)
        less = ngettext("%(n)d person may no longer: %(what)s.", "%(n)d people may no longer: %(what)s.", number)
        said = [(more, gained), (less, lost)] if number else []
        return [text % {"n": number, "what": _listed(rights)} for text, rights in said if rights]


def _listed(rights: list[Right]) -> str:
    return "; ".join(right.label for right in rights)
