"""Where events go, what is on its way, and what was tried."""

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
    "DELIVERY_PREFIX",
    "ENDPOINT_PREFIX",
    "ROTATION_OVERLAP",
    "Attempt",
    "Delivery",
    "DeliveryManager",
    "DeliveryQuerySet",
    "Endpoint",
    "EndpointManager",
    "EndpointQuerySet",
    "new_delivery_id",
    "new_endpoint_id",
    "outcomes",
]
