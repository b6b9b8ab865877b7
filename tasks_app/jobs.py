"""Background jobs: shells around timers, checkpoints and housekeeping."""

from celery import shared_task

from core import clock
from tasks_app import housekeeping, metrics, retention, services, summaries, timers
from tasks_app.actors import system_actor
from tasks_app.trail import checkpoints


@shared_task(ignore_result=True)
def sweep_timers() -> None:
    timers.sweep_all()
    metrics.note_sweep(clock.now())


@shared_task(ignore_result=True)
def roll_up() -> None:
    while summaries.roll_up() == summaries.BATCH:
        pass


@shared_task(ignore_result=True)
def recompute_deadlines() -> None:
    services.apply_changes(system_actor())


@shared_task(ignore_result=True)
def return_stranded() -> None:
    services.return_stranded(system_actor())


@shared_task(ignore_result=True)
def tidy_up() -> None:
    housekeeping.tidy_up()


@shared_task(ignore_result=True)
def retire() -> None:
    retention.run(system_actor())


@shared_task(ignore_result=True)
def make_checkpoint() -> None:
    checkpoints.catch_up()
