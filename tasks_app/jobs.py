"""Background jobs: shells around timers and housekeeping."""

from celery import shared_task

from tasks_app import housekeeping, timers


@shared_task(ignore_result=True)
def sweep_timers() -> None:
    while timers.sweep() == timers.BATCH:
        pass


@shared_task(ignore_result=True)
def tidy_up() -> None:
    housekeeping.tidy_up()
