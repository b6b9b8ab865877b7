"""Webhook endpoints and their deliveries. An adapter manages its own; administrators manage all."""

from functools import partial
from typing import Any, TypeVar

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core.api import KeysetPagination, StrictSerializer
from core.errors import HitlError
from notifications import relay, services
from notifications.api.serializers import (
    DELIVERY_COLUMNS,
    CountOut,
    DeliveryDetailOut,
    DeliveryOut,
    DeliveryQuery,
    EndpointChangeIn,
    EndpointIn,
    EndpointOut,
    EndpointQuery,
    EndpointWithSecretOut,
    NothingIn,
    RotateIn,
    SinceIn,
    TestedOut,
    endpoint_out,
    try_out,
)
from notifications.models import Delivery
from notifications.models import DeliveryQuerySet as Deliveries
from tasks_app.actors import Actor
from tasks_app.api.actors import actor_of
from tasks_app.api.base import problems
from tasks_app.api.idempotency import idempotent
from tasks_app.api.lists import PAGING, page_schema

S = TypeVar("S", bound=StrictSerializer)
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="Same key and body: the effect happens once."
)
shows_secret = partial(idempotent, secret=True)


class DeliveryNotFound(HitlError):
    """There is no delivery with this id, or it is not yours to see."""

    code = "not_found"
    status = 404


class NewestEndpoint(KeysetPagination):
    ordering = ("-endpoint_id",)


class NewestDelivery(KeysetPagination):
    ordering = ("-delivery_id",)


class EndpointView(APIView):
    """Base of these views."""

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    def read(self, serializer: type[S], request: Request) -> dict[str, Any]:
        """The validated body."""
        checked = serializer(data=request.data)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)

    def deliveries(self) -> Deliveries:
        return Delivery.objects.filter(endpoint__in=services.visible_endpoints(self.actor).values("pk"))


class WebhookEndpoints(EndpointView):
    @extend_schema(
        operation_id="list_webhook_endpoints",
        parameters=[EndpointQuery, *PAGING],
        responses={200: page_schema("EndpointPage", EndpointOut, NewestEndpoint), **problems(400, 403)},
        tags=["webhooks"],
    )
    def get(self, request: Request) -> Response:
        """Your endpoints, the newest first."""
        query = EndpointQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        pages = NewestEndpoint()
        found = services.visible_endpoints(self.actor).filter(**query.validated_data).select_related("owner")
        rows = pages.paginate_queryset(found, request)
        return pages.get_paginated_response([endpoint_out(row) for row in rows])

    @extend_schema(
        operation_id="create_webhook_endpoint",
        request=EndpointIn,
        parameters=[IDEMPOTENCY],
        responses={201: EndpointWithSecretOut, **problems(400, 403, 409, 422)},
        tags=["webhooks"],
    )
    def post(self, request: Request) -> Response:
        """Add an endpoint. The answer carries its `secret`, this once."""
        services.visible_endpoints(self.actor)
        body = self.read(EndpointIn, request)
        # Before the idempotent part, which is a transaction: the name server may take its time.
        services.check_reachable(body["url"])
        return _create(self, request, body)


@shows_secret
def _create(view: EndpointView, request: Request, body: dict[str, Any]) -> Response:
    given = body.pop("authentication", {})
    if given:
        body |= {"scheme": given["schemes"][0], "credentials": given.get("credentials", "")}
    endpoint, secret = services.create_endpoint(services.NewEndpoint(**body), view.actor)
    return Response(endpoint_out(endpoint) | {"secret": secret}, status.HTTP_201_CREATED)


