"""An adapter that asks people for help: it opens a task when the ad server refuses, and goes on when they are done.

`run` answers `completed`, `pending_manual` with a task's id, `retry_later` or `failed`. `resume` takes up the operation
of a task that has ended: carried out as it was, or with the reviewer's modifications, or given up with their words.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from examples.ad_client import AdServerClient, Refused
from examples.classify import COMPLIANCE, Action, Verdict, classify_refusal, targeting_flags
from examples.queue_client import QueueClient

Json = dict[str, Any]

WAITS = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do at the ad server, for one media buy."""

    name: str
    media_buy_id: str
    params: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the adapter tells its caller. `task` is the opened task; `attempts` counts the calls that were made."""

    status: str
    detail: str = ""
    task: Json = field(default_factory=dict)
    made: Json = field(default_factory=dict)
    attempts: int = 0

    @property
    def task_id(self) -> str:
        """The id of the task that must be decided first; empty if there is none."""
        return str(self.task.get("task_id", ""))


class Adapter:
    """One ad server for one principal. Blocked operations are in memory here; a real adapter stores them."""

    def __init__(
        self,
        name: str,
        principal_id: str,
        queue: QueueClient,
        ad_server: AdServerClient,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.principal_id = principal_id
        self.queue = queue
        self.ad_server = ad_server
        self.blocked: dict[str, Operation] = {}
        self._sleep = sleep

    def run(self, operation: Operation) -> Answer:
        """Carry an operation out, or say why not yet. A flagged targeting goes to a person before the ad server."""
        flags = targeting_flags(operation.params.get("targeting", {}))
        if flags:
            context = {"flags": list(flags), "targeting": operation.params["targeting"]}
            return self._ask(COMPLIANCE, operation, "targeting", "Targeting flagged: " + "; ".join(flags), context)
        return self._attempt(operation)

    def resume(self, task: Json) -> Answer:
        """Take up the operation that waited for this task. Raises `KeyError` for a task that is not this adapter's.

        The keys of the modifications replace the operation's parameters of the same name. A person has seen the
        targeting by now, so it is not flagged a second time.
        """
        operation = self.blocked.pop(task["task_id"])
        if task["resolution"] not in {"approved", "completed"}:
            return Answer("failed", f"{task['resolution']}: {task.get('resolution_detail') or 'no reason given'}")
        params = {**operation.params, **(task.get("resolution_data") or {})}
        return self._attempt(replace(operation, params=params), follows=task["task_id"])

    def _attempt(self, operation: Operation, follows: str = "") -> Answer:
        """Call the ad server, repeating what is transient; ask a person about what only a person can mend."""
        attempts = 0
        while True:
            attempts += 1
            try:
                made = self.ad_server.call(operation.name, {"media_buy_id": operation.media_buy_id, **operation.params})
            except Refused as refusal:
                verdict = classify_refusal(refusal.error_string, refusal.status)
                if verdict.action is Action.ASK:
                    context = {"http_status": refusal.status, "parameters": operation.params}
                    if refusal.error_string:
                        context["error_string"] = refusal.error_string
                    reason = refusal.error_string or str(refusal.status)
                    return self._ask(verdict, operation, reason, refusal.detail, context, follows)
                if verdict.action is Action.GIVE_UP:
                    return Answer("failed", refusal.detail, attempts=attempts)
                if attempts > len(WAITS):
                    return Answer("retry_later", refusal.detail, attempts=attempts)
                self._sleep(max(WAITS[attempts - 1], refusal.wait))
            else:
                return Answer("completed", made=made, attempts=attempts)

    def _ask(
        self, verdict: Verdict, operation: Operation, reason: str, detail: str, context: Json, follows: str = ""
    ) -> Answer:
        """Open the task, once per operation, media buy and reason, and remember what waits for it."""
        task = self.queue.create_human_task(
            verdict.task_type,
            self.principal_id,
            adapter_name=self.name,
            priority=verdict.priority,
            media_buy_id=operation.media_buy_id,
            operation=operation.name,
            error_detail=detail,
            context_data=context,
            dedup_key=f"{self.name}/{operation.name}/{operation.media_buy_id}/{reason}",
            **({"follows": follows} if follows else {}),
        )
        self.blocked[task["task_id"]] = operation
        return Answer("pending_manual", detail, task=task)
