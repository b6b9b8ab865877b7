"""Deadline policies in the console: what would change is shown before it is saved, and told in the tasks' timelines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline

from tasks_app import reasons, services
from tasks_app.actors import system_actor
from tasks_app.admin.actors import actor_of, works_here
from tasks_app.admin.base import CatalogAdmin
from tasks_app.catalog_data import shown
from tasks_app.exceptions import InvalidInput
from tasks_app.models import HumanTask, SLAPolicy, SLAStep
from tasks_app.services import StepSpec
from tasks_app.services.policies import check_channel, check_reach, check_team
from tasks_app.sla import policies
from tasks_app.sla.explain import duration
from tasks_app.sla.preview import Preview, preview_policy
from tasks_app.states import Priority

# Up to so many open tasks are computed at once; more are left to the job, which does it within seconds.
AT_ONCE: Final = 500
SHOWN: Final = 50


def sees_promises(request: HttpRequest) -> bool:
    """Leads, auditors and administrators."""
    return works_here(request) and (
        bool(actor_of(request).grants.led) or request.user.has_perm("tasks_app.view_slapolicy")
    )


class PreviewedAdmin(CatalogAdmin):
    """Saving goes by a page that says what would change; only its button saves."""

    preview_title: Any = ""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return sees_promises(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return sees_promises(request)

    def preview(self, form: Any, formsets: Sequence[Any]) -> Preview:
        raise NotImplementedError

    def preview_context(self, form: Any) -> dict[str, Any]:
        """What else the page before saving shows."""
        return {}

    def changeform_view(self, request: HttpRequest, object_id: Any = None, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "POST" and "_confirmed" not in request.POST:
            shown = self._previewed(request, object_id)
            if shown is not None:
                return shown
        response: HttpResponse = super().changeform_view(request, object_id, *args, **kwargs)
        if hasattr(request, "saved_promise"):
            self._compute_anew(request)
        return response

    def _previewed(self, request: HttpRequest, object_id: Any) -> HttpResponse | None:
        """The page before saving, or None where the form has errors or may not be saved: Django's own page says so."""
        row = None if object_id is None else self.get_object(request, str(object_id))
        allowed = self.has_add_permission(request) if object_id is None else self.has_change_permission(request, row)
        if not allowed or (object_id is not None and row is None):
            return None
        form = self.get_form(request, row, change=row is not None, fields=None)(
            request.POST, request.FILES, instance=row
        )
        if not form.is_valid():
            return None
        formsets, _instances = self._create_formsets(request, form.instance, change=row is not None)
        if not all(formset.is_valid() for formset in formsets):
            return None
        found = self.preview(form, formsets)
        context = {
            **self.admin_site.each_context(request),
            "title": self.preview_title,
            "name": str(form.instance),
            "preview": found,
            "shown": found.differences[:SHOWN],
            "beyond": max(0, found.changed - SHOWN),
            "sent": [
                (name, value)
                for name in request.POST
                for value in request.POST.getlist(name)
                if name != "csrfmiddlewaretoken"
            ],
            "open_tasks": HumanTask.objects.open().count(),
            **self.preview_context(form),
        }
        return TemplateResponse(request, "console/policy_preview.html", context)

    def note_saved(self, request: HttpRequest, sentence: str, name: str) -> None:
        """Within the transaction of saving: what the timelines will say."""
        services.note_reason(sentence % {"name": name, "person": request.user.get_username()})
        request.saved_promise = True  # type: ignore[attr-defined]

    def _compute_anew(self, request: HttpRequest) -> None:
        if HumanTask.objects.open()[: AT_ONCE + 1].count() > AT_ONCE:
            messages.info(request, _("The open tasks are computed anew within seconds; each that changes says so."))
            return
        changed = services.apply_changes(system_actor())
        if changed:
            messages.info(
                request, _("The deadlines of %(n)d open tasks changed; their timelines say so.") % {"n": changed}
            )


class StepFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # not generic at run time
    """Steps as an administrator gives them; the service makes new versions of those that differ."""

    def clean(self) -> None:
        super().clean()
        for form in self.forms:
            values = getattr(form, "cleaned_data", {})
            if not form.has_changed() or values.get("DELETE"):
                continue
            if values.get("action") == SLAStep.Action.NOTIFY and values.get("channel"):
                with _said_at(form, "channel"):
                    check_channel(values["channel"])
            if values.get("team"):
                with _said_at(form, "team"):
                    check_team(values["team"].pk)

    def specs(self) -> list[StepSpec]:
        kept = [form for form in self.forms if form.has_changed() or form.instance.pk]
        kept = [form for form in kept if not form.cleaned_data.get("DELETE")]
        return [_spec(form) for form in kept]


@contextmanager
def _said_at(form: Any, field: str) -> Iterator[None]:
    """What the service refuses, as an error of this field."""
    try:
        yield
    except InvalidInput as error:
        form.add_error(field, error.message)