class WebhookEndpoint(EndpointView):
    @extend_schema(
        operation_id="get_webhook_endpoint", responses={200: EndpointOut, **problems(403, 404)}, tags=["webhooks"]
    )
    def get(self, request: Request, endpoint_id: str) -> Response:
        """One endpoint."""
        return Response(endpoint_out(services.endpoint_of(self.actor, endpoint_id)))

    @extend_schema(
        operation_id="change_webhook_endpoint",
        request=EndpointChangeIn,
        responses={200: EndpointOut, **problems(400, 403, 404, 409)},
        tags=["webhooks"],
    )
    def patch(self, request: Request, endpoint_id: str) -> Response:
        """Change what is named, and leave the rest. Format and authentication stay: add another endpoint for those."""
        services.endpoint_of(self.actor, endpoint_id)
        body = self.read(EndpointChangeIn, request)
        if "url" in body:
            services.check_reachable(body["url"])
        enabled = body.pop("enabled", None)
        with transaction.atomic():
            endpoint = services.endpoint_of(self.actor, endpoint_id)
            if body:
                endpoint = services.change_endpoint(endpoint_id, self.actor, body)
            if enabled is not None and enabled != endpoint.enabled:
                switch = services.enable_endpoint if enabled else services.disable_endpoint
                endpoint = switch(endpoint_id, self.actor)
        return Response(endpoint_out(endpoint))

    @extend_schema(
        operation_id="delete_webhook_endpoint",
        responses={204: OpenApiResponse(description="Nothing more is sent to it."), **problems(403, 404, 409)},
        tags=["webhooks"],
    )
    def delete(self, request: Request, endpoint_id: str) -> Response:
        """Take the endpoint away; what waits for it is cancelled."""
        services.remove_endpoint(endpoint_id, self.actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


class EndpointTest(EndpointView):
    @extend_schema(
        operation_id="test_webhook_endpoint",
        request=NothingIn,
        responses={200: TestedOut, **problems(403, 404)},
        tags=["webhooks"],
    )
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Send a signed message of type `endpoint.test` now, and tell what came back."""
        self.read(NothingIn, request)
        tested = services.send_test(endpoint_id, self.actor)
        return Response({name: getattr(tested, name) for name in ("delivered", "status", "answer", "error")})


class EndpointSecret(EndpointView):
    @extend_schema(
        operation_id="rotate_webhook_secret",
        request=RotateIn,
        parameters=[IDEMPOTENCY],
        responses={200: EndpointWithSecretOut, **problems(400, 403, 404, 409, 422)},
        tags=["webhooks"],
    )
    @shows_secret
    def post(self, request: Request, endpoint_id: str) -> Response:
        """A new secret, shown this once. Messages carry a signature of the old one too, for 24 hours.

        With the format adcp they carry one signature, by the new secret at once.
        """
        body = self.read(RotateIn, request)
        endpoint, secret = services.rotate_secret(endpoint_id, self.actor, **body)
        return Response(endpoint_out(endpoint) | {"secret": secret})


class EndpointEnable(EndpointView):
    @extend_schema(
        operation_id="enable_webhook_endpoint",
        request=NothingIn,
        parameters=[IDEMPOTENCY],
        responses={200: EndpointOut, **problems(403, 404, 422)},
        tags=["webhooks"],
    )
    @idempotent
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Switch an endpoint on again. What it missed is sent by `recover`."""
        self.read(NothingIn, request)
        return Response(endpoint_out(services.enable_endpoint(endpoint_id, self.actor)))


class EndpointRecover(EndpointView):
    @extend_schema(
        operation_id="recover_webhook_endpoint",
        request=SinceIn,
        parameters=[IDEMPOTENCY],
        responses={200: CountOut, **problems(400, 403, 404, 409, 422)},
        tags=["webhooks"],
    )
    @idempotent
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Send everything that the endpoint missed since a moment."""
        body = self.read(SinceIn, request)
        endpoint = services.endpoint_of(self.actor, endpoint_id)
        return Response({"deliveries": relay.recover_since(endpoint.pk, body["since"])})


class DeliveryList(EndpointView):
    @extend_schema(
        operation_id="list_deliveries",
        parameters=[DeliveryQuery, *PAGING],
        responses={200: page_schema("DeliveryPage", DeliveryOut, NewestDelivery), **problems(400, 403)},
        tags=["webhooks"],
    )
    def get(self, request: Request) -> Response:
        """What was sent to your endpoints or waits to be, the newest first."""
        query = DeliveryQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        pages = NewestDelivery()
        found = self.deliveries().filter(**query.validated_data).values(*DELIVERY_COLUMNS)
        return pages.get_paginated_response(pages.paginate_queryset(found, request))


class DeliveryDetail(EndpointView):
    @extend_schema(
        operation_id="get_delivery", responses={200: DeliveryDetailOut, **problems(403, 404)}, tags=["webhooks"]
    )
    def get(self, request: Request, delivery_id: str) -> Response:
        """One delivery with its tries."""
        delivery = self.deliveries().filter(pk=delivery_id).prefetch_related("tries").first()
        if delivery is None:
            raise DeliveryNotFound
        row = {name: getattr(delivery, name) for name in DELIVERY_COLUMNS}
        return Response(row | {"tries": [try_out(attempt) for attempt in delivery.tries.all()]})


class Redeliver(EndpointView):
    @extend_schema(
        operation_id="redeliver",
        request=NothingIn,
        parameters=[IDEMPOTENCY],
        responses={200: CountOut, **problems(403, 404, 409, 422)},
        tags=["webhooks"],
    )
    @idempotent
    def post(self, request: Request, delivery_id: str) -> Response:
        """Send a delivery again, with the same id and bytes."""
        self.read(NothingIn, request)
        if not self.deliveries().filter(pk=delivery_id).exists():
            raise DeliveryNotFound
        return Response({"deliveries": relay.redeliver([delivery_id])})
