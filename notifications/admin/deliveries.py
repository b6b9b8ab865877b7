"""The delivery log: what was sent, with every try's bytes, headers and answer. Read only but for 'send again'."""

from functools import partial
from typing import Any

import orjson
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.paginator import InfinitePaginator

from core.errors import HitlError
from notifications import relay
from notifications.admin.base import AdministratorsAdmin, administers, refuse_get
from notifications.channels import HIDDEN
from notifications.models import Delivery
from tasks_app.admin.base import labelled


@admin.register(Delivery)
class DeliveryAdmin(AdministratorsAdmin):
    paginator = InfinitePaginator
    list_display = ("created_at", "event_type", "task_id", "endpoint", "state", "attempts", "next_attempt_at")
    list_select_related = ("endpoint",)
    list_filter = ("status", "event_type")
    # By exact id: `icontains` over a log reads all of it.
    search_fields = ("task_id__exact", "event_id__exact", "endpoint_id__exact")
    search_help_text = gettext_lazy("Exact id of a task, event or endpoint")
    ordering = ("-delivery_id",)
    sortable_by = ()
    actions = ("send_again",)  # type: ignore[assignment]
    fields = (
        "event_type", "task_id", "seq", "event_id", "endpoint", "state", "attempts", "next_attempt_at",
        "created_at", "delivered_at", "shown_body", "shown_tries",
    )  # fmt: skip
    change_form_outer_before_template = "notifications/delivery_actions.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("body")

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    @labelled(
        gettext_lazy("Status"),
        {"sent": "success", "failed": "danger", "pending": "info", "cancelled": "warning"},
    )
    def state(self, delivery: Delivery) -> tuple[str, str]:
        return str(delivery.status), delivery.get_status_display()

    @admin.display(description=gettext_lazy("Body of every try"))
    def shown_body(self, delivery: Delivery) -> SafeString:
        return _rendered("notifications/body.html", {"body": _body(delivery)})

    @admin.display(description=gettext_lazy("Tries"))
    def shown_tries(self, delivery: Delivery) -> SafeString:
        return _rendered("notifications/tries.html", {"tries": delivery.tries.all()})

    @admin.action(description=gettext_lazy("Send again"), permissions=["send_again"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> None:
        self._redeliver(request, list(chosen.values_list("pk", flat=True)))

    def get_urls(self) -> list[URLPattern]:
        view = self.site.admin_view(partial(self._send_one_again))
        return [path("<str:delivery_id>/again/", view, name="notifications_delivery_again"), *super().get_urls()]

    def _send_one_again(self, request: HttpRequest, delivery_id: str) -> HttpResponse:
        refused = refuse_get(request)
        if refused is not None:
            return refused
        delivery = get_object_or_404(Delivery, pk=delivery_id)
        self._redeliver(request, [delivery.pk])
        return HttpResponseRedirect(reverse("admin:notifications_delivery_change", args=[delivery.pk]))

    def _redeliver(self, request: HttpRequest, delivery_ids: list[str]) -> None:
        try:
            count = relay.redeliver(delivery_ids)
        except HitlError as error:
            messages.error(request, error.detail)
        else:
            messages.success(request, _("%(n)d deliveries are sent again, with the same id and bytes.") % {"n": count})


def _body(delivery: Delivery) -> str:
    """The bytes as they are sent; a receiver's token is its secret, and left out here."""
    text = delivery.content.decode("utf-8", "replace")
    if not delivery.is_sealed:
        return text
    message = orjson.loads(text)
    return text.replace(orjson.dumps(message["token"]).decode(), f'"{HIDDEN}"') if "token" in message else text


def _rendered(template: str, context: dict[str, Any]) -> SafeString:
    return mark_safe(render_to_string(template, context))  # noqa: S308  (a template's output, escaped by it)
