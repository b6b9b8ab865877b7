"""The audit log in the console, for administrators and auditors: read only, paged without counting."""

import json
from typing import Any

from auditlog.models import LogEntry
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.paginator import InfinitePaginator

from tasks_app.admin.actors import oversees
from tasks_app.admin.base import CatalogAdmin, labelled
from tasks_app.states import EventType

admin.site.unregister(LogEntry)


@admin.register(LogEntry)
class LogEntryAdmin(CatalogAdmin):
    explanation = _(
        "Every change of a task or of the configuration: who, when, from where, and what it was before. Nobody can "
        "change or delete an entry. Each page of the configuration has its own history, too."
    )
    paginator = InfinitePaginator
    list_display = ("at", "who", "shown_action", "resource", "about", "address")
    list_select_related = ("content_type", "actor")
    # By exact id of the object: `icontains` over a log reads all of it.
    search_fields = ("object_pk__exact",)
    search_help_text = _("Exact id of a task, team, person …")
    ordering = ("-timestamp",)
    sortable_by = ()
    fields = (
        "at",
        "who",
        "shown_action",
        "resource",
        "about",
        "object_pk",
        "shown_changes",
        "address",
        "correlation",
        "additional",
    )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return oversees(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return oversees(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer("serialized_data")

    @admin.display(description=_("When"))
    def at(self, entry: Any) -> str:
        return f"{timezone.localtime(entry.timestamp):%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("About"))
    def about(self, entry: Any) -> str:
        return str(entry.object_repr)

    @admin.display(description=_("From address"))
    def address(self, entry: Any) -> str:
        return entry.remote_addr or "–"

    @admin.display(description=_("Request (correlation id)"))
    def correlation(self, entry: Any) -> str:
        return entry.cid or "–"

    @admin.display(description=_("Who"))
    def who(self, entry: Any) -> str:
        return "–" if entry.actor is None else str(entry.actor.get_username())

    @labelled(_("Action"), {"create": "success", "update": "default", "delete": "danger"})
    def shown_action(self, entry: Any) -> tuple[str, str]:
        kind = (entry.additional_data or {}).get("type")
        text = EventType(kind).label if kind in EventType.values else kind or entry.get_action_display()
        return {0: "create", 2: "delete"}.get(entry.action, "update"), str(text)

    @admin.display(description=_("What"))
    def resource(self, entry: Any) -> str:
        model = entry.content_type.model_class()
        return str(entry.content_type) if model is None else str(model._meta.verbose_name)

    @admin.display(description=_("Changes"))
    def shown_changes(self, entry: Any) -> SafeString:
        changes = entry.changes_dict if hasattr(entry, "changes_dict") else entry.changes or {}
        rows = ((name, *_both(values)) for name, values in changes.items())
        body = format_html_join("", "<tr><th>{}</th><td>{}</td><td>{}</td></tr>", rows)
        return format_html(
            '<table class="c-changes"><tr><th>{}</th><th>{}</th><th>{}</th></tr>{}</table>',
            _("Field"),
            _("Before"),
            _("After"),
            body,
        )

    @admin.display(description=_("Details"))
    def additional(self, entry: Any) -> str:
        return json.dumps(entry.additional_data, ensure_ascii=False) if entry.additional_data else "–"


def _both(values: Any) -> tuple[str, str]:
    """Before and after; many-to-many changes come as a dict and are shown whole."""
    if isinstance(values, list) and len(values) == 2:
        return str(values[0]), str(values[1])
    return "", json.dumps(values, ensure_ascii=False)
