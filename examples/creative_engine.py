"""A creative engine: plain images run at once, every other format waits until a person has seen the creative.

`submit` answers `approved`, or `pending_review` with the task's id. `conclude` turns the reviewer's decision into the
buyer's answer: `approved`, or `rejected` with the feedback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from examples.classify import Action, classify_format
from examples.queue_client import QueueClient

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Review:
    """What the buyer hears about a creative."""

    status: str
    creative_id: str
    feedback: str = ""
    task: Json = field(default_factory=dict)

    @property
    def task_id(self) -> str:
        """The id of the review to wait for; empty if there is none."""
        return str(self.task.get("task_id", ""))


class CreativeEngine:
    """Takes creatives in for one principal. Creatives under review are in memory here; a real engine stores them."""

    name = "creative_engine"

    def __init__(self, principal_id: str, queue: QueueClient) -> None:
        self.principal_id = principal_id
        self.queue = queue
        self.under_review: dict[str, str] = {}

    def submit(self, creative_id: str, media_buy_id: str, creative_format: Mapping[str, Any], assets: Json) -> Review:
        """Take a creative in. One creative has one open review, however often it is submitted."""
        verdict = classify_format(creative_format)
        if verdict.action is Action.PROCEED:
            return Review("approved", creative_id)
        task = self.queue.create_human_task(
            verdict.task_type,
            self.principal_id,
            adapter_name=self.name,
            priority=verdict.priority,
            media_buy_id=media_buy_id,
            creative_id=creative_id,
            operation="review_creative",
            error_detail=f"The format {creative_format['name']!r} is not approved automatically.",
            context_data={
                "format_id": creative_format["format_id"]["id"],
                "format_type": creative_format["type"],
                "assets": assets,
            },
            dedup_key=f"{self.name}/{creative_id}",
        )
        self.under_review[task["task_id"]] = creative_id
        return Review("pending_review", creative_id, task=task)

    def conclude(self, task: Json) -> Review:
        """Turn a decided task into the buyer's answer. Raises `KeyError` for a task that is not this engine's."""
        creative_id = self.under_review.pop(task["task_id"])
        status = "approved" if task["resolution"] == "approved" else "rejected"
        return Review(status, creative_id, feedback=task.get("resolution_detail") or "")
