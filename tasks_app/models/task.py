"""The human task and its state machine.

Transitions are pure: they set fields and neither query, save nor send. `tasks_app/services/` is the only caller: it
locks the row, checks the permission, calls the transition and writes the task together with its event.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.expressions import OrderBy
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _
from django_fsm import transition

from core.fields import KeyField
from core.ids import TASK_PREFIX, new_id
from tasks_app.models.catalog import Principal, TaskType, Team
from tasks_app.models.holding import Holding
from tasks_app.models.people import User
from tasks_app.models.sla import SLAPolicy
from tasks_app.models.status import ProtectedStatus, StatusField
from tasks_app.states import FINISHED, HELD, TRANSITIONS, WAITING, Priority, Resolution, Status

# Free of parameters, so that SQLite too can prove that a query fits the partial indexes.
IS_OPEN: Final = Q(completed_at__isnull=True)
NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
# After a hold nobody is surprised by an escalation that had been waiting: timers leave the task alone this long.
QUIET_AFTER_HOLD: Final = timedelta(minutes=15)
_DUE_OR_NEVER: Final = Coalesce(F("due_by"), Value(NEVER))

# What matters next: escalated first, then the latest moment to begin, then priority, then age (ids sort by time).
QUEUE_ORDER: Final = ("-escalation_level", "start_by", "-priority", "task_id")
# All that groups of similar tasks and the home page's table ask of open rows: they read this index alone.
# The last but one is always empty here: SQLite takes an index for a covering one only with the column of its condition.
_SIGHT: Final = ["team", "task_type", "principal", "requested_by"]  # what `visible_to` asks for
_ALIKE: Final = ["similarity_key", *_SIGHT, "priority", "due_by", "created_at", "completed_at", "task_id"]


def _queue(*leading: str) -> tuple[OrderBy, ...]:
    """The queue's order as index expressions, behind the columns that a page filters by."""
    order = (F("escalation_level").desc(), F("start_by").asc(), F("priority").desc(), F("task_id").asc())
    return (*(F(name).asc() for name in leading), *order)


def new_task_id() -> str:
    return new_id(TASK_PREFIX)


