"""The reference client of the task queue: what an adapter needs of the API, in one file to copy and change.

It does four things that every client should. It waits at most `timeout` seconds for an answer. It sends each POST with
an `Idempotency-Key`, so that a repeated one has no second effect. It repeats what the server asks to repeat (429 and
503, after `Retry-After`) and what was cut off. And it turns problem+json into typed errors.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

from examples.wire import Reply, Unreachable, send

Json = dict[str, Any]

REPEATED_STATUSES = frozenset({429, 503})
WAITS = (0.5, 1.0, 2.0, 4.0)
LONGEST_WAIT = 60.0


class QueueError(Exception):
    """The queue refused a call. `code` is stable; `detail` and `errors` say what would be right."""

    def __init__(self, status: int, problem: Json) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        self.errors: list[Json] = list(problem.get("errors") or [])
        self.current_version: int | None = problem.get("current_version")
        fields = "; ".join(f"{error.get('field')}: {error.get('message')}" for error in self.errors)
        super().__init__(f"{status} {self.code}: {self.detail}" + (f" ({fields})" if fields else ""))


class InvalidInput(QueueError):
    """400, 413 or 422: the call itself is wrong. Repeating it unchanged is no use."""


class NotAuthenticated(QueueError):
    """401: no token, or one that is unknown, revoked or expired."""


class PermissionDenied(QueueError):
    """403: the token is good, but may not do this."""


class NotFound(QueueError):
    """404: there is no such task, or it belongs to a principal that this token does not speak for."""


class Conflict(QueueError):
    """409: the task is in a state that does not allow this, or somebody else was faster."""


class StaleVersion(QueueError):
    """412: the task has changed since it was read; `current_version` is where it stands now."""


class TooManyRequests(QueueError):
    """429: still too fast after every repetition."""


class ServerProblem(QueueError):
    """5xx, or an answer that is not JSON: not the caller's fault."""


ERRORS: dict[int, type[QueueError]] = {
    400: InvalidInput,
    401: NotAuthenticated,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    412: StaleVersion,
    413: InvalidInput,
    422: InvalidInput,
    429: TooManyRequests,
}


class QueueClient:
    """The queue as one bearer of a token sees it. `url` is the server's address without `/api/v1`."""

    def __init__(
        self, url: str, token: str, *, timeout: float = 10.0, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.url = url.rstrip("/")
        self._base = f"{self.url}/api/v1"
        self._token = token
        self._timeout = timeout
        self._sleep = sleep

    def create_human_task(self, task_type: str, principal_id: str, **fields: Any) -> Json:
        """Open a task and return it. With a `dedup_key` a twin folds into the open one, and `occurrences` rises."""
        return self._call("POST", "/tasks/", {"task_type": task_type, "principal_id": principal_id, **fields})

    def get_pending_tasks(self, **filters: Any) -> Json:
        """Return one page of open tasks, most urgent first: `results`, `next`, `total_count`, `overdue_count`."""
        return self._call("GET", "/tasks/pending/" + _query(filters))

    def get_task(self, task_id: str) -> Json:
        """Return one task, with the texts and modifications that a webhook leaves out."""
        return self._call("GET", f"/tasks/{quote(task_id, safe='')}/")

    def assign_task(self, task_id: str, assigned_to: str, *, reason: str = "") -> Json:
        """Give a task to a person, by user name or e-mail address."""
        return self._call(
            "POST", f"/tasks/{quote(task_id, safe='')}/assign/", _given(assigned_to=assigned_to, reason=reason)
        )

    def complete_task(
        self,
        task_id: str,
        resolution: str,
        *,
        resolution_detail: str = "",
        modifications: Json | None = None,
        resolved_by: str = "",
    ) -> Json:
        """Record a person's decision. `rejected` and `cannot_complete` need `resolution_detail`."""
        body = _given(
            resolution=resolution,
            resolution_detail=resolution_detail,
            modifications=modifications,
            resolved_by=resolved_by,
        )
        return self._call("POST", f"/tasks/{quote(task_id, safe='')}/complete/", body)

    def events(self, after: int = 0) -> Iterator[Json]:
        """Yield the feed's events after a position, oldest first; keep the last `position` for the next time."""
        while True:
            page = self._call("GET", "/events/" + _query({"after": after, "limit": 200}))
            for event in page["results"]:
                after = event["position"]
                yield event
            if not page["next"] or not page["results"]:
                return

    def register_endpoint(self, url: str, *, event_types: list[str] | None = None, description: str = "") -> Json:
        """Register a webhook endpoint. The answer carries its `secret`, which is shown this once."""
        body = _given(url=url, event_types=event_types, description=description)
        return self._call("POST", "/webhook-endpoints/", body)

    def delete_endpoint(self, endpoint_id: Any) -> None:
        """Take a webhook endpoint away; nothing more is sent to it."""
        self._call("DELETE", f"/webhook-endpoints/{quote(str(endpoint_id), safe='')}/")

    def get_deliveries(self, **filters: Any) -> Json:
        """Return one page of deliveries: what the queue sent, or tried to send, to whom."""
        return self._call("GET", "/deliveries/" + _query(filters))

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if method == "POST":
            headers["Content-Type"] = "application/json"
            headers["Idempotency-Key"] = str(uuid.uuid4())
        payload = None if body is None else json.dumps(body).encode()
        for wait in (*WAITS, None):
            try:
                reply = send(method, self._base + path, body=payload, headers=headers, timeout=self._timeout)
            except Unreachable:
                if wait is None:
                    raise
                self._sleep(wait)
                continue
            if reply.status not in REPEATED_STATUSES or wait is None:
                break
            self._sleep(retry_after(reply, wait))
        return _read(reply)


def retry_after(reply: Reply, default: float) -> float:
    """Return the seconds that `Retry-After` asks for (a number or an HTTP date), within [0, LONGEST_WAIT]."""
    value = reply.headers.get("retry-after", "").strip()
    if value.isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            seconds = default
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _read(reply: Reply) -> Json:
    try:
        content = json.loads(reply.body) if reply.body else {}
    except ValueError:
        content = {}
        if reply.status < 400:
            raise ServerProblem(
                reply.status, {"detail": "the answer is not JSON; is this the queue's address?"}
            ) from None
    if not isinstance(content, dict):
        content = {}
    if reply.status < 300:
        return content
    raise ERRORS.get(reply.status, ServerProblem)(reply.status, content)


def _given(**fields: Any) -> Json:
    """Keep what was given: the API refuses fields it does not know and nulls it did not ask for."""
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _query(filters: Json) -> str:
    return "?" + urlencode(filters) if filters else ""
