"""What is thrown away after its time."""

from datetime import timedelta
from typing import Final

from core import clock
from tasks_app import feed
from tasks_app.models import IdempotencyRecord, StagedDecision, TaskPresence

IDEMPOTENCY_KEPT: Final = timedelta(hours=72)
PRESENCE_KEPT: Final = timedelta(days=1)  # as long as a team's longest limit for untouched tasks
STAGED_KEPT: Final = timedelta(days=7)


def tidy_up() -> int:
    """Delete what is past its time: idempotency records, heartbeats, decisions that wait no more; return how many."""
    now = clock.now()
    old = (
        IdempotencyRecord.objects.filter(created_at__lt=now - IDEMPOTENCY_KEPT),
        TaskPresence.objects.filter(seen_at__lt=now - PRESENCE_KEPT),
        StagedDecision.objects.filter(ended_at__lt=now - STAGED_KEPT),
    )
    feed.keep_ready()
    return sum(rows.delete()[0] for rows in old)
