"""News for people: let out as they come, held back in a flood and folded into a digest, written when they are sent.

**The rule of floods.** A channel lets out at most `BURST` messages in `WINDOW`. What comes beyond is held, as rows of
their own in the log. As soon as the window has room again, all that is held goes out as one digest, which counts as one
message; a single one held goes out as it is. The held rows point to their digest, which is tried again like every
delivery until it arrives: nothing is lost.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import translation

from core import clock
from notifications import letters
from notifications.audience import Entitlement
from notifications.channels import address_of, language_of, of_people, zone_of
from notifications.letters import About, Cause, Letter
from notifications.models import Delivery, Endpoint
from notifications.payloads import News
from tasks_app import reasons
from tasks_app.links import queue_url, task_url
from tasks_app.models import HumanTask, TaskEvent
from tasks_app.states import EventType, Priority

log = logging.getLogger(__name__)

BURST: Final = 5
WINDOW: Final = timedelta(minutes=10)
DIGEST: Final = "digest"
MOST_IN_DIGEST: Final = 1_000

Status = Delivery.Status


def drafts(wanted: Sequence[tuple[Endpoint, News]], now: datetime) -> list[Delivery]:
    """Deliveries without bytes: those within the burst let out, the rest held. Two queries for each channel."""
    spoken: Counter[str] = Counter()
    found = []
    for endpoint, news in wanted:
        if endpoint.pk not in spoken:
            spoken[endpoint.pk] = _let_out(endpoint, now)
        draft = Delivery(
            event_id=news.event_id,
            endpoint=endpoint,
            event_type=news.type,
            task_id=news.task["task_id"],
            seq=news.seq,
            created_at=now,
            body=b"",
        )
        let_out(draft, enabled=endpoint.enabled, room=spoken[endpoint.pk] < BURST, now=now)
        spoken[endpoint.pk] += draft.spoken_at is not None
        found.append(draft)
    return found


def let_out(draft: Delivery, *, enabled: bool, room: bool, now: datetime) -> None:
    """Say what becomes of a new message: out now, held for a digest, or kept as undelivered."""
    if not enabled:
        draft.status, draft.next_attempt_at = Status.FAILED, None
    elif room:
        draft.status, draft.next_attempt_at, draft.spoken_at = Status.PENDING, now, now
    else:
        draft.status, draft.next_attempt_at = Status.HELD, None


def room_for(endpoint: Endpoint, now: datetime) -> int:
    """How many messages the channel may still let out now."""
    return BURST - _let_out(endpoint, now)


def _let_out(endpoint: Endpoint, now: datetime) -> int:
    """How many went out in the window; whatever is held already goes first, so that then there is no room."""
    held = Delivery.objects.filter(endpoint=endpoint, status=Status.HELD).exists()
    recent = Delivery.objects.filter(endpoint=endpoint, spoken_at__gt=now - WINDOW)
    return BURST if held else len(recent.values_list("pk")[:BURST])


def fold() -> int:
    """Let out what is held by channels that have room again; return how many messages that made."""
    now = clock.now()
    held_by = Delivery.objects.filter(status=Status.HELD).order_by().values_list("endpoint", flat=True).distinct()
    return sum(_fold(endpoint_id, now) for endpoint_id in list(held_by))


def _fold(endpoint_id: str, now: datetime) -> int:
    with transaction.atomic():
        # The lock makes two drains follow one another; the second finds nothing held.
        endpoint = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint_id)
        spoken = Delivery.objects.filter(endpoint=endpoint, spoken_at__gt=now - WINDOW).values_list("pk")[:BURST]
        held = Delivery.objects.filter(endpoint=endpoint, status=Status.HELD)
        if not endpoint.enabled:
            held.update(status=Status.CANCELLED if not endpoint.gave_up else Status.FAILED)
            return 0
        if len(spoken) >= BURST:
            return 0
        keys = list(held.order_by("delivery_id").values_list("pk", flat=True)[:MOST_IN_DIGEST])
        if len(keys) < 2:
            return held.filter(pk__in=keys).update(status=Status.PENDING, next_attempt_at=now, spoken_at=now)
        digest = Delivery(
            endpoint=endpoint,
            event_type=DIGEST,
            seq=len(keys),
            status=Status.PENDING,
            next_attempt_at=now,
            created_at=now,
            spoken_at=now,
            body=b"",
        )
        digest.save(force_insert=True)
        held.filter(pk__in=keys).update(status=Status.FOLDED, folded_into=digest)
    return 1


def write(endpoint: Endpoint, rows: Sequence[Delivery], now: datetime) -> tuple[list[Delivery], set[str]]:
    """Write the leased rows' bytes; cancel those that nobody may read any more. Returns what is left to send.

    Entitlement is asked here, when the message goes out: who left the team meanwhile is told nothing. Of those that are
    left the keys of the ones that could not be written come beside them: one of them is in no other's way.
    """
    channel, address = of_people()[endpoint.format], address_of(endpoint)
    secretary = _Secretary(endpoint, now)
    secretary.read(rows)
    ready: list[Delivery] = []
    moot: list[str] = []
    unwritten: set[str] = set()
    with translation.override(language_of(endpoint.channel.person)):
        for row in rows:
            try:
                letter = secretary.letter(row) if address else None
                if letter is None:
                    moot.append(row.pk)
                    continue
                row.keep(channel.write(letter, row.message_id, address, now), sealed=False)
            except DatabaseError:
                raise
            except Exception:
                log.exception("the message of %s cannot be written", row.pk)
                unwritten.add(row.pk)
            ready.append(row)
    Delivery.objects.bulk_update([row for row in ready if row.pk not in unwritten], ["body"])
    if moot:
        Delivery.objects.filter(pk__in=moot).update(status=Status.CANCELLED, next_attempt_at=None)
        log.info("%d messages of channel %s are moot: nobody there may see the task", len(moot), endpoint.channel.pk)
    return ready, unwritten


class _Secretary:
    """Writes the letters of one channel from what the database says now."""

    def __init__(self, endpoint: Endpoint, now: datetime) -> None:
        self._endpoint, self._now = endpoint, now
        self._entitlement = Entitlement()
        person = endpoint.channel.person
        self._zone = zone_of(person)
        self._folded: dict[str, list[Delivery]] = defaultdict(list)
        self._tasks: dict[str, HumanTask] = {}
        self._events: dict[str, TaskEvent] = {}

    def read(self, rows: Sequence[Delivery]) -> None:
        """Everything that the letters of these rows need, in four queries."""
        digests = [row.pk for row in rows if row.event_type == DIGEST]
        for part in Delivery.objects.filter(folded_into__in=digests).select_related("alert__rule").order_by("pk"):
            self._folded[part.folded_into_id or ""].append(part)
        parts = [*rows, *(part for found in self._folded.values() for part in found)]
        wanted = {part.task_id for part in parts if part.task_id}
        wanted |= {part.alert.task_id for part in parts if part.alert is not None and part.alert.task_id}
        tasks = HumanTask.objects.select_related("task_type", "principal", "team")
        self._tasks = tasks.in_bulk(sorted(wanted))
        events = [part.event_id for part in parts if part.event_id]
        self._events = TaskEvent.objects.select_related("actor").in_bulk(events)

    def letter(self, row: Delivery) -> Letter | None:
        """The letter, or None where nobody there may read it."""
        if row.event_type == DIGEST:
            return self._digest(row)
        if row.alert is not None:
            return self._alert(row)
        task = self._visible(row.task_id)
        return None if task is None else letters.about_task(self._about(task), self._cause(row), self._now, self._zone)

    def _digest(self, row: Delivery) -> Letter | None:
        parts = []
        for part in self._folded[row.pk]:
            about = part.task_id if part.alert is None else part.alert.task_id
            task = self._visible(about) if about else None
            if task is not None:
                parts.append((self._about(task), self._cause(part)))
        about_none = [part for part in self._folded[row.pk] if part.alert is not None and not part.alert.task_id]
        other = [self._alert(part) for part in about_none]
        if not parts and not any(other):
            return None
        alerts = [one for one in other if one is not None]
        return letters.digest(parts, alerts, self._now, self._zone, url=absolute(queue_url(tab="all")))

    def _alert(self, row: Delivery) -> Letter | None:
        alert = row.alert
        task = None if alert is None or not alert.task_id else self._visible(alert.task_id)
        if alert is None or (alert.task_id and task is None):
            return None
        return letters.alert(
            alert.rule.name,
            alert.text,
            over=row.event_type == letters.ALERT_OVER,
            since=alert.opened_at,
            now=alert.closed_at or self._now,
            zone=self._zone,
            url=absolute("/admin/notifications/alert/") if task is None else absolute(task_url(task.pk)),
            about=None if task is None else self._about(task),
        )

    def _visible(self, task_id: str) -> HumanTask | None:
        task = self._tasks.get(task_id)
        return task if task is not None and self._entitlement.may_see(self._endpoint, task) else None

    def _cause(self, row: Delivery) -> Cause:
        event = self._events.get(row.event_id or "")
        if event is None:
            return Cause(row.event_type, reason="" if row.alert is None else row.alert.text)
        reason = event.reason
        if event.type == EventType.CHANNEL_NOTIFIED:  # written as `slug: reason`
            reason = reason.partition(": ")[2] or reason
        if event.type != EventType.COMMENTED:
            reason = reasons.shown(reason)
        task = self._tasks[row.task_id]
        person = self._endpoint.channel.person_id
        return Cause(
            type=str(event.type),
            who=event.actor.get_full_name() or event.actor.get_username(),
            reason=reason,
            level=task.escalation_level,
            to_me=person is not None and task.assigned_to_id == person,
        )

    def _about(self, task: HumanTask) -> About:
        return About(
            task_id=task.pk,
            type=task.task_type.label,
            question=task.task_type.question,
            principal=str(task.principal),
            priority=Priority(task.priority),
            status=str(task.status),
            resolution=str(task.resolution),
            operation=task.operation,
            media_buy_id=task.media_buy_id,
            creative_id=task.creative_id,
            error=task.error_detail,
            due_by=task.due_by,
            url=absolute(task_url(task.pk)),
        )


def absolute(path: str) -> str:
    return f"{settings.HITL_BASE_URL}{path}"
