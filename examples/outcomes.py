"""How an integration hears what people decided: by webhook, and from the feed if none arrives."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from typing import Any

from examples.queue_client import QueueClient
from examples.webhooks import Receiver

Json = dict[str, Any]

OUTCOMES = ("task.completed", "task.failed", "task.withdrawn", "task.expired")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A task that has ended, as the queue tells it, and the way the news came: `webhook` or `feed`."""

    task: Json
    via: str


class Outcomes:
    """Waits for the outcome of tasks. The feed's position is in memory here; keep it on disk to survive a restart."""

    def __init__(self, client: QueueClient, receiver: Receiver) -> None:
        self.client = client
        self.receiver = receiver
        self.position = 0
        self.endpoint_id: Any = None
        self._heard: dict[str, str] = {}

    def register(self, description: str) -> None:
        """Ask for outcomes at the receiver's address, and read past the feed's history."""
        self.position = max((event["position"] for event in self.client.events()), default=0)
        endpoint = self.client.register_endpoint(self.receiver.url, event_types=list(OUTCOMES), description=description)
        self.endpoint_id = endpoint.get("endpoint_id", endpoint.get("id"))
        self.receiver.secret = endpoint["secret"]

    def unregister(self) -> None:
        """Take the endpoint away again, as a receiver that goes for good should."""
        if self.endpoint_id is not None:
            self.client.delete_endpoint(self.endpoint_id)
            self.endpoint_id = None

    def wait(self, task_id: str, timeout: float) -> Outcome | None:
        """Return a task's outcome, or None if no webhook within `timeout` seconds and then no feed tells one."""
        deadline = time.monotonic() + timeout
        while task_id not in self._heard:
            try:
                message = self.receiver.inbox.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                self.catch_up()
                break
            if message["type"] in OUTCOMES:
                self._heard[message["data"]["task_id"]] = "webhook"
        via = self._heard.pop(task_id, None)
        return Outcome(self.client.get_task(task_id), via) if via else None

    def catch_up(self) -> list[str]:
        """Read the feed from where it was left, and return the ids of the tasks that ended since."""
        ended = []
        for event in self.client.events(self.position):
            self.position = event["position"]
            if event["type"] in OUTCOMES:
                ended.append(event["task_id"])
                self._heard.setdefault(event["task_id"], "feed")
        return ended
