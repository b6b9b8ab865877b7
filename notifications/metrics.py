"""The figures of the way out, for Prometheus. None of them costs more with the number of messages that arrived."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Count

from notifications import selectors
from notifications.models import Alert, AlertRule
from tasks_app.metrics import Metric, Sample


def outgoing(now: datetime) -> Iterable[Metric]:
    """What waits, what did not arrive, who fails, and the open alerts by rule."""
    backlog = selectors.backlog()
    age = 0.0 if backlog.oldest is None else (now - backlog.oldest).total_seconds()
    yield Metric("outbox_events", "Events not turned into messages yet.", [Sample(backlog.undispatched)])
    yield Metric("pending_deliveries", "Messages to send or to try again.", [Sample(backlog.pending)])
    yield Metric("oldest_delivery_seconds", "Age of the oldest message that waits; 0 if none does.", [Sample(age)])
    undelivered = selectors.count_undelivered_outcomes()
    yield Metric("undelivered_outcomes", "Outcomes that no adapter heard of, counted to 100.", [Sample(undelivered)])
    failing = selectors.troubled_endpoints().count()
    yield Metric("failing_endpoints", "Receivers that fail or were switched off for it.", [Sample(failing)])
    counts = dict(Alert.objects.filter(closed_at__isnull=True).order_by().values_list("rule").annotate(n=Count("pk")))
    rules = AlertRule.objects.values_list("pk", flat=True)
    yield Metric("open_alerts", "Open alerts by rule.", [Sample(counts.get(rule, 0), {"rule": rule}) for rule in rules])
