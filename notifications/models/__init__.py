"""Where events go, what is on its way, and what was tried."""

from notifications.models.alert import ALERT_PREFIX, Alert, AlertRule, WatchHead, new_alert_id
from notifications.models.channel import FOR_PEOPLE, Channel, first_choice
from notifications.models.delivery import (
    DELIVERY_PREFIX,
    Attempt,
    Delivery,
    DeliveryManager,
    DeliveryQuerySet,
    new_delivery_id,
)
from notifications.models.endpoint import (
    ENDPOINT_PREFIX,
    ROTATION_OVERLAP,
    Endpoint,
    EndpointManager,
    EndpointQuerySet,
    new_endpoint_id,
    outcomes,
)

__all__ = [
    "ALERT_PREFIX",
    "DELIVERY_PREFIX",
    "ENDPOINT_PREFIX",
    "FOR_PEOPLE",
    "ROTATION_OVERLAP",
    "Alert",
    "AlertRule",
    "Attempt",
    "Channel",
    "Delivery",
    "DeliveryManager",
    "DeliveryQuerySet",
    "Endpoint",
    "EndpointManager",
    "EndpointQuerySet",
    "WatchHead",
    "first_choice",
    "new_alert_id",
    "new_delivery_id",
    "new_endpoint_id",
    "outcomes",
]
