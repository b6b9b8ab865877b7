"""The invariants of the state machine (I1 to I15), checked against the database after every step.

The watcher reads what was stored: rows, events, outbox, audit entries. What they should say is written out here once
more, by hand: the graph, which events raise the version, the hash of an event. I11 (idempotency keys) is the API's.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from auditlog.models import LogEntry
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from tasks_app.actors import Actor
from tasks_app.models import EventOutbox, HumanTask, TaskEvent
from tasks_app.permissions import can_claim, can_see, visible_to
from tasks_app.selectors import claimable
from tests.stateful.world import EVERYBODY, EXPIRES_AFTER_HOURS, FOUR_EYES, sees, serves

INVARIANTS: Final = {
    "I1": "every change is an edge of the declared graph",
    "I2": "exactly the assignee that the status asks for",
    "I3": "what is finished stays as it is",
    "I4": "one end, by the assignee, at the version that was seen",
    "I5": "the version rises by one per change and by nothing else",
    "I6": "each change has its event, outbox row and audit entry, and a refusal has none",
    "I7": "replaying the snapshots gives the row",
    "I8": "escalation never falls, never follows the end, and a deadline escalates once",
    "I9": "the moments of a task are in order",
    "I10": "nobody sees or changes what is not theirs",
    "I12": "after the queue took a task back, its old holder's decision is refused",
    "I13": "the second reviewer is neither the first nor the requester",
    "I14": "the chain verifies",
    "I15": "a decision that waits is about the version of a task in progress",
}

OPEN: Final = ("pending", "assigned", "in_progress", "escalated")
FINISHED: Final = ("completed", "failed")
EDGES: Final = {
    "task.assigned": {(source, "assigned") for source in OPEN},
    "task.claimed": {("pending", "assigned"), ("escalated", "assigned")},
    "task.started": {("assigned", "in_progress")},
    "task.handed_over": {("assigned", "assigned"), ("in_progress", "assigned")},
    "task.released": {("assigned", "pending"), ("in_progress", "pending")},
    "task.put_back": {("assigned", "escalated")},
    "task.routed": {("pending", "pending"), ("assigned", "pending"), ("escalated", "pending")},
    "task.decision_recorded": {("in_progress", "pending")},
    "task.completed": {("in_progress", "completed")},
    "task.failed": {("in_progress", "failed")},
    "task.escalated": {(source, "escalated") for source in OPEN},
    "task.withdrawn": {(source, "failed") for source in OPEN},
    "task.expired": {(source, "failed") for source in OPEN},
    "task.created": {("", "pending")},
}
VERSIONED: Final = {
    *EDGES,
    *("task.priority_changed", "task.deadline_changed", "task.extended", "task.held", "task.resumed"),
}
ENDS: Final = {"task.completed", "task.failed", "task.withdrawn", "task.expired"}
AFTER_THE_END: Final = {"task.commented", "task.detail_revealed", "task.details_erased"}
OF_THE_TRAIL: Final = ("last_event_seq", "last_event_hash")
COUNTED: Final = ("occurrences", "last_seen_at")  # a recurrence writes them also where it leaves no event

Row = dict[str, Any]


def plain(value: Any) -> Any:
    """A column as a snapshot shows it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return json.loads(json.dumps(value))


def row_of(task: HumanTask) -> Row:
    return {field.attname: plain(getattr(task, field.attname)) for field in HumanTask._meta.concrete_fields}


