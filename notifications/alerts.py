"""The watch: rules that people set, looked at every few seconds; an episode is told when it begins and when it ends.

A rule's row is locked while it is looked at, so that two watches follow one another; that a subject has one open alert
is also the database's promise. Whoever drains the outbox looks too: so a silent beat is noticed as long as anything
happens (what notices without any job is the home page, /readyz and /metrics).
"""

import logging
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from core import clock
from core.ids import TASK_PREFIX
from notifications import letters
from notifications.models import Alert, AlertRule, Delivery, Endpoint, WatchHead
from notifications.relay import people
from tasks_app import metrics
from tasks_app.models import EventOutbox, HumanTask, TaskType
from tasks_app.states import WAITING, Resolution

log = logging.getLogger(__name__)

EVERY: Final = timedelta(seconds=15)
CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""An episode is over only where it would be by a clock so much further on, too: of two watches whose clocks differ one
would end what the other has begun, and both would tell so."""
AT_ONCE: Final = 200
"""So many new alerts of one rule in one look; the rest follows in the next."""

Kind = AlertRule.Kind


@dataclass(frozen=True, slots=True)
class Finding:
    """Something for which a rule holds."""

    subject: str
    text: str
    task_id: str = ""


class Watcher(Protocol):
    """One kind of rule. Both questions read a bounded number of rows by index."""

    def begun(self, rule: AlertRule, now: datetime) -> Iterable[Finding]:
        """What the rule holds for, and has no open alert yet."""

    def goes_on(self, rule: AlertRule, alerts: Sequence[Alert], now: datetime) -> set[str]:
        """The subjects among these open alerts for which it still holds."""


def watch() -> int:
    """Look at all rules, unless somebody did within `EVERY`; return how many episodes began or ended."""
    now = clock.now()
    head, made = WatchHead.objects.get_or_create(pk=1, defaults={"looked_at": now})
    # Read first: a drain looks in several times a second, and an update takes the lock of whoever writes.
    if not made and head.looked_at > now - EVERY:
        return 0
    if not made and not WatchHead.objects.filter(pk=1, looked_at__lte=now - EVERY).update(looked_at=now):
        return 0
    return look(now)


def look(now: datetime) -> int:
    """Look at all rules now. A rule that fails is logged, and stops no other."""
    changed = 0
    for slug in AlertRule.objects.values_list("slug", flat=True):
        try:
            with transaction.atomic():
                changed += _look_at(slug, now)
        except Exception:
            log.exception("alert rule %s could not be looked at", slug)
    return changed


def _look_at(slug: str, now: datetime) -> int:
    rule = AlertRule.objects.select_for_update().get(pk=slug)
    alerts = list(Alert.objects.filter(rule=rule, closed_at__isnull=True))
    if not rule.enabled:  # switched off: what was open ends without a word
        return Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(closed_at=now)
    watcher = WATCHERS[rule.kind]
    goes_on = watcher.goes_on(rule, alerts, now) if alerts else set()
    over = [alert for alert in alerts if alert.subject not in goes_on]
    for alert in over:
        alert.closed_at = now
    Alert.objects.bulk_update(over, ["closed_at"])
    known = {alert.subject for alert in alerts}
    findings = [finding for finding in watcher.begun(rule, now) if finding.subject not in known]
    opened = [made for finding in findings if (made := _open(rule, finding, now)) is not None]
    _tell(rule, [*((alert, letters.ALERT_OVER) for alert in over), *((a, letters.ALERT_OPENED) for a in opened)], now)
    return len(over) + len(opened)


def _open(rule: AlertRule, finding: Finding, now: datetime) -> Alert | None:
    alert = Alert(rule=rule, subject=finding.subject[:500], text=finding.text[:500], task_id=finding.task_id)
    alert.opened_at = now
    try:
        with transaction.atomic():
            alert.save(force_insert=True)
    except IntegrityError:  # somebody was faster: it is told already
        return None
    return alert


def _tell(rule: AlertRule, told: Sequence[tuple[Alert, str]], now: datetime) -> None:
    """One delivery for each channel of the rule; a flood is folded like any other."""
    if not told:
        return
    room: Counter[str] = Counter()
    for channel in rule.channels.select_related("endpoint"):
        endpoint = channel.endpoint
        if endpoint.removed_at is not None or not (endpoint.enabled or endpoint.gave_up):
            continue
        room[endpoint.pk] = people.room_for(endpoint, now)
        for alert, kind in told:
            draft = Delivery(
                alert=alert,
                endpoint=endpoint,
                event_type=kind,
                seq=1 if kind == letters.ALERT_OPENED else 2,
                created_at=now,
                body=b"",
            )
            people.let_out(draft, enabled=endpoint.enabled, room=room[endpoint.pk] > 0, now=now)
            room[endpoint.pk] -= 1
            draft.save(force_insert=True)


# -- the kinds


def _unknown(rule: AlertRule) -> Any:
    """No alert of this rule is open for the task."""
    return ~Exists(Alert.objects.filter(rule=rule, subject=OuterRef("pk"), closed_at__isnull=True))


class _TaskWatcher(ABC):
    """Rules about single tasks: one alert for each."""

    @abstractmethod
    def tasks(self, rule: AlertRule, now: datetime) -> QuerySet[HumanTask]:
        """Those for which the rule holds, by index."""

    @abstractmethod
    def words(self, task: HumanTask) -> str:
        """What the alert says of one of them."""

    def begun(self, rule: AlertRule, now: datetime) -> Iterable[Finding]:
        found = self.tasks(rule, now).filter(_unknown(rule)).select_related("task_type", "principal")
        for task in found[:AT_ONCE]:
            yield Finding(task.pk, self.words(task), task.pk)

    def goes_on(self, rule: AlertRule, alerts: Sequence[Alert], now: datetime) -> set[str]:
        subjects = [alert.task_id for alert in alerts]
        return set(self.tasks(rule, now + CLOCKS_DIFFER).filter(pk__in=subjects).values_list("pk", flat=True))


class HighPriority(_TaskWatcher):
    """A new task of this priority that nobody has taken yet. Over: somebody took it, or it ended."""

    def tasks(self, rule: AlertRule, now: datetime) -> QuerySet[HumanTask]:
        waited = now - timedelta(minutes=rule.minutes)
        return HumanTask.objects.open().filter(
            priority__gte=rule.min_priority,
            first_assigned_at__isnull=True,
            status__in=sorted(WAITING),
            created_at__lte=waited,
        )

    def words(self, task: HumanTask) -> str:
        names = {"what": task.task_type.label, "principal": task.principal, "priority": task.get_priority_display()}
        return _("%(what)s for %(principal)s (%(priority)s) waits for somebody to take it") % names


class Overdue(_TaskWatcher):
    """An open task past its deadline. Over: it ended, or got a later deadline."""

    def tasks(self, rule: AlertRule, now: datetime) -> QuerySet[HumanTask]:
        late = now - timedelta(minutes=rule.minutes)
        return HumanTask.objects.open().filter(due_by__lt=late, priority__gte=rule.min_priority).order_by("due_by")

    def words(self, task: HumanTask) -> str:
        names = {"what": task.task_type.label, "principal": task.principal}
        return _("%(what)s for %(principal)s is past its deadline") % names


class Failures:
    """Per adapter and operation: tasks that ask for a repair (each report counts), or ended as 'cannot complete'.

    A repair is what a type asks for that can be 'completed'; one that is approved or rejected asks for a judgement, and
    its coming is no failure.

    Over: fewer than half of the number that begins it, so that one more or less does not make a new episode.
    """

    def begun(self, rule: AlertRule, now: datetime) -> Iterable[Finding]:
        for subject, number in self._counts(rule, now).items():
            if number >= rule.threshold:
                names = {"n": number, "what": subject, "minutes": rule.minutes}
                yield Finding(subject, _("%(n)d failures of %(what)s within %(minutes)d minutes") % names)

    def goes_on(self, rule: AlertRule, alerts: Sequence[Alert], now: datetime) -> set[str]:
        enough = math.ceil(rule.threshold / 2)
        return {subject for subject, number in self._counts(rule, now).items() if number >= enough}

    def _counts(self, rule: AlertRule, now: datetime) -> Mapping[str, int]:
        since = now - timedelta(minutes=rule.minutes)
        columns = ("pk", "adapter_name", "operation", "occurrences")
        # Ids begin with their time: the primary key is the index. A minute is taken off for clocks that differ.
        oldest = f"{TASK_PREFIX}{int((since - timedelta(minutes=1)).timestamp() * 1000):012x}"
        kinds = TaskType.objects.values_list("slug", "allowed_resolutions")
        repairs = [slug for slug, resolutions in kinds if Resolution.COMPLETED in resolutions]
        opened = HumanTask.objects.filter(pk__gte=oldest, created_at__gte=since, task_type__in=repairs)
        opened = opened.exclude(error_detail="")
        ended = HumanTask.objects.filter(completed_at__gte=since, resolution=Resolution.CANNOT_COMPLETE)
        tasks = {row[0]: row for row in ended.values_list(*columns)}
        counts: Counter[str] = Counter()
        for pk, adapter, operation, occurrences in opened.values_list(*columns):
            tasks.pop(pk, None)
            counts[_operation(adapter, operation)] += occurrences
        for _pk, adapter, operation, _occurrences in tasks.values():
            counts[_operation(adapter, operation)] += 1
        return counts


def _operation(adapter: str, operation: str) -> str:
    what, whose = operation or _("an operation"), adapter or _("no adapter named")
    return f"{what} ({whose})"[:500]


class FailingEndpoint:
    """A receiver that fails for so long, or was switched off for it. Over: it answers again, or a person saw to it."""

    def begun(self, rule: AlertRule, now: datetime) -> Iterable[Finding]:
        for endpoint in self._failing(rule, now)[:AT_ONCE]:
            names = {"what": endpoint, "why": endpoint.get_disabled_reason_display()}
            text = _("Nothing arrives at %(what)s") if endpoint.enabled else _("%(what)s was switched off: %(why)s")
            yield Finding(endpoint.pk, text % names)

    def goes_on(self, rule: AlertRule, alerts: Sequence[Alert], now: datetime) -> set[str]:
        subjects = [alert.subject for alert in alerts]
        return set(self._failing(rule, now + CLOCKS_DIFFER).filter(pk__in=subjects).values_list("pk", flat=True))

    def _failing(self, rule: AlertRule, now: datetime) -> QuerySet[Endpoint]:
        long_enough = Q(enabled=True, failing_since__lte=now - timedelta(minutes=rule.minutes))
        gave_up = Q(enabled=False, disabled_reason__in=[Endpoint.Disabled.GONE, Endpoint.Disabled.FAILING])
        return Endpoint.objects.present().filter(long_enough | gave_up)


class _OneThing(ABC):
    """Rules about the system as a whole: one alert at most."""

    @abstractmethod
    def text(self, rule: AlertRule, now: datetime) -> str:
        """What is wrong; empty: nothing."""

    def begun(self, rule: AlertRule, now: datetime) -> Iterable[Finding]:
        text = self.text(rule, now)
        return [Finding("", text)] if text else []

    def goes_on(self, rule: AlertRule, alerts: Sequence[Alert], now: datetime) -> set[str]:
        further_on = min(CLOCKS_DIFFER, timedelta(minutes=rule.minutes / 2))
        return {""} if self.text(rule, now + further_on) else set()


class GrowingOutbox(_OneThing):
    """So many events or messages that should have gone out so long ago. Those of a receiver that fails do not count."""

    def text(self, rule: AlertRule, now: datetime) -> str:
        late, most = now - timedelta(minutes=rule.minutes), max(1, rule.threshold)
        events = EventOutbox.objects.filter(dispatched_at__isnull=True).order_by("id")
        waiting = sum(at <= late for at in events.values_list("event__at", flat=True)[:most])
        if waiting < most:
            due = Delivery.objects.filter(status=Delivery.Status.PENDING, next_attempt_at__lte=late)
            healthy = due.filter(endpoint__in=Endpoint.objects.callable(now).filter(failing_since__isnull=True))
            waiting += len(healthy.values_list("pk", flat=True)[: most - waiting])
        if waiting < most:
            return ""
        return _("%(n)d messages or more wait for over %(m)d minutes") % {"n": most, "m": rule.minutes}


class Silence(_OneThing):
    """Timers were last swept so long ago: beat or the worker is gone, and nothing escalates or expires."""

    def text(self, rule: AlertRule, now: datetime) -> str:
        age = metrics.age_of_sweep(now)
        if age is None or age < 60 * rule.minutes:
            return ""
        return _("Timers have not run since %(moment)s UTC: beat or the worker is gone") % {
            "moment": f"{(now - timedelta(seconds=age)).astimezone(UTC):%Y-%m-%d %H:%M}"
        }


WATCHERS: Final[dict[str, Watcher]] = {
    Kind.HIGH_PRIORITY: HighPriority(),
    Kind.OVERDUE: Overdue(),
    Kind.FAILURES: Failures(),
    Kind.ENDPOINT: FailingEndpoint(),
    Kind.OUTBOX: GrowingOutbox(),
    Kind.SILENCE: Silence(),
}
