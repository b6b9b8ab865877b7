"""The moves of the game: every service action by every actor, and what must be true of each outcome."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from core import clock
from tasks_app import services, timers
from tasks_app.actors import Actor
from tasks_app.exceptions import StaleVersion, TaskError, TaskNotFound
from tasks_app.models import HumanTask, TaskEvent, User
from tasks_app.services import Decision, NewTask, open_task
from tasks_app.services.work import return_tasks_of
from tasks_app.states import EventType
from tests.stateful.invariants import Row, Watcher
from tests.stateful.world import EVERYBODY, REVIEWERS, START, TARGETS, sees

RESOLUTIONS: Final = ("approved", "rejected", "completed", "cannot_complete")
MODIFICATIONS: Final[tuple[dict[str, Any], ...]] = ({}, {"size": "300x250"})

# Verb -> the call, with the drawn arguments that it takes.
Call = Callable[..., Any]
VERBS: Final[dict[str, Call]] = {
    "claim": lambda pk, actor, version, draw: services.claim_task(pk, actor, expected_version=version),
    "start": lambda pk, actor, version, draw: services.start_task(pk, actor, expected_version=version),
    "release": lambda pk, actor, version, draw: services.release_task(
        pk, actor, reason="later", expected_version=version
    ),
    "assign": lambda pk, actor, version, draw: services.assign_task(
        pk, actor, assigned_to=draw(REVIEWERS), expected_version=version
    ),
    "route": lambda pk, actor, version, draw: services.route_task(
        pk, actor, team=draw(TARGETS), expected_version=version
    ),
    "escalate": lambda pk, actor, version, draw: services.escalate_task(pk, actor, expected_version=version),
    "withdraw": lambda pk, actor, version, draw: services.withdraw_task(pk, actor, expected_version=version),
    "resolve": lambda pk, actor, version, draw: services.resolve_task(
        pk, actor, decision(draw), expected_version=version
    ),
    "decide": lambda pk, actor, version, draw: services.decide_task(
        pk,
        actor,
        decision(draw),
        resolved_by=draw(REVIEWERS) if actor.is_adapter else "",
        expected_version=version,
    ),
    "agree": lambda pk, actor, version, draw: services.decide_task(pk, actor, agreement(pk), expected_version=version),
    "comment": lambda pk, actor, version, draw: services.comment_on_task(
        pk, actor, "call 030 901820 or x@acme.example"
    ),
    "reveal": lambda pk, actor, version, draw: services.reveal_detail(
        pk, actor, placeholder="[email 1]", reason="to ask back"
    ),
    "erase": lambda pk, actor, version, draw: services.erase_details(pk, actor, reason="on request"),
    "expire": lambda pk, actor, version, draw: services.expire_task(pk, actor),
}
# What people do with a task that they hold, and how they decide it in the deck.
OF_THE_DECK: Final[dict[str, Call]] = {
    "hand_over": lambda pk, actor, version, draw: services.hand_over_task(
        pk, actor, to=draw(REVIEWERS), note="you know them", expected_version=version
    ),
    "put_back": lambda pk, actor, version, draw: services.put_back_task(pk, actor, expected_version=version),
    "skip": lambda pk, actor, version, draw: services.skip_task(
        pk, actor, reason="not my language", expected_version=version
    ),
    "stage": lambda pk, actor, version, draw: services.stage_decision(
        pk, actor, decision(draw), expected_version=version
    ),
    "take_back": lambda pk, actor, version, draw: services.take_back_decision(pk, actor),
}
WITHOUT_VERSION: Final = ("comment", "reveal", "erase", "expire", "take_back")

Draw = Callable[[Any], Any]


def decision(draw: Draw) -> Decision:
    resolution = draw(RESOLUTIONS)
    modifications = draw(MODIFICATIONS) if resolution in ("approved", "rejected") else {}
    return Decision(resolution, "as agreed", modifications)


def agreement(pk: str) -> Decision:
    """The first decision once more, which ends a task at stage 2."""
    first = HumanTask.objects.values_list("first_decision", flat=True).get(pk=pk)
    return Decision(first["resolution"], "as agreed", first["modifications"]) if first else Decision("approved")


class Play:
    """One game from an empty table. `draw(options)` picks one of them."""

    def __init__(self, actors: dict[str, Actor], draw: Draw) -> None:
        self.actors = actors
        self.draw = draw
        self.now = START
        self.watch = Watcher(actors)
        self.taken_back: dict[str, int] = {}  # task -> who held it when a timer or the system returned it to the queue
        self.robbed: set[tuple[str, int]] = set()  # task and person: who lost it to somebody else, or to a timer
        self._names = {actor.user.pk: who for who, actor in actors.items() if who in REVIEWERS}

    @property
    def rows(self) -> dict[str, Row]:
        return self.watch.rows

    def jump(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    def open(self, who: str, task_type: str, principal: str, priority: int, dedup_key: str) -> None:
        new = NewTask(
            task_type=task_type,
            principal_id=principal,
            priority=priority,
            dedup_key=dedup_key,
            error_detail="refused for ops@acme.example",
            context_data={"ratio": 1.5, "sizes": [300, 250]},
        )
        outcome = self._try(lambda: open_task(new, self.actors[who]))
        events = self.watch.look()
        if isinstance(outcome, TaskError):
            self._refused(events)
            return
        task, is_new = outcome
        own = {"bot": "acme_corp", "clerk": "acme_corp", "eve": "globex"}.get(who, principal)
        if task.principal_id != principal or principal != own:
            self.watch.blame("I10", f"{who} opened a task of {task.principal_id}")
        if not is_new and who in REVIEWERS and task.requested_by_id != self.actors[who].user.pk:
            self.watch.blame("I10", f"{who} got another's task by guessing its dedup key")
        if is_new and events != 1:
            self.watch.blame("I6", f"a new task left {events} events")

    def act(self, verb: str, who: str, pk: str, *, seen_versions_ago: int | None = None) -> None:
        """Let `who` try `verb`, having seen the task some versions ago (None: he does not say)."""
        before, actor = self.rows[pk], self.actors[who]
        expected = None
        if seen_versions_ago is not None and verb not in WITHOUT_VERSION:
            expected = before["version"] - seen_versions_ago
        outcome = self._try(lambda: (VERBS | OF_THE_DECK)[verb](pk, actor, expected, self.draw))
        events = self.watch.look()
        if isinstance(outcome, TaskError):
            self._refused(events)
            if sees(who, before) == isinstance(outcome, TaskNotFound):
                self.watch.blame("I10", f"{verb} by {who} was answered {outcome.code}")
            return
        if events == 0 and verb != "stage":  # the same decision once more is the one that waits
            self.watch.blame("I6", f"{verb} was accepted and left no event")
        if not sees(who, before):
            self.watch.blame("I10", f"{verb} by {who} was accepted")
        if expected not in (None, before["version"]):
            self.watch.blame("I4", f"{verb} was accepted on version {expected} of a task at {before['version']}")
        if verb == "resolve" and before["status"] != "in_progress" and self.taken_back.get(pk) == actor.user.pk:
            self.watch.blame("I12", f"{who} decided a task that the queue had taken back")
        if verb in ("decide", "agree") and expected is None and (pk, actor.user.pk) in self.robbed:
            self.watch.blame("I12", f"{who} decided, without a look, a task that was taken back")
        self._note_return(pk, before, by=actor.user.pk)

    def claim_next(self, who: str) -> None:
        before, actor = dict(self.rows), self.actors[who]
        outcome = self._try(lambda: services.claim_next_task(actor))
        events = self.watch.look()
        if isinstance(outcome, TaskError):
            self._refused(events)
            return
        if events != (outcome is not None):
            self.watch.blame("I6", f"claim-next left {events} events")
        if outcome is not None:  # whoever lost it and takes it anew holds it with open eyes
            self._note_return(outcome.pk, before[outcome.pk], by=actor.user.pk)

    def old_holder_decides(self) -> None:
        """Whoever lost a task to the queue decides it as if nothing had happened."""
        for pk, holder in self.taken_back.items():
            if self.rows[pk]["status"] == "pending" or self.rows[pk]["status"] == "escalated":
                self.act("resolve", self._names[holder], pk)
                self.act("decide", self._names[holder], pk)
                return

    def sweep(self) -> None:
        before = {pk: dict(row) for pk, row in self.rows.items()}
        with clock.at(self.now):
            acted = timers.sweep()
        if self.watch.look() != acted:
            self.watch.blame("I6", "the sweep's count is not that of its events")
        for pk, row in before.items():
            self._note_return(pk, row)

    def return_all_of(self, who: str) -> None:
        """As if `who` had been deactivated: the system gives back what he holds."""
        before = {pk: dict(row) for pk, row in self.rows.items()}
        user: User = self.actors[who].user
        released = TaskEvent.objects.filter(type=EventType.RELEASED)
        known = released.count()  # a decision that waited leaves an event of its own before
        with clock.at(self.now):
            returned = return_tasks_of(user, self.actors["system"], reason="deactivated")
        self.watch.look()
        if released.count() - known != returned or HumanTask.objects.open().filter(assigned_to=user).exists():
            self.watch.blame("I6", "not every task came back")
        for pk, row in before.items():
            self._note_return(pk, row)

    def _note_return(self, pk: str, before: Row, by: int | None = None) -> None:
        after = self.rows[pk]
        self.robbed.discard((pk, after["assigned_to_id"]))
        decided = after["completed_at"] is not None or after["stage"] != before["stage"]  # as the holder had staged it
        if before["assigned_to_id"] not in (None, by, after["assigned_to_id"]) and not decided:
            self.robbed.add((pk, before["assigned_to_id"]))
        if after["assigned_to_id"] is not None:
            self.taken_back.pop(pk, None)
        elif before["assigned_to_id"] is not None and after["status"] in ("pending", "escalated"):
            self.taken_back[pk] = before["assigned_to_id"]

    def _try(self, call: Callable[[], Any]) -> Any:
        """The result, or the refusal."""
        try:
            with clock.at(self.now):
                return call()
        except TaskError as error:
            if error.status not in (400, 403, 404, 409, 412):
                self.watch.blame("I6", f"a refusal with status {error.status}")
            if isinstance(error, StaleVersion) and "current_version" not in error.extra:
                self.watch.blame("I4", "a stale version was refused without the current one")
            return error

    def _refused(self, events: int) -> None:
        if events:
            self.watch.blame("I6", f"a refusal left {events} events")


assert set(REVIEWERS) < set(EVERYBODY)