def _move(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The django-fsm decorator for the row `name` of the transition table."""
    row = TRANSITIONS[name]
    move: Callable[[Callable[..., None]], Callable[..., None]]
    move = transition(field="status", source=sorted(row.sources), target=row.target)
    return move


class TaskQuerySet(models.QuerySet["HumanTask"]):
    def open(self) -> "TaskQuerySet":
        return self.filter(IS_OPEN)

    def in_queue_order(self) -> "TaskQuerySet":
        return self.order_by(*QUEUE_ORDER)


TaskManager = models.Manager.from_queryset(TaskQuerySet)


class HumanTask(Holding, ProtectedStatus):
    """Work that only a person may finish, opened by an adapter whose operation is blocked."""

    task_id = KeyField(_("task"), max_length=40, primary_key=True, default=new_task_id, editable=False)
    task_type = models.ForeignKey(
        TaskType,
        verbose_name=_("type"),
        on_delete=models.PROTECT,
        related_name="+",
        db_column="task_type",
        db_index=False,
    )
    principal = models.ForeignKey(
        Principal, verbose_name=_("principal"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    adapter_name = KeyField(_("adapter"), max_length=64, blank=True)
    status = StatusField(
        _("status"), max_length=20, choices=Status.choices, default=Status.PENDING, protected=True, editable=False
    )
    priority = models.PositiveSmallIntegerField(_("priority"), choices=Priority.choices, default=Priority.MEDIUM)
    team = models.ForeignKey(Team, verbose_name=_("team"), on_delete=models.PROTECT, related_name="+", db_index=False)

    # What is blocked, as the adapter told it (masked)
    media_buy_id = KeyField(_("media buy"), max_length=400, blank=True)
    creative_id = KeyField(_("creative"), max_length=400, blank=True)
    operation = models.CharField(_("operation"), max_length=400, blank=True)
    error_detail = models.TextField(_("error"), blank=True)
    context_data = models.JSONField(_("context"), default=dict, blank=True)
    requested_by = models.ForeignKey(
        User, verbose_name=_("requested by"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    follows = models.ForeignKey(
        "self",
        verbose_name=_("follows"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="followers",
        db_index=False,
    )

    # Who works on it
    assigned_to = models.ForeignKey(
        User,
        verbose_name=_("assigned to"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    assigned_at = models.DateTimeField(_("assigned at"), null=True, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    stage = models.PositiveSmallIntegerField(_("stage"), default=1)
    first_decision = models.JSONField(_("first decision"), null=True, blank=True)
    first_decided_by = models.ForeignKey(
        User,
        verbose_name=_("first decided by"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    escalation_level = models.PositiveSmallIntegerField(_("escalation level"), default=0)

    # Time
    created_at = models.DateTimeField(_("created"))
    updated_at = models.DateTimeField(_("updated"))
    due_by = models.DateTimeField(_("due"), null=True, blank=True)
    due_is_explicit = models.BooleanField(_("due time was given"), default=False)
    start_by = models.DateTimeField(_("start by"))
    value_at_risk = models.PositiveBigIntegerField(
        _("value at risk"), null=True, blank=True, help_text=_("As the adapter told it; it moves the task up a little.")
    )
    next_timer_at = models.DateTimeField(_("next timer"), null=True, blank=True)

    # By which promise the deadlines were computed (tasks_app/sla); empty: the defaults by priority
    sla_policy = models.ForeignKey(
        SLAPolicy,
        verbose_name=_("deadline policy"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    sla_priority = models.PositiveSmallIntegerField(
        _("priority of the deadline"),
        choices=Priority.choices,
        null=True,
        blank=True,
        help_text=_("Stays when an escalation step raises the priority."),
    )
    assign_by = models.DateTimeField(_("assign by"), null=True, blank=True)
    escalated_at = models.DateTimeField(_("last escalated"), null=True, blank=True)
    first_assigned_at = models.DateTimeField(_("first assigned"), null=True, blank=True)
    extended_to = models.DateTimeField(_("expiry put off to"), null=True, blank=True)
    expiry_warned_at = models.DateTimeField(_("expiry warned"), null=True, blank=True)

    # On hold: waiting for somebody else
    held_since = models.DateTimeField(_("on hold since"), null=True, blank=True)
    follow_up_at = models.DateTimeField(_("follow up"), null=True, blank=True)
    held_reason = models.TextField(_("on hold because"), blank=True)
    holds = models.JSONField(_("past holds"), default=list, blank=True)
    quiet_until = models.DateTimeField(_("no timers until"), null=True, blank=True)

    # How it ended
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)
    resolution = KeyField(_("resolution"), max_length=20, choices=Resolution.choices, blank=True)
    resolution_detail = models.TextField(_("feedback"), blank=True)
    resolution_data = models.JSONField(_("modifications"), default=dict, blank=True)
    resolved_by = models.ForeignKey(
        User,
        verbose_name=_("resolved by"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )

    # Bookkeeping
    version = models.PositiveIntegerField(_("version"), default=1)
    dedup_key = KeyField(_("dedup key"), max_length=64, null=True, blank=True)
    occurrences = models.PositiveIntegerField(_("occurrences"), default=1)
    last_seen_at = models.DateTimeField(_("last reported"))
    similarity_key = KeyField(_("similarity key"), max_length=32)
    last_event_seq = models.PositiveIntegerField(_("last event"), default=0)
    last_event_hash = KeyField(_("last event's hash"), max_length=64, blank=True)

    objects = TaskManager()

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(condition=Q(status__in=sorted(Status.values)), name="task_status_known"),
            models.CheckConstraint(
                condition=Q(
                    status__in=sorted(WAITING), assigned_to__isnull=True, completed_at__isnull=True, resolution=""
                )
                | Q(status__in=sorted(HELD), assigned_to__isnull=False, completed_at__isnull=True, resolution="")
                | (Q(status__in=sorted(FINISHED), completed_at__isnull=False) & ~Q(resolution="")),
                name="task_status_agrees",
            ),
            models.CheckConstraint(condition=Q(priority__in=sorted(Priority.values)), name="task_priority_known"),
            models.CheckConstraint(
                condition=Q(resolution__in=["", *sorted(Resolution.values)]), name="task_resolution_known"
            ),
            models.CheckConstraint(
                condition=Q(held_since__isnull=True, follow_up_at__isnull=True)
                | Q(held_since__isnull=False, follow_up_at__isnull=False, status__in=sorted(HELD)),
                name="task_hold_agrees",
            ),
            models.UniqueConstraint(
                fields=["dedup_key"], condition=IS_OPEN & Q(dedup_key__isnull=False), name="task_open_dedup_key"
            ),
        ]
        indexes = [
            models.Index(*_queue("team"), condition=IS_OPEN, name="task_open_team"),
            models.Index(*_queue(), condition=IS_OPEN, name="task_open_queue"),
            models.Index(*_queue("task_type", "principal"), condition=IS_OPEN, name="task_open_type"),
            models.Index(*_queue("assigned_to"), condition=IS_OPEN, name="task_open_assignee"),
            models.Index(
                F("priority").desc(), _DUE_OR_NEVER, F("task_id"), condition=IS_OPEN, name="task_open_priority"
            ),
            # With what decides who sees a task, so that the counts of a list need no row (tasks_app/counts.py).
            models.Index(
                fields=["due_by"],
                include=["team", "task_type", "principal", "requested_by"],
                condition=IS_OPEN,
                name="task_open_due",
            ),
            models.Index(fields=_ALIKE, condition=IS_OPEN, name="task_open_alike"),
            models.Index(fields=["next_timer_at"], condition=Q(next_timer_at__isnull=False), name="task_next_timer"),
            models.Index(fields=["-completed_at"], condition=Q(completed_at__isnull=False), name="task_completed"),
            models.Index(fields=["principal", "task_id"], name="task_of_principal"),
            models.Index(fields=["media_buy_id"], condition=~Q(media_buy_id=""), name="task_media_buy"),
            models.Index(fields=["creative_id"], condition=~Q(creative_id=""), name="task_creative"),
            models.Index(fields=["follows"], condition=Q(follows__isnull=False), name="task_follows"),
        ]

    def __str__(self) -> str:
        return str(self.task_id)

    # -- questions

    @property
    def is_open(self) -> bool:
        return self.status not in FINISHED

    @property
    def awaiting(self) -> str | None:
        """What the task waits for: `decision`, `second_decision`, or None once it has ended."""
        if not self.is_open:
            return None
        return "second_decision" if self.stage == 2 else "decision"

    def is_overdue(self, now: datetime) -> bool:
        return self.is_open and self.due_by is not None and self.due_by < now

    # -- transitions: pure, called by services alone

    @_move("assign")
    def assign(self, *, to: User, now: datetime) -> None:
        self._hand_to(to, now)

    @_move("claim")
    def claim(self, *, by: User, now: datetime) -> None:
        self._hand_to(by, now)

    @_move("start")
    def start(self, *, now: datetime) -> None:
        self.started_at = now
        self._changed(now)

    @_move("hand_over")
    def hand_over(self, *, to: User, now: datetime) -> None:
        self._hand_to(to, now)

    @_move("release")
    def release(self, *, now: datetime) -> None:
        self._hand_to(None, now)

    @_move("put_back")
    def put_back(self, *, now: datetime) -> None:
        self._hand_to(None, now)

    @_move("route")
    def route(self, *, team: Team, now: datetime) -> None:
        self.team = team
        self._hand_to(None, now)

    @_move("complete")
    def complete(self, *, resolution: str, detail: str, modifications: dict[str, Any], by: User, now: datetime) -> None:
        self._end(resolution, detail, modifications, by, now)

    @_move("fail")
    def fail(self, *, resolution: str, detail: str, modifications: dict[str, Any], by: User, now: datetime) -> None:
        self._end(resolution, detail, modifications, by, now)

    @_move("refer")
    def refer(self, *, first_decision: dict[str, Any] | None, by: User | None, now: datetime) -> None:
        """To stage 2 with the first decision; back to stage 1 with None, where the second one differs."""
        self.first_decision = first_decision
        self.first_decided_by = by
        self.stage = 1 if first_decision is None else 2
        self._hand_to(None, now)

    @_move("escalate")
    def escalate(self, *, team: Team, now: datetime) -> None:
        self.escalation_level += 1
        self.escalated_at = now
        self.team = team
        self._hand_to(None, now)

    @_move("withdraw")
    def withdraw(self, *, detail: str, now: datetime) -> None:
        self._end(Resolution.WITHDRAWN, detail, {}, None, now)

    @_move("expire")
    def expire(self, *, now: datetime) -> None:
        self._end(Resolution.EXPIRED, "", {}, None, now)

    # -- changes that are no transition

    def change_priority(self, priority: int, *, now: datetime, moves_deadline: bool = True) -> None:
        """A step of a policy raises a task in the queue, but its deadline stays what it was."""
        self.priority = priority
        if moves_deadline:
            self.sla_priority = priority
        self._changed(now)

    def hold(self, *, until: datetime, reason: str, now: datetime) -> None:
        self.held_since = now
        self.follow_up_at = until
        self.held_reason = reason
        self._changed(now)

    def resume(self, *, now: datetime) -> None:
        self._end_hold(now)
        self._changed(now)

    def change_deadline(self, *, now: datetime) -> None:
        self._changed(now)  # `schedule` has the arithmetic

    def extend(self, *, to: datetime, now: datetime) -> None:
        self.extended_to = to
        self.expiry_warned_at = None
        self._changed(now)

    def warn_of_expiry(self, *, now: datetime) -> None:
        self.expiry_warned_at = now

    def _end_hold(self, now: datetime) -> None:
        if self.held_since is None:
            return
        self.touch(now=now)
        self.holds = [*self.holds, [self.held_since.astimezone(UTC).isoformat(), now.astimezone(UTC).isoformat()]]
        self.held_since = self.follow_up_at = self.expiry_warned_at = None  # of its end it is warned again
        self.held_reason = ""
        self.quiet_until = now + QUIET_AFTER_HOLD

    def _changed(self, now: datetime) -> None:
        self.version += 1
        self.staged_until = None  # what was decided on an earlier version no longer counts
        self.updated_at = now

    def _hand_to(self, user: User | None, now: datetime) -> None:
        self.assigned_to = user
        self.assigned_at = None if user is None else now
        self.started_at = None
        self._end_hold(now)
        self.touched_at = self.assigned_at
        self.return_warned_at = None
        if user is not None and self.first_assigned_at is None:
            self.first_assigned_at = now
        self._changed(now)

    def _end(self, resolution: str, detail: str, modifications: dict[str, Any], by: User | None, now: datetime) -> None:
        self.resolution = resolution
        self.resolution_detail = detail
        self.resolution_data = modifications
        self.resolved_by = by
        self.completed_at = now
        self.next_timer_at = None
        self._end_hold(now)
        self._changed(now)
