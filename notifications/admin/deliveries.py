"""The delivery log: what was sent, with every try's bytes, headers and answer. Read only but for 'send again'."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
from cryptography.fernet import InvalidToken
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.paginator import InfinitePaginator

from core import clock
from core.errors import HitlError
from notifications import letters, relay
from notifications.admin.base import AdministratorsAdmin, administers, refuse_get
from notifications.channels import CHANNELS, HIDDEN
from notifications.models import Attempt, Delivery
from notifications.relay.people import DIGEST
from tasks_app.admin.base import labelled
from tasks_app.admin.site import page_context
from tasks_app.admin.texts import ago, span
from tasks_app.links import task_url
from tasks_app.states import EventType

Status = Delivery.Status
FOLDED_SHOWN: Final = 50
TONES: Final = {
    Status.SENT: "green",
    Status.FAILED: "red",
    Status.PENDING: "blue",
    Status.CANCELLED: "orange",
    Status.HELD: "grey",
    Status.FOLDED: "grey",
}
_LABELS: Final = {
    "sent": "success",
    "failed": "danger",
    "pending": "info",
    "cancelled": "warning",
    "held": "default",
    "folded": "default",
}


@dataclass(frozen=True)
class Try:
    """One try with its number, and whether it arrived."""

    number: int
    row: Attempt

    @property
    def succeeded(self) -> bool:
        return self.row.status is not None and 200 <= self.row.status < 300


def what_of(delivery: Delivery) -> str:
    """The event, digest or alert in words."""
    others = {DIGEST: _("Digest"), letters.ALERT_OPENED: _("Alert"), letters.ALERT_OVER: _("Alert is over")}
    if delivery.event_type in others:
        return others[delivery.event_type]
    known = delivery.event_type in EventType.values
    return str(EventType(delivery.event_type).label) if known else capfirst(delivery.event_type)


def task_of(delivery: Delivery) -> str:
    """The task that it is about; or empty."""
    return delivery.task_id or ("" if delivery.alert is None else delivery.alert.task_id)


@admin.register(Delivery)
class DeliveryAdmin(AdministratorsAdmin):
    explanation = gettext_lazy(
        "Every message to a receiver or a channel: what was sent, each try, and what came back. A message is tried ten "
        "times over 75 hours; what failed for good can be sent again, one or many."
    )
    paginator = InfinitePaginator
    list_display = ("what", "about", "endpoint", "state", "attempts", "created", "next_try")
    list_select_related = ("endpoint", "alert")
    list_filter = ("status", "event_type")
    # By exact id: `icontains` over a log reads all of it.
    search_fields = ("task_id__exact", "event_id__exact", "endpoint_id__exact")
    search_help_text = gettext_lazy("Exact id of a task, event or endpoint")
    ordering = ("-delivery_id",)
    sortable_by = ()
    actions = ("send_again",)  # type: ignore[assignment]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("body")

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    @admin.display(description=gettext_lazy("What"))
    def what(self, delivery: Delivery) -> str:
        return what_of(delivery)

    @admin.display(description=gettext_lazy("About"))
    def about(self, delivery: Delivery) -> str | SafeString:
        task_id = task_of(delivery)
        if not task_id:
            return "–" if delivery.alert is None else delivery.alert.text
        return format_html('<a class="c-link c-mono" href="{}">…{}</a>', task_url(task_id), task_id[-12:])

    @labelled(gettext_lazy("Status"), _LABELS)
    def state(self, delivery: Delivery) -> tuple[str, str]:
        return str(delivery.status), delivery.get_status_display()

    @admin.display(description=gettext_lazy("Created"))
    def created(self, delivery: Delivery) -> str:
        return ago(delivery.created_at, clock.now())

    @admin.display(description=gettext_lazy("Next try"))
    def next_try(self, delivery: Delivery) -> str:
        if delivery.next_attempt_at is None:
            return "–"
        wait = delivery.next_attempt_at - clock.now()
        return _("in %(span)s") % {"span": span(wait)} if wait.total_seconds() > 0 else _("now")

    @admin.action(description=gettext_lazy("Send again"), permissions=["send_again"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> None:
        self._redeliver(request, list(chosen.values_list("pk", flat=True)))

    def get_urls(self) -> list[URLPattern]:
        view = self.site.admin_view(partial(self._send_one_again))
        return [path("<str:delivery_id>/again/", view, name="notifications_delivery_again"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One delivery: what it is, its bytes, and every try with headers and answer. Nothing here is a form."""
        if not administers(request):
            raise PermissionDenied
        related = ("endpoint__channel", "alert__rule")
        delivery = Delivery.objects.select_related(*related).filter(pk=unquote(object_id)).first()
        if delivery is None:
            raise Http404
        channel = CHANNELS[delivery.endpoint.format]
        name = "channel" if hasattr(delivery.endpoint, "channel") else "endpoint"
        key = delivery.endpoint.channel.pk if name == "channel" else delivery.endpoint.pk
        folded = list(delivery.folded.order_by("pk")[: FOLDED_SHOWN + 1])
        body, size = _body(delivery)
        context = page_context(request) | {
            "title": what_of(delivery),
            "what": what_of(delivery),
            "delivery": delivery,
            "tone": TONES[Status(delivery.status)],
            "explanation": _explanation(delivery),
            "receiver_url": reverse(f"admin:notifications_{name}_change", args=[key]),
            "may_send": delivery.status != Status.HELD,
            "task_id": task_of(delivery),
            "folded": folded[:FOLDED_SHOWN],
            "more_folded": max(0, delivery.folded.count() - FOLDED_SHOWN),
            "for_people": channel.for_people,
            "body": body,
            "size": _("%(n)d bytes") % {"n": size},
            "tries": [Try(number, row) for number, row in enumerate(delivery.tries.all(), 1)],
        }
        return TemplateResponse(request, "notifications/delivery.html", context)

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


def _explanation(delivery: Delivery) -> str:
    """Why it stands where it stands, where the status alone does not say."""
    if delivery.status == Status.FAILED and not delivery.endpoint.enabled:
        return _("The receiver is switched off. Enable it, then send again; or recover all that it missed.")
    if delivery.status == Status.FAILED:
        return _("Every try failed; nobody tries any more.")
    if delivery.status == Status.CANCELLED and delivery.spoken_at is not None:
        return _("Nobody there may see the task any more, or there is no address: it was not sent.")
    if delivery.status == Status.HELD:
        return _("So many messages go there at this moment that it waits for the next digest.")
    return ""


def _body(delivery: Delivery) -> tuple[str, int]:
    """The bytes as they are sent, and their number; a receiver's token is its secret, and left out here."""
    try:
        content = delivery.content
    except InvalidToken:
        return _("It cannot be read: its encryption key is gone."), len(delivery.body)
    text = content.decode("utf-8", "replace")
    message = orjson.loads(text) if delivery.is_sealed else {}
    if "token" in message:
        text = text.replace(orjson.dumps(message["token"]).decode(), f'"{HIDDEN}"')
    return text, len(content)
