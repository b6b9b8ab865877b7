"""How long ended tasks are kept, with a preview of what would leave."""

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import clock
from tasks_app import retention
from tasks_app.admin.base import CatalogAdmin
from tasks_app.models import RetentionPolicy


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(CatalogAdmin):
    explanation = gettext_lazy(
        "Ended tasks and their sealed originals leave after the days given here, type by type, in small batches every "
        "hour. Their events stay: the trail shows that a task was here, what happened to it, and that it left. Without "
        "a policy nothing leaves."
    )
    fixed_fields = ("task_type",)
    list_display = ("task_type", "days", "export_first", "is_active")
    list_select_related = ("task_type",)
    readonly_fields = ("preview",)
    fields = ("task_type", "days", "export_first", "is_active", "preview")

    @admin.display(description=gettext_lazy("would leave now"))
    def preview(self, policy: RetentionPolicy | None) -> str:
        if policy is None or policy.days is None or not policy.task_type_id:
            return _("Shown once the policy is saved; it begins inactive.")
        found = retention.preview(policy, clock.now())
        if found.first is None or found.last is None:
            return _("No task.")
        number = f"{found.number:,}" if found.number < retention.SHOWN_UP_TO else f"{found.number:,}+"
        return _("%(number)s tasks, ended from %(first)s to %(last)s.") % {
            "number": number,
            "first": f"{found.first:%Y-%m-%d}",
            "last": f"{found.last:%Y-%m-%d}",
        }