def _spec(form: Any) -> StepSpec:
    values = form.cleaned_data
    team = values.get("team")
    return StepSpec(
        action=values["action"],
        at_percent=values.get("at_percent"),
        offset_minutes=values.get("offset_minutes"),
        clock=values["clock"],
        channel=values.get("channel") or "",
        team=None if team is None else team.pk,
        key=form.instance.key if form.instance.pk else "",
    )


def _step(spec: StepSpec) -> SLAStep:
    """The step as it would be, not saved; an edited one keeps its key, by which tasks know what they have taken."""
    step = SLAStep(clock=spec.clock, at_percent=spec.at_percent, offset_minutes=spec.offset_minutes, action=spec.action)
    step.channel, step.team_id, step.key = spec.channel, spec.team, spec.key or step.key
    return step


class StepInline(TabularInline):  # type: ignore[misc]  # Unfold is untyped
    model = SLAStep
    formset = StepFormSet
    extra = 0
    fields = ("clock", "at_percent", "offset_minutes", "action", "channel", "team")
    verbose_name = gettext_lazy("step")
    verbose_name_plural = gettext_lazy("steps: what happens on the way to the deadline, and after it")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SLAStep]:
        rows: QuerySet[SLAStep] = super().get_queryset(request)
        return rows.filter(is_current=True).order_by("clock", "at_percent", "offset_minutes")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return sees_promises(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A step that is left out is retired, not deleted."""
        return bool(self.has_change_permission(request, obj))


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        targets = ("to_assign_minutes", "assigned_to_resolve_minutes", "to_resolve_minutes")
        if not any(values.get(name) for name in targets):
            raise forms.ValidationError(_("Give at least one of the three times, in minutes."))
        try:
            check_reach(values.get("calendar"), [values.get(name) for name in targets])
        except InvalidInput as error:
            self.add_error("calendar", error.message)
        return values


@admin.register(SLAPolicy)
class PolicyAdmin(PreviewedAdmin):
    form = PolicyForm
    inlines = (StepInline,)
    list_display = ("name", "fits", "promises", "calendar", "step_count", "is_active")
    list_select_related = ("task_type", "principal", "calendar")
    list_filter = ("is_active",)
    preview_title = gettext_lazy("What this policy would change")
    explanation = gettext_lazy(
        "A policy says how long tasks may take, and what happens on the way. Before it is saved you see which open "
        "tasks it would change; afterwards their timelines say so. Without a policy the priority counts: urgent "
        "4 hours, high 24, medium 48, low none."
    )
    fieldsets = (
        (None, {"fields": ("name", "is_active")}),
        (
            gettext_lazy("For which tasks"),
            {
                "fields": ("task_type", "priority", "principal"),
                "description": gettext_lazy("What stays empty fits all. The policy with the most conditions wins."),
            },
        ),
        (
            gettext_lazy("How long they may take"),
            {
                "fields": (
                    "to_assign_minutes",
                    "assigned_to_resolve_minutes",
                    "to_resolve_minutes",
                    "calendar",
                    "pauses_on_hold",
                ),
                "description": gettext_lazy("In minutes of the calendar: 480 are a working day of eight hours."),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SLAPolicy]:
        rows: QuerySet[SLAPolicy] = super().get_queryset(request)
        return rows.prefetch_related("steps")

    @admin.display(description=gettext_lazy("Fits"))
    def fits(self, policy: SLAPolicy) -> str:
        conditions = [
            shown(policy.task_type.label) if policy.task_type else "",
            str(Priority(policy.priority).label) if policy.priority else "",
            str(policy.principal) if policy.principal else "",
        ]
        return " · ".join(filter(None, conditions)) or _("all tasks")

    @admin.display(description=gettext_lazy("To assign / to work / in all"))
    def promises(self, policy: SLAPolicy) -> str:
        given = (policy.to_assign_minutes, policy.assigned_to_resolve_minutes, policy.to_resolve_minutes)
        return " / ".join("–" if minutes is None else duration(timedelta(minutes=minutes)) for minutes in given)

    @admin.display(description=gettext_lazy("Steps"))
    def step_count(self, policy: SLAPolicy) -> int:
        return sum(step.is_current for step in policy.steps.all())

    def preview(self, form: Any, formsets: Sequence[Any]) -> Preview:
        steps = [policies.step_of(_step(spec)) for formset in formsets for spec in formset.specs()]
        return preview_policy(form.instance, steps)

    def save_model(self, request: HttpRequest, obj: SLAPolicy, form: Any, change: bool) -> None:
        services.save_policy(obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: list[Any], change: bool) -> None:
        for formset in formsets:
            formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
            services.save_policy(form.instance, formset.specs())
        self.note_saved(request, reasons.POLICY_CHANGED, form.instance.name)
