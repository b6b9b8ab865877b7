"""Background jobs: shells around timers, checkpoints and housekeeping."""

from celery import shared_task

from tasks_app import housekeeping, timers
from tasks_app.trail import checkpoints


@shared_task(ignore_result=True)
def sweep_timers() -> None:
    while timers.sweep() == timers.BATCH:
        pass


@shared_task(ignore_result=True)
def tidy_up() -> None:
    housekeeping.tidy_up()


@shared_task(ignore_result=True)
def make_checkpoint() -> None:
    checkpoints.catch_up()
