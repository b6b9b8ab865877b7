"""What goes in and out. Inputs are strict; outputs are plain rows, described here for the OpenAPI document."""

from typing import Any

from rest_framework import serializers

from core.api import MomentField, StrictQuery, StrictSerializer
from notifications.models import Attempt, Delivery, Endpoint
from tasks_app.api.serializers import PriorityField
from tasks_app.states import EventType, Priority

_EVENTS = f"Any of {', '.join(EventType.values)}; empty: all of them. Default: the outcomes."


def _names(help_text: str) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, max_length=100, help_text=help_text
    )


class EndpointChangeIn(StrictSerializer):
    """What may be changed later: the address, what you want to hear, and whether it is switched on."""

    url = serializers.CharField(max_length=2048, required=False, help_text="https://, a public host.")
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    event_types = _names(_EVENTS)
    min_priority = PriorityField(required=False, help_text="At least this priority; default low.")
    task_types = _names("Only these task types; empty: all.")
    principals = _names("Only these principals; empty: all of yours.")
    adapter_name = serializers.CharField(max_length=64, required=False, allow_blank=True, help_text="This one alone.")
    enabled = serializers.BooleanField(
        required=False, help_text="false: nothing is sent, what waits is cancelled. What was missed: recover."
    )


class AuthenticationIn(StrictSerializer):
    """As in the Ad Context Protocol's push_notification_config."""

    schemes = serializers.ListField(
        child=serializers.ChoiceField(choices=Endpoint.Scheme.values),
        min_length=1,
        max_length=1,
        help_text="The one scheme: HMAC-SHA256 (default) or Bearer.",
    )
    credentials = serializers.CharField(
        required=False, max_length=512, help_text="32 characters at least; without, they are made here."
    )


class EndpointIn(EndpointChangeIn):
    """Where to send news of your tasks."""

    url = serializers.CharField(max_length=2048, help_text="https://, a public host.")
    enabled = None  # type: ignore[assignment]  # a new one is switched on
    authentication = AuthenticationIn(required=False, help_text="With the format adcp.")
    token = serializers.CharField(
        required=False, min_length=16, max_length=4096, help_text="With the format adcp: echoed in every message."
    )
    format = serializers.ChoiceField(
        choices=Endpoint.Format.values,
        required=False,
        error_messages={"invalid_choice": f"Give one of {', '.join(Endpoint.Format.values)}."},
    )


class NothingIn(StrictSerializer):
    """An empty body."""


class RotateIn(StrictSerializer):
    credentials = serializers.CharField(
        required=False, max_length=512, help_text="With the format adcp: the receiver's own new credentials."
    )


class SinceIn(StrictSerializer):
    since = MomentField(help_text="ISO 8601 with offset: everything missed from this moment on.")


class EndpointQuery(StrictQuery):
    """Filters of `list_webhook_endpoints`."""

    paged = True

    enabled = serializers.BooleanField(required=False)


class DeliveryQuery(StrictQuery):
    """Filters of `list_deliveries`."""

    paged = True

    endpoint = serializers.CharField(max_length=40, required=False)
    task_id = serializers.CharField(max_length=40, required=False)
    status = serializers.ChoiceField(
        choices=Delivery.Status.values,
        required=False,
        error_messages={"invalid_choice": f"Give one of {', '.join(Delivery.Status.values)}."},
    )


class EndpointOut(serializers.Serializer[Any]):
    endpoint_id = serializers.CharField()
    url = serializers.CharField()
    description = serializers.CharField()
    owner = serializers.CharField(allow_null=True, help_text="The adapter; null: the operator's, of all tasks.")
    format = serializers.ChoiceField(choices=Endpoint.Format.values)
    scheme = serializers.ChoiceField(
        choices=Endpoint.Scheme.values, allow_null=True, help_text="With the format adcp; null otherwise."
    )
    event_types = serializers.ListField(child=serializers.CharField())
    min_priority = serializers.ChoiceField(choices=[priority.slug for priority in Priority])
    task_types = serializers.ListField(child=serializers.CharField())
    principals = serializers.ListField(child=serializers.CharField())
    adapter_name = serializers.CharField()
    enabled = serializers.BooleanField()
    disabled_reason = serializers.ChoiceField(choices=Endpoint.Disabled.values, allow_null=True)
    disabled_at = serializers.DateTimeField(allow_null=True)
    failing_since = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class EndpointWithSecretOut(EndpointOut):
    secret = serializers.CharField(help_text="Shown this once; verify webhook-signature with it.")


class TestedOut(serializers.Serializer[Any]):
    """What came of a test message."""

    delivered = serializers.BooleanField()
    status = serializers.IntegerField(allow_null=True)
    answer = serializers.CharField(help_text="The beginning of the answer.")
    error = serializers.CharField()


class CountOut(serializers.Serializer[Any]):
    deliveries = serializers.IntegerField(help_text="How many are sent again.")


class TryOut(serializers.Serializer[Any]):
    """One try to send a delivery."""

    started_at = serializers.DateTimeField()
    duration_ms = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True, help_text="The answer's; null: none came.")
    error = serializers.CharField(help_text="dns, connect, tls, timeout, unsafe_url ...; empty: an answer came.")
    detail = serializers.CharField()
    answer = serializers.CharField(help_text="The beginning of the answer.")


class DeliveryOut(serializers.Serializer[Any]):
    """One event for one endpoint."""

    delivery_id = serializers.CharField()
    endpoint_id = serializers.CharField()
    event_id = serializers.CharField(help_text="Also the webhook-id.")
    event_type = serializers.CharField()
    task_id = serializers.CharField()
    seq = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Delivery.Status.values)
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class DeliveryDetailOut(DeliveryOut):
    tries = TryOut(many=True)


DELIVERY_COLUMNS = tuple(map(str, DeliveryOut().fields))
TRY_COLUMNS = tuple(map(str, TryOut().fields))


_DERIVED = {"owner", "format", "scheme", "min_priority", "disabled_reason"}
_PLAIN = tuple(name for name in map(str, EndpointOut().fields) if name not in _DERIVED)


def endpoint_out(endpoint: Endpoint) -> dict[str, Any]:
    """The answer for an endpoint, whose owner is loaded."""
    return {name: getattr(endpoint, name) for name in _PLAIN} | {
        "owner": None if endpoint.owner is None else endpoint.owner.get_username(),
        "format": str(endpoint.format),
        "scheme": str(endpoint.scheme) if endpoint.format == Endpoint.Format.ADCP else None,
        "min_priority": Priority(endpoint.min_priority).slug,
        "disabled_reason": str(endpoint.disabled_reason) or None,
    }


def try_out(attempt: Attempt) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in TRY_COLUMNS}
