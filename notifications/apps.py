"""From event to outside: deliveries, channels, alerts."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from notifications import checks, jobs, metrics, models, notices, selectors  # noqa: F401  (checks registers itself)
        from notifications.admin.base import administers, sees_alerts
        from tasks_app import metrics as task_metrics
        from tasks_app import registries, wakeup
        from tasks_app.admin.home import register_card
        from tasks_app.admin.site import Link, register_link

        wakeup.register(jobs.nudge)
        register_card(notices.undelivered_card)
        register_card(notices.endpoints_card)
        register_card(notices.waiting_card)
        register_card(notices.silence_card)
        register_card(notices.alerts_card)
        registries.register_task_note(notices.undelivered_notes)
        registries.register_channels(selectors.channels_to_name)
        register_link(Link(_("My notifications"), "notifications", "console-my-notifications", section="own"))
        register_link(
            Link(_("Alerts"), "notification_important", "notifications_alert_changelist", sees_alerts, "messages")
        )
        register_link(Link(_("Alert rules"), "rule", "notifications_alertrule_changelist", administers, "messages"))
        register_link(Link(_("Channels"), "forum", "notifications_channel_changelist", administers, "messages"))
        register_link(
            Link(_("Webhook endpoints"), "webhook", "notifications_endpoint_changelist", administers, "messages")
        )
        register_link(Link(_("Delivery log"), "outbox", "notifications_delivery_changelist", administers, "messages"))
        # What a person configures is audited; the record of failures changes with every try.
        volatile = ["secrets", "sealed_token", "failing_since", "failures_in_a_row", "warned_at", "paused_until"]
        auditlog.register(models.Endpoint, exclude_fields=volatile)
        auditlog.register(models.Channel)
        auditlog.register(models.AlertRule, m2m_fields={"channels"})
        task_metrics.register(metrics.outgoing)
