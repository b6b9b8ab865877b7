"""What is thrown away after its time."""

from datetime import timedelta
from typing import Final

from core import clock
from tasks_app.models import IdempotencyRecord

IDEMPOTENCY_KEPT: Final = timedelta(hours=72)


def tidy_up() -> int:
    """Delete idempotency records past their time; return how many that were."""
    deleted, _per_model = IdempotencyRecord.objects.filter(created_at__lt=clock.now() - IDEMPOTENCY_KEPT).delete()
    return deleted
