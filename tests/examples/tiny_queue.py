"""A tiny queue over HTTP, in memory: just enough of the API's contract to try the examples against, and no more."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from standardwebhooks import Webhook

from examples.wire import Unreachable, send

Json = dict[str, Any]

SECRET = "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBzZWNyZXQgZm9yIHRlc3Rz"


class Seen(NamedTuple):
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Json


class Canned(NamedTuple):
    """An answer that is given once instead of the real one; status 0 breaks the connection off."""

    status: int
    body: Json | str
    headers: dict[str, str] = {}


class Handler(BaseHTTPRequestHandler):
    server: TinyQueue
    timeout = 10

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def _handle(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, json.loads(raw) if raw else {})
        self.server.seen.append(seen)
        answer = self.server.canned.pop(0) if self.server.canned else self.server.answer(seen)
        if answer.status == 0:
            self.close_connection = True
            return
        body = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class TinyQueue(ThreadingHTTPServer):
    """Tasks, events and one webhook endpoint. `worker_runs=False` decides tasks but sends and positions nothing."""

    daemon_threads = True

    def __init__(self, *, worker_runs: bool = True, delivers: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[Seen] = []
        self.canned: list[Canned] = []
        self.tasks: dict[str, Json] = {}
        self.events: list[Json] = []
        self.endpoints: dict[str, str] = {}
        self.worker_runs = worker_runs
        self.delivers = delivers
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, seen: Seen) -> Canned:
        parts = urlsplit(seen.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match (seen.method, *parts.path.removeprefix("/api/v1/").strip("/").split("/")):
            case ("GET", "livez"):
                return Canned(200, {})
            case ("POST", "tasks"):
                return self.create(seen.body)
            case ("GET", "tasks", "pending"):
                rows = [task for task in self.tasks.values() if task["resolution"] is None]
                return Canned(
                    200, {"results": rows, "next": None, "previous": None, "total_count": len(rows), "overdue_count": 0}
                )
            case ("GET", "tasks", task_id):
                if task_id not in self.tasks:
                    return Canned(404, {"status": 404, "code": "not_found", "detail": "No such task."})
                return Canned(200, self.tasks[task_id])
            case ("POST", "tasks", task_id, "complete"):
                return self.complete(self.tasks[task_id], seen.body)
            case ("GET", "events"):
                limit = int(query.get("limit", 50))
                rows = [event for event in self.events if event["position"] > int(query["after"])]
                more = f"{self.url}/api/v1/events/?cursor=x" if len(rows) > limit else None
                return Canned(200, {"results": rows[:limit], "next": more, "previous": None})
            case ("POST", "webhook-endpoints"):
                endpoint_id = f"ep_{len(self.endpoints)}"
                self.endpoints[endpoint_id] = seen.body["url"]
                return Canned(201, {"id": endpoint_id, "url": seen.body["url"], "secret": SECRET})
            case ("DELETE", "webhook-endpoints", endpoint_id):
                del self.endpoints[endpoint_id]
                return Canned(204, "")
            case _:
                return Canned(404, {"status": 404, "code": "not_found", "detail": "No such address."})

    def create(self, body: Json) -> Canned:
        for task in self.tasks.values():
            if body.get("dedup_key") and body["dedup_key"] == task["dedup_key"] and task["resolution"] is None:
                task["occurrences"] += 1
                return Canned(200, task)
        task_id = f"task_{len(self.tasks):032x}"
        self.tasks[task_id] = {
            "dedup_key": None, **body,
            "task_id": task_id, "status": "pending", "resolution": None, "version": 1, "occurrences": 1,
        }  # fmt: skip
        self.note("task.created", self.tasks[task_id])
        return Canned(201, self.tasks[task_id])

    def complete(self, task: Json, body: Json) -> Canned:
        if task["resolution"] is not None:
            return Canned(
                409, {"code": "wrong_state", "detail": "The task has ended.", "current_version": task["version"]}
            )
        good = body["resolution"] in {"approved", "completed"}
        task.update(
            status="completed" if good else "failed",
            resolution=body["resolution"],
            resolution_detail=body.get("resolution_detail", ""),
            resolution_data=body.get("modifications", {}),
            version=4,
        )
        self.note("task.completed" if good else "task.failed", task)
        return Canned(200, task)

    def note(self, event_type: str, task: Json) -> None:
        """Record an event and, if the worker runs, position it and send its webhook twice, as at-least-once may."""
        event = {"event_id": f"evt_{len(self.events)}", "type": event_type, "task_id": task["task_id"]}
        if not self.worker_runs:
            return
        self.events.append({**event, "position": len(self.events) + 1})
        if event_type != "task.created" and self.delivers:
            threading.Thread(target=self.deliver, args=(event,), daemon=True).start()

    def deliver(self, event: Json) -> None:
        for url in list(self.endpoints.values()):
            for _ in range(2):
                now = datetime.now(UTC)
                body = json.dumps(
                    {"type": event["type"], "timestamp": now.isoformat(), "data": {"task_id": event["task_id"]}}
                )
                headers = {
                    "webhook-id": event["event_id"],
                    "webhook-timestamp": str(int(now.timestamp())),
                    "webhook-signature": Webhook(SECRET).sign(event["event_id"], now, body),
                }
                try:
                    send("POST", url, body=body.encode(), headers=headers)
                except Unreachable:
                    return  # the receiver has gone with its test; the real queue would try again

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()
