"""`python -m tests.faults.failpoints DATABASE RUNS [POINT]`: open a task, send its event, die at each of six points.

Each run is a forked process that ends by `os._exit` where its point says, as a machine does that loses its power: no
`finally`, no rollback of ours, no commit hook.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, Final

import django
from django.conf import settings

POINTS: Final = ("before insert", "after insert", "after commit", "after publish", "after POST", "after mark")
UNBORN: Final = POINTS[:2]  # nothing was committed: neither task nor event may be there
DIED: Final = 9


def die(*_arguments: Any, **_named: Any) -> None:
    os._exit(DIED)


def then_die(work: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> None:
        work(*arguments, **named)
        die()

    return wrapped


def arm(point: str) -> None:
    """Patch the process so that it dies at the point."""
    from notifications import jobs, relay
    from notifications.channels import Webhook
    from notifications.relay import draining
    from tasks_app import wakeup, writing

    sent, wake = Webhook.send, wakeup._wake

    async def send_and_die(self: Webhook, *arguments: Any) -> None:
        await sent(self, *arguments)
        die()

    def wake_and_die() -> None:
        wake()
        jobs.nudge.settled(10.0)
        die()

    match point:
        case "before insert":
            writing.write = die
        case "after insert":
            writing.write = then_die(writing.write)
        case "after commit":
            wakeup._wake = die
        case "after publish":
            wakeup._wake = wake_and_die
        case "after POST":
            Webhook.send = send_and_die  # type: ignore[method-assign,assignment]
        case "after mark":
            draining.settle = then_die(relay.settle)  # type: ignore[attr-defined]


def run(point: str, number: int) -> None:
    """One life, in a child process."""
    from notifications import relay
    from tasks_app.actors import Actor
    from tasks_app.models import User
    from tasks_app.models.access import default_scopes
    from tasks_app.services import NewTask, open_task

    arm(point)
    bot = Actor(
        user=User.objects.get(username="bot"),
        scopes=frozenset(default_scopes()),
        principals=frozenset(["acme_corp"]),
        address="127.0.0.1",
        correlation_id=f"failpoint {number}",
    )
    # With a dedup key, so that the insert and the commit are two moments on PostgreSQL too.
    open_task(NewTask("creative_approval", "acme_corp", operation=point, dedup_key=f"{point} {number}"), bot)
    relay.drain()


def main(database: str, runs: int, *points: str) -> None:
    settings.DATABASES["default"]["NAME"] = database
    settings.HITL_ALLOW_PRIVATE_HOSTS = ["127.0.0.1"]
    django.setup()
    for point in points or POINTS:
        for number in range(runs):
            child = os.fork()
            if not child:
                try:
                    run(point, number)
                finally:
                    os._exit(1)  # it came through, or failed otherwise
            _pid, status = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(status)
            if code != DIED:
                sys.exit(f"run {number} did not die {point} but ended with {code}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
