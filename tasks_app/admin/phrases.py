"""Reusable phrases: offered beside the feedback, managed by the leads of each team."""

from typing import Any, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from tasks_app.admin.actors import actor_of, works_here
from tasks_app.admin.base import CatalogAdmin
from tasks_app.models import HumanTask, Phrase, Team

MOST: Final = 60


def phrases_for(task: HumanTask) -> list[Phrase]:
    """What the task's team says again and again of its type: one query, sixty at most."""
    of_type = Q(task_type=task.task_type_id) | Q(task_type=None)
    return list(Phrase.objects.filter(of_type, team=task.team_id, is_active=True).order_by("pk")[:MOST])


def texts_for(phrases: list[Phrase], resolution: str) -> list[str]:
    """Those that fit the decision."""
    return [phrase.text for phrase in phrases if phrase.resolution in ("", resolution)]


@admin.register(Phrase)
class PhraseAdmin(CatalogAdmin):
    """For the leads of a team, and administrators; auditors look."""

    explanation = _(
        "Phrases are texts that a team writes again and again: a reason for a rejection, a request to the advertiser. "
        "They stand beside the feedback of a decision, and one click inserts one. Leads keep those of their own teams; "
        "one that is no longer wanted is switched off."
    )
    list_display = ("__str__", "team", "task_type", "resolution", "is_active")
    list_select_related = ("team", "task_type")
    list_filter = ("team", "is_active")
    search_fields = ("text",)
    fields = ("team", "task_type", "resolution", "text", "is_active")

    def _leads(self, request: HttpRequest, team_id: str | None = None) -> bool:
        grants = actor_of(request).grants
        return grants.manages_everything or (bool(grants.led) if team_id is None else team_id in grants.led)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return works_here(request) and (self._leads(request) or actor_of(request).grants.sees_everything)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request) and (obj is None or self._may_see(request, obj))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return works_here(request) and self._leads(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return works_here(request) and self._leads(request, None if obj is None else obj.team_id)

    def _may_see(self, request: HttpRequest, obj: Phrase) -> bool:
        return actor_of(request).grants.sees_everything or self._leads(request, obj.team_id)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Phrase]:
        rows: QuerySet[Phrase] = super().get_queryset(request)
        grants = actor_of(request).grants
        return rows if grants.sees_everything else rows.filter(team__in=sorted(grants.led))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A lead writes for the teams that he or she leads."""
        grants = actor_of(request).grants
        if db_field.name == "team" and not grants.manages_everything:
            kwargs["queryset"] = Team.objects.filter(pk__in=sorted(grants.led))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