def hash_of(event: TaskEvent, prev_hash: str) -> str:
    """The rule of the chain, as its documentation gives it."""
    columns = [prev_hash, event.event_id, event.task_id, event.seq, event.type, event.actor_id, event.on_behalf_of_id]
    columns += [event.reason, plain(event.at), event.from_status, event.to_status]
    columns.append(hashlib.sha256(bytes(event.snapshot)).hexdigest())
    return hashlib.sha256(json.dumps(columns, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


COUNTS: Final = "SELECT " + ", ".join(
    f"(SELECT COUNT(*) FROM {model._meta.db_table})" for model in (TaskEvent, EventOutbox, LogEntry)
)
COLUMNS: Final = [str(field.column) for field in HumanTask._meta.concrete_fields]
PLACE_OF_ID: Final = COLUMNS.index("task_id")
STAGED: Final = "SELECT task_id, version FROM tasks_app_stageddecision WHERE outcome = ''"
ROWS: Final = f"SELECT {', '.join(COLUMNS)} FROM {HumanTask._meta.db_table} ORDER BY task_id"


def fetch(sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


class Question:
    """A query that is asked after every step: compiled once, since building its SQL costs more than running it."""

    def __init__(self, tasks: QuerySet[HumanTask]) -> None:
        try:
            self._sql, self._params = tasks.values_list("pk").query.sql_with_params()
        except EmptyResultSet:
            self._sql = ""

    def ask(self) -> set[str]:
        return {pk for (pk,) in fetch(self._sql, self._params)} if self._sql else set()


class Story:
    """What is known of one task from its events."""

    def __init__(self) -> None:
        self.replayed: Row = {}
        self.seq = 0
        self.hash = ""
        self.status = ""
        self.ends = 0
        self.escalations = 0
        self.escalated_by_timer = 0
        self.first: tuple[int, str, Any] | None = None  # the first decision: decider, resolution, modifications


class Watcher:
    """Looks at the database after every step and collects what is wrong, by invariant."""

    def __init__(self, actors: dict[str, Actor]) -> None:
        self.actors = actors
        self.rows: dict[str, Row] = {}
        self.violations: list[tuple[str, str]] = []
        self._stories: dict[str, Story] = {}
        self._steps = 0
        self._events = 0
        self._stored: dict[str, tuple[Any, ...]] = {}
        self._tasks: dict[str, HumanTask] = {}
        self._questions: dict[str, tuple[Question, Question]] = {}
        self._before = fetch(COUNTS)[0]

    def blame(self, invariant: str, what: str) -> None:
        self.violations.append((invariant, f"{invariant} ({INVARIANTS[invariant]}): {what}"))

    def look(self) -> int:
        """Check everything that changed; return the number of new events."""
        seen = self._events
        stored = {columns[PLACE_OF_ID]: columns for columns in fetch(ROWS)}
        for pk in stored:
            if stored[pk] != self._stored.get(pk):
                task = self._tasks[pk] = HumanTask.objects.get(pk=pk)
                row = row_of(task)
                self._check(task, self.rows.get(pk, {}), row)
                self.rows[pk] = row
        self._stored = stored
        self._check_staged()
        self._check_counts()
        self._steps += 1
        self._check_sight(EVERYBODY[self._steps % len(EVERYBODY)])
        return self._events - seen

    def _check_staged(self) -> None:
        """The task says until when one waits; the row says on which version it was made."""
        waiting = dict(fetch(STAGED))
        said = {pk for pk, row in self.rows.items() if row["staged_until"] is not None}
        if waiting.keys() != said:
            self.blame("I15", f"decisions wait on {sorted(waiting)}, the tasks say {sorted(said)}")
        for pk in waiting.keys() & said:
            row = self.rows[pk]
            if row["version"] != waiting[pk] or row["status"] != "in_progress":
                self.blame("I15", f"{pk} is {row['status']} at version {row['version']}, decided on {waiting[pk]}")

    def look_at_everything(self) -> None:
        """The closing look: every actor's sight, every stored chain from its first event."""
        for who in EVERYBODY:
            self._check_sight(who)
        prev_hash: dict[str, str] = {}
        for event in TaskEvent.objects.order_by("task_id", "seq"):
            if (event.prev_hash, event.hash) != (prev := prev_hash.get(event.task_id, ""), hash_of(event, prev)):
                self.blame("I14", f"{event} does not follow from the event before it")
            prev_hash[event.task_id] = event.hash
        if prev_hash != {pk: row["last_event_hash"] for pk, row in self.rows.items()}:
            self.blame("I14", "a task does not end its chain")
        event_ids = set(TaskEvent.objects.values_list("event_id", flat=True))
        audited = LogEntry.objects.filter(object_pk__in=list(self.rows)).values_list("additional_data", "actor_id")
        if {data["event_id"] for data, _actor in audited} != event_ids or any(
            actor is None for _data, actor in audited
        ):
            self.blame("I6", "events and audit entries are not the same, or an actor is missing")
        if set(EventOutbox.objects.values_list("event_id", flat=True)) != event_ids:
            self.blame("I6", "events and outbox rows are not the same")

    # -- one task -----------------------------------------------------------------------------------------------------

    def _check(self, task: HumanTask, old: Row, row: Row) -> None:
        story = self._stories.setdefault(task.pk, Story())
        new = list(TaskEvent.objects.filter(task_id=task.pk, seq__gt=story.seq).order_by("seq"))
        changed = {name for name in row if row[name] != old.get(name) and name not in OF_THE_TRAIL}
        if not new and changed - set(COUNTED):
            self.blame("I6", f"{sorted(changed)} changed without an event")
        if old and old["status"] in FINISHED and changed:
            self.blame("I3", f"{sorted(changed)} of a finished task changed")
        holder = story.replayed.get("assigned_to_id")
        for event in new:
            holder = story.replayed.get("assigned_to_id")
            self._check_event(event, story, row)
        self._events += len(new)
        self._check_numbers(story, old, row, new)
        self._check_people(row, holder)
        self._check_moments(row, old, new)
        if any(row[name] != value for name, value in story.replayed.items() if name not in COUNTED):
            different = [name for name, value in story.replayed.items() if row[name] != value and name not in COUNTED]
            self.blame("I7", f"the snapshots give another {different}")
        elif {*row} - {*story.replayed, *OF_THE_TRAIL}:
            self.blame("I7", f"no snapshot tells of {sorted({*row} - {*story.replayed, *OF_THE_TRAIL})}")

    def _check_event(self, event: TaskEvent, story: Story, row: Row) -> None:
        snapshot = json.loads(bytes(event.snapshot))
        edge = (event.from_status, event.to_status)
        if event.seq != story.seq + 1 or event.prev_hash != story.hash or event.hash != hash_of(event, story.hash):
            self.blame("I14", f"{event} does not follow from the event before it")
        allowed = edge in EDGES[event.type] if event.type in EDGES else event.from_status == event.to_status
        if not allowed or event.from_status != story.status:
            self.blame("I1", f"{event.type} from {edge[0] or 'nothing'} to {edge[1]}")
        if story.status in FINISHED and event.type not in AFTER_THE_END:
            self.blame("I3", f"{event.type} after the end")
        person = event.on_behalf_of_id or event.actor_id
        if event.type in ENDS:
            story.ends += 1
            if story.ends > 1:
                self.blame("I4", "a second end")
        if event.type in ("task.completed", "task.failed"):
            if story.replayed.get("assigned_to_id") != person or row["resolved_by_id"] != person:
                self.blame("I4", "ended by somebody other than its assignee")
            self._check_pair(story, row, person)
        if event.type == "task.decision_recorded":
            decision = snapshot["first_decision"]
            story.first = None if decision is None else (person, decision["resolution"], decision["modifications"])
        if event.type == "task.escalated":
            story.escalations += 1
            story.escalated_by_timer += event.reason.startswith("overdue since")
            if story.status in FINISHED or story.escalated_by_timer > 1:
                self.blame(
                    "I8", f"escalated after {story.status or 'nothing'}, by timers {story.escalated_by_timer} times"
                )
        story.replayed.update(snapshot)
        story.seq, story.hash, story.status = event.seq, event.hash, event.to_status

    def _check_pair(self, story: Story, row: Row, second: int) -> None:
        if row["task_type_id"] != FOUR_EYES:
            return
        if story.first is None:
            self.blame("I13", "ended by one person alone")
        elif second in (story.first[0], row["requested_by_id"]):
            self.blame("I13", "the second decision came from the first reviewer or the requester")
        elif story.first[1:] != (row["resolution"], row["resolution_data"]):
            self.blame("I13", "two different decisions ended it")

    def _check_numbers(self, story: Story, old: Row, row: Row, new: list[TaskEvent]) -> None:
        raised = sum(event.type in VERSIONED for event in new)
        if row["version"] != old.get("version", 0) + raised:
            self.blame(
                "I5", f"version {old.get('version', 0)} became {row['version']} by {[event.type for event in new]}"
            )
        if row["escalation_level"] != story.escalations:
            self.blame("I8", f"level {row['escalation_level']} after {story.escalations} escalations")

    def _check_people(self, row: Row, holder: int | None) -> None:
        assignee, status = row["assigned_to_id"], row["status"]
        if (status in ("assigned", "in_progress")) != (assignee is not None) and status not in FINISHED:
            self.blame("I2", f"{status}, held by {assignee}")
        if status in FINISHED and assignee != holder:
            self.blame("I2", f"the last assignee was {holder} and became {assignee} with the end")

    def _check_moments(self, row: Row, old: Row, new: list[TaskEvent]) -> None:
        """ISO moments in UTC compare as text."""
        orders = [
            ("created_at", "assigned_at", "started_at", "completed_at", "updated_at"),
            ("created_at", "last_seen_at"),
            ("created_at", "due_by"),
            ("start_by", "due_by"),
        ]
        for order in orders:
            moments = [row[name] for name in order if row[name] is not None]
            if moments != sorted(moments):
                self.blame("I9", " <= ".join(order) + f" does not hold: {moments}")
        if old and row["updated_at"] < old["updated_at"]:
            self.blame("I9", "updated_at went back")
        if any(event.type in VERSIONED for event in new) and plain(new[-1].at) < row["updated_at"]:
            self.blame("I9", "updated after its last event")
        if row["status"] in FINISHED and row["next_timer_at"] is not None:
            self.blame("I9", "a finished task still waits for a timer")

    # -- the whole ----------------------------------------------------------------------------------------------------

    def _check_counts(self) -> None:
        names = ("events", "outbox rows", "audit entries")
        for name, before, now in zip(names, self._before, fetch(COUNTS)[0], strict=True):
            if now - before != self._events:
                self.blame("I6", f"{self._events} events, but {now - before} {name}")

    def _check_sight(self, who: str) -> None:
        actor = self.actors[who]
        if who not in self._questions:
            seen = Question(HumanTask.objects.filter(visible_to(actor)))
            self._questions[who] = (seen, Question(claimable(actor).order_by()))
        visible, offered = (question.ask() for question in self._questions[who])
        for pk, task in self._tasks.items():
            row = self.rows[pk]
            if not (pk in visible) == can_see(actor, task) == sees(who, row):
                self.blame("I10", f"{who} and {pk}: list {pk in visible}, page {can_see(actor, task)}")
            waiting = row["status"] in ("pending", "escalated")
            if (pk in offered) != (can_claim(actor, task) and waiting):
                self.blame("I10", f"{who} and {pk}: claim-next and the page disagree")
            if pk in offered and not serves(who, row):
                self.blame("I10", f"{who} is offered {pk}, which is another team's work")


def codes(violations: Iterable[tuple[str, str]]) -> set[str]:
    return {code for code, _what in violations}


assert EXPIRES_AFTER_HOURS > 48  # the default deadline of medium priority comes first
