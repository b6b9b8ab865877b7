"""Alerts in the console: the rules for administrators, the episodes for whoever oversees, and leads."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.paginator import InfinitePaginator

from core import clock
from notifications import selectors
from notifications.admin.base import AdministratorsAdmin, administers, sees_alerts
from notifications.models import Alert, AlertRule, Channel
from tasks_app.admin.actors import actor_of
from tasks_app.admin.base import CatalogAdmin, labelled
from tasks_app.admin.texts import ago, span
from tasks_app.links import task_url


@admin.register(AlertRule)
class AlertRuleAdmin(AdministratorsAdmin):
    explanation = gettext_lazy(
        "A rule says what is worth an alarm. Each alarm is told once when it begins and once when it is over, in the "
        "console and to the channels chosen here. Rules are not deleted; switch off what you do not want to hear of."
    )
    list_display = ("name", "kind", "when", "tells", "state")
    fields = ("name", "slug", "kind", "enabled", "min_priority", "minutes", "threshold", "channels")
    fixed_fields = ("slug", "kind")
    filter_horizontal = ("channels",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return administers(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRule]:
        rules: QuerySet[AlertRule] = super().get_queryset(request).prefetch_related("channels")
        return rules

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Channels of teams and operators: what a person is told is that person's own choice."""
        kwargs["queryset"] = Channel.objects.filter(person__isnull=True)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @admin.display(description=gettext_lazy("When"))
    def when(self, rule: AlertRule) -> str:
        names = {"priority": rule.get_min_priority_display(), "n": rule.threshold, "m": rule.minutes}
        words = {
            AlertRule.Kind.HIGH_PRIORITY: _("priority %(priority)s or above, nobody took it for %(m)d min"),
            AlertRule.Kind.OVERDUE: _("priority %(priority)s or above, overdue for %(m)d min"),
            AlertRule.Kind.FAILURES: _("%(n)d of one adapter's operation within %(m)d min"),
            AlertRule.Kind.ENDPOINT: _("for %(m)d min"),
            AlertRule.Kind.OUTBOX: _("%(n)d waiting for over %(m)d min"),
            AlertRule.Kind.SILENCE: _("for %(m)d min"),
        }
        at_once = {
            AlertRule.Kind.HIGH_PRIORITY: _("priority %(priority)s or above, as soon as it is opened"),
            AlertRule.Kind.OVERDUE: _("priority %(priority)s or above, as soon as it is overdue"),
        }
        kind = AlertRule.Kind(rule.kind)
        return (words[kind] if rule.minutes else at_once.get(kind, words[kind])) % names

    @admin.display(description=gettext_lazy("Tells"))
    def tells(self, rule: AlertRule) -> str:
        return ", ".join(channel.name for channel in rule.channels.all()) or _("the console alone")

    @labelled(gettext_lazy("State"), {"on": "success", "off": "warning"})
    def state(self, rule: AlertRule) -> tuple[str, str]:
        return ("on", _("on")) if rule.enabled else ("off", _("off"))


class IsOpen(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("open")), ("0", _("over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in ("0", "1"):
            return queryset.filter(closed_at__isnull=self.value() == "1")
        return queryset


@admin.register(Alert)
class AlertAdmin(CatalogAdmin):
    """What the rules found, the latest first. Nothing is changed here: an alert ends when its cause does."""

    explanation = gettext_lazy(
        "What the alert rules found, the latest first. Nothing is changed here: an alert is over when its cause is."
    )
    paginator = InfinitePaginator
    list_display = ("what", "rule", "state", "since", "lasted", "told")
    list_display_links = None
    list_select_related = ("rule",)
    list_filter = (IsOpen, "rule")
    ordering = ("-alert_id",)
    sortable_by = ()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return sees_alerts(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return sees_alerts(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        alerts = selectors.alerts_in_sight(actor_of(request)).order_by(*self.ordering)
        return alerts.prefetch_related("deliveries__endpoint")

    @admin.display(description=gettext_lazy("What"))
    def what(self, alert: Alert) -> str | SafeString:
        urls = {
            AlertRule.Kind.ENDPOINT: reverse("admin:notifications_delivery_changelist") + f"?q={alert.subject}",
            AlertRule.Kind.OUTBOX: reverse("admin:notifications_delivery_changelist") + "?status__exact=pending",
        }
        url = task_url(alert.task_id) if alert.task_id else urls.get(AlertRule.Kind(alert.rule.kind), "")
        return format_html('<a href="{}">{}</a>', url, alert.text) if url else alert.text

    @labelled(gettext_lazy("State"), {"open": "danger", "over": "success"})
    def state(self, alert: Alert) -> tuple[str, str]:
        return ("open", _("open")) if alert.closed_at is None else ("over", _("over"))

    @admin.display(description=gettext_lazy("Since"))
    def since(self, alert: Alert) -> str:
        return ago(alert.opened_at, clock.now())

    @admin.display(description=gettext_lazy("Lasted"))
    def lasted(self, alert: Alert) -> str:
        return span((alert.closed_at or clock.now()) - alert.opened_at)

    @admin.display(description=gettext_lazy("Told"))
    def told(self, alert: Alert) -> str:
        return ", ".join(sorted({str(delivery.endpoint) for delivery in alert.deliveries.all()})) or "–"
