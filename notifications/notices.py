"""What the console shows of deliveries outside their own pages: cards on the home page, notes on a task."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from core import clock
from notifications import selectors
from notifications.models import Delivery
from notifications.services import manages_all
from tasks_app.actors import Actor
from tasks_app.admin.home import Card
from tasks_app.admin.texts import span
from tasks_app.metrics import silent_for
from tasks_app.models import HumanTask
from tasks_app.registries import Note

WAITS_LONG: Final = timedelta(minutes=5)


def undelivered_card(actor: Actor) -> Card | None:
    """For administrators: outcomes that no adapter heard of."""
    count = selectors.count_undelivered_outcomes() if manages_all(actor) else 0
    if not count:
        return None
    figure = f"{count - 1}+" if count == selectors.COUNTED_TO else str(count)
    url = f"{reverse('admin:notifications_delivery_changelist')}?status__exact={Delivery.Status.FAILED}"
    return Card(_("Undelivered outcomes"), figure, _("adapters that were not told"), url, "red")


def endpoints_card(actor: Actor) -> Card | None:
    """For administrators: receivers in trouble."""
    count = selectors.troubled_endpoints().count() if manages_all(actor) else 0
    if not count:
        return None
    url = reverse("admin:notifications_endpoint_changelist")
    return Card(_("Failing receivers"), str(count), _("webhook endpoints"), url, "orange")


def waiting_card(actor: Actor) -> Card | None:
    """For administrators: messages that have waited for longer than one try takes."""
    if not manages_all(actor):
        return None
    backlog, now = selectors.backlog(), clock.now()
    if backlog.oldest is None or now - backlog.oldest < WAITS_LONG:
        return None
    url = f"{reverse('admin:notifications_delivery_changelist')}?status__exact={Delivery.Status.PENDING}"
    hint = _("events not dispatched: %(events)d, messages to send: %(messages)d")
    said = hint % {"events": backlog.undispatched, "messages": backlog.pending}
    return Card(_("Messages wait"), span(now - backlog.oldest), said, url, "orange")


def silence_card(actor: Actor) -> Card | None:
    """For everybody: timers that do not run. Asked of the database by this very page, so that no job has to live."""
    silent = silent_for(clock.now())
    if silent is None:
        return None
    return Card(
        _("Timers are silent"), span(silent), _("nothing escalates or expires; beat or worker is gone"), "", "red"
    )


def alerts_card(actor: Actor) -> Card | None:
    """For those who oversee: the open alerts; for leads those about tasks of which they are a lead."""
    count = selectors.count_open_alerts(actor)
    if not count:
        return None
    figure = f"{count - 1}+" if count == selectors.COUNTED_TO else str(count)
    url = f"{reverse('admin:notifications_alert_changelist')}?open=1"
    return Card(_("Open alerts"), figure, _("what the rules found"), url, "red")


def undelivered_notes(task: HumanTask, actor: Actor) -> Sequence[Note]:
    """On the task itself: who did not hear how it ended."""
    administers = manages_all(actor)
    return [
        Note(
            _("The outcome (%(event)s) did not reach %(endpoint)s after %(tries)d tries since %(when)s.")
            % {
                "event": delivery.event_type,
                "endpoint": delivery.endpoint,
                "tries": delivery.attempts,
                "when": date_format(delivery.created_at, "j N Y, H:i"),
            },
            reverse("admin:notifications_delivery_change", args=[delivery.pk]) if administers else "",
        )
        for delivery in selectors.undelivered_outcomes_of(task.pk)
    ]
