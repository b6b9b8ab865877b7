"""The figures: JSON for people's programs, text for Prometheus."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.api import StrictQuery
from tasks_app import metrics
from tasks_app.actors import Actor, Grants
from tasks_app.api.base import TaskView, problems
from tasks_app.exceptions import NotAllowed


class SummaryQuery(StrictQuery):
    hours = serializers.IntegerField(
        required=False, default=168, min_value=1, max_value=24 * 92, help_text="How far to look back; default a week."
    )


class SummaryOut(serializers.Serializer[Any]):
    """What is open now, and the period. Times are in seconds, percentiles to within a fifth."""

    at = serializers.DateTimeField()
    period_hours = serializers.FloatField()
    open = serializers.DictField()
    types = serializers.DictField()
    policies = serializers.DictField()
    operations = serializers.ListField(child=serializers.DictField())
    hours = serializers.ListField(child=serializers.DictField())
    seconds_since_sweep = serializers.FloatField(allow_null=True)
    outgoing = serializers.DictField(
        child=serializers.FloatField(), help_text="What waits on its way out, as /metrics names it, and for how long."
    )
    decisions = serializers.DictField(required=False, help_text="By person; for leads only.")


def sees_figures(actor: Actor) -> bool:
    """Figures are over all teams and principals: for people of the house, not for adapters."""
    return actor.is_person and (bool(actor.grants.teams) or actor.grants.sees_everything)


class MetricsSummary(TaskView):
    @extend_schema(
        operation_id="get_metrics_summary",
        parameters=[SummaryQuery],
        responses={200: SummaryOut, **problems(400, 403)},
        tags=["metrics"],
    )
    def get(self, request: Request) -> Response:
        """Figures over all tasks, from hourly summaries: the cost does not grow with the number of closed tasks."""
        if not sees_figures(self.actor):
            raise NotAllowed
        query = SummaryQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        period = timedelta(hours=query.validated_data["hours"])
        grants = self.actor.grants
        return Response(metrics.summary(period=period, people=_whose_decisions(grants)))


def _whose_decisions(grants: Grants) -> Q | None:
    """Leads learn who decided how much of what they lead; auditors and administrators of everything; others nothing."""
    if grants.sees_everything:
        return Q()
    if not grants.led:
        return None
    return Q(team__in=sorted(grants.led)) | Q(task_type__in=sorted(grants.led_types_for_all))


class _Registry:
    """prometheus_client asks it at every scrape."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for metric in metrics.collect():
            labels = sorted({name for sample in metric.samples for name in sample.labels})
            family = GaugeMetricFamily(f"hitl_{metric.name}", metric.help, labels=labels)
            for sample in metric.samples:
                family.add_metric([sample.labels.get(name, "") for name in labels], sample.value)
            yield family


def prometheus(request: HttpRequest) -> HttpResponse:
    """`GET /metrics` for a scraper, with HITL_METRICS_TOKEN as bearer; without one it is switched off."""
    token = settings.HITL_METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not token:
        return HttpResponse("Set HITL_METRICS_TOKEN to switch this on.\n", status=404, content_type="text/plain")
    if not constant_time_compare(given, token):
        return HttpResponse("This needs the metrics token.\n", status=401, headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry()
    registry.register(_Registry())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
