"""A task's events as sentences, and the sentence that explains a conflict."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tasks_app import reasons
from tasks_app.actors import Actor
from tasks_app.admin.texts import ago
from tasks_app.catalog_data import shown
from tasks_app.models import HumanTask, TaskEvent, Team, User
from tasks_app.states import EventType, Resolution

SHOWN: Final = 60
# Facts that leave the task as it is: they explain no conflict.
NOTES: Final = (
    EventType.COMMENTED,
    EventType.RECURRED,
    EventType.DETAIL_REVEALED,
    EventType.DETAILS_ERASED,
    EventType.SLA_WARNED,
    EventType.CHANNEL_NOTIFIED,
    EventType.DECISION_STAGED,
    EventType.DECISION_TAKEN_BACK,
    EventType.DECISION_CANCELLED,
    EventType.SKIPPED,
    EventType.RETURN_WARNED,
)
_TONES: Final = {
    EventType.COMPLETED: "green",
    EventType.FAILED: "red",
    EventType.ESCALATED: "violet",
    EventType.COMMENTED: "blue",
    EventType.DECISION_RECORDED: "blue",
    EventType.SLA_WARNED: "orange",
    EventType.HELD: "orange",
    EventType.RESUMED: "blue",
}

# What happened, said of whoever did it.
_SENTENCES: Final = {
    EventType.CREATED: gettext_lazy("opened the task for %(team)s"),
    EventType.ASSIGNED: gettext_lazy("assigned it to %(person)s"),
    EventType.CLAIMED: gettext_lazy("took the task"),
    EventType.STARTED: gettext_lazy("started to work on it"),
    EventType.RELEASED: gettext_lazy("gave it back to the queue"),
    EventType.PUT_BACK: gettext_lazy("put it back, escalated as it was"),
    EventType.ROUTED: gettext_lazy("routed it to %(team)s"),
    EventType.COMPLETED: gettext_lazy("decided: %(resolution)s"),
    EventType.FAILED: gettext_lazy("decided: %(resolution)s"),
    EventType.ESCALATED: gettext_lazy("escalated it to %(team)s"),
    EventType.WITHDRAWN: gettext_lazy("withdrew the task"),
    EventType.EXPIRED: gettext_lazy("let it expire"),
    EventType.COMMENTED: gettext_lazy("commented"),
    EventType.DETAIL_REVEALED: gettext_lazy("revealed a masked value"),
    EventType.DETAILS_ERASED: gettext_lazy("erased the masked values"),
    EventType.RECURRED: gettext_lazy("reported it again"),
    EventType.PRIORITY_CHANGED: gettext_lazy("changed the priority"),
    EventType.SLA_WARNED: gettext_lazy("warned about the deadline"),
    EventType.CHANNEL_NOTIFIED: gettext_lazy("notified a channel"),
    EventType.DEADLINE_CHANGED: gettext_lazy("computed the deadline anew"),
    EventType.EXTENDED: gettext_lazy("put off the expiry"),
    EventType.HELD: gettext_lazy("put it on hold"),
    EventType.RESUMED: gettext_lazy("took it up again"),
    EventType.HANDED_OVER: gettext_lazy("handed it over to %(person)s"),
    EventType.DECISION_STAGED: gettext_lazy("decided, with a moment to take it back"),
    EventType.DECISION_TAKEN_BACK: gettext_lazy("took the decision back"),
    EventType.DECISION_CANCELLED: gettext_lazy("stopped a decision that was waiting"),
    EventType.SKIPPED: gettext_lazy("skipped it"),
    EventType.REMOVED: gettext_lazy("left by retention"),
    EventType.RETURN_WARNED: gettext_lazy("warned that it goes back to the queue"),
}


@dataclass(frozen=True)
class Entry:
    """One line of the timeline."""

    who: str
    what: str
    reason: str
    at: datetime
    ago: str
    tone: str
    kind: EventType


@dataclass(frozen=True)
class Timeline:
    entries: list[Entry]
    older: int

    @property
    def escalation(self) -> Entry | None:
        """The latest escalation: who raised the task, and why, is a part of what is asked of the next reviewer."""
        return next((entry for entry in self.entries if entry.kind == EventType.ESCALATED), None)


def timeline_of(task: HumanTask, now: datetime) -> Timeline:
    """The latest events of the task, the newest first. Three queries, however many events."""
    events = list(
        TaskEvent.objects.filter(task_id=task.pk).select_related("actor", "on_behalf_of").order_by("-seq")[:SHOWN]
    )
    snapshots = [orjson.loads(bytes(event.snapshot)) for event in events]
    people = User.objects.in_bulk({s["assigned_to_id"] for s in snapshots if s.get("assigned_to_id")})
    teams = Team.objects.in_bulk({s["team_id"] for s in snapshots if s.get("team_id")})
    entries = []
    for event, snapshot in zip(events, snapshots, strict=True):
        kind = EventType(event.type)
        person, team = people.get(snapshot.get("assigned_to_id")), teams.get(snapshot.get("team_id"))
        entries.append(
            Entry(
                who=_who(event),
                what=_what(
                    kind,
                    snapshot,
                    "" if person is None else person.get_username(),
                    "" if team is None else shown(team.name),
                ),
                reason=event.reason if kind == EventType.COMMENTED else reasons.shown(event.reason),
                at=event.at,
                ago=ago(event.at, now),
                tone=_TONES.get(kind, "grey"),
                kind=kind,
            )
        )
    return Timeline(entries, max(0, task.last_event_seq - len(entries)))


def _who(event: TaskEvent) -> str:
    if event.on_behalf_of is not None:
        return _("%(person)s (through %(adapter)s)") % {
            "person": event.on_behalf_of.get_username(),
            "adapter": event.actor.get_username(),
        }
    return event.actor.get_username() if event.actor.kind != User.Kind.SYSTEM else _("The system")


def _what(kind: EventType, snapshot: dict[str, Any], person: str, team: str) -> str:
    if kind == EventType.DECISION_RECORDED:
        if snapshot.get("stage") == 2:
            return _("recorded a decision that needs a second reviewer")
        return _("decided otherwise than the first reviewer; the review starts again")
    resolution = snapshot.get("resolution") or ""
    decided = str(Resolution(resolution).label).lower() if resolution in Resolution.values else ""
    return str(_SENTENCES[kind]) % {"person": person, "team": team, "resolution": decided}


def what_happened(task: HumanTask, actor: Actor, now: datetime) -> str:
    """Why a form that was open no longer fits: `zoe has taken this task 2 min ago`, from the latest change."""
    event = (
        TaskEvent.objects.filter(task_id=task.pk)
        .exclude(type__in=NOTES)
        .select_related("actor", "on_behalf_of")
        .order_by("-seq")
        .first()
    )
    if event is None:
        return _("This task has changed since you opened it.")
    person = event.on_behalf_of or event.actor
    if person.pk == actor.user.pk:
        return _("You have changed this task %(ago)s, perhaps in another window.") % {"ago": ago(event.at, now)}
    names = {
        "who": _who(event),
        "ago": ago(event.at, now),
        "to": "" if task.assigned_to is None else task.assigned_to.get_username(),
        "team": shown(task.team.name),
        "resolution": task.get_resolution_display().lower(),
    }
    sentences = {
        EventType.ASSIGNED: _("%(who)s has assigned this task to %(to)s %(ago)s."),
        EventType.CLAIMED: _("%(who)s has taken this task %(ago)s."),
        EventType.STARTED: _("%(who)s has started to work on this task %(ago)s."),
        EventType.HANDED_OVER: _("%(who)s has handed this task over to %(to)s %(ago)s."),
        EventType.RELEASED: _("%(who)s has given this task back to the queue %(ago)s."),
        EventType.PUT_BACK: _("%(who)s has given this task back to the queue %(ago)s."),
        EventType.ROUTED: _("%(who)s has routed this task to %(team)s %(ago)s."),
        EventType.DECISION_RECORDED: _("%(who)s has decided this task %(ago)s; it needs a second reviewer."),
        EventType.COMPLETED: _("%(who)s has decided this task %(ago)s: %(resolution)s."),
        EventType.FAILED: _("%(who)s has decided this task %(ago)s: %(resolution)s."),
        EventType.ESCALATED: _("%(who)s has escalated this task to %(team)s %(ago)s."),
        EventType.WITHDRAWN: _("%(who)s has withdrawn this task %(ago)s."),
        EventType.EXPIRED: _("This task has expired %(ago)s."),
        EventType.PRIORITY_CHANGED: _("%(who)s has changed the priority of this task %(ago)s."),
        EventType.DEADLINE_CHANGED: _("The deadline of this task was computed anew %(ago)s."),
        EventType.EXTENDED: _("%(who)s has put off the expiry of this task %(ago)s."),
        EventType.HELD: _("%(who)s has put this task on hold %(ago)s."),
        EventType.RESUMED: _("%(who)s has taken this task up again %(ago)s."),
    }
    changed = _("%(who)s has changed this task %(ago)s.")
    return sentences.get(EventType(event.type), changed) % names
