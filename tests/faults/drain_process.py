"""`python -m tests.faults.drain_process DATABASE LEASE_SECONDS [forever] [marks-first]`: a drain of a test database.

It is there to be killed. `forever` drains again and again, as a worker does; `marks-first` is the fault that tests
look for: it writes a delivery down as sent before it sends it.
"""

import sys
import time
from datetime import timedelta

import django
from django.conf import settings


def main(database: str, lease_seconds: float, *modes: str) -> None:
    settings.DATABASES["default"]["NAME"] = database
    settings.HITL_ALLOW_PRIVATE_HOSTS = ["127.0.0.1"]
    django.setup()
    from core import clock
    from notifications import relay
    from notifications.models import Delivery
    from notifications.relay import draining, leases

    leases.lease_time = lambda: timedelta(seconds=lease_seconds)
    if "marks-first" in modes:
        honest = leases.lease_due

        def marking(limit: int, room: leases.Room) -> list[leases.Leased]:
            batch = honest(limit, room)
            Delivery.objects.filter(pk__in=[one.delivery_id for one in batch]).update(
                status="sent", delivered_at=clock.now(), next_attempt_at=None, leased_until=None, lease=""
            )
            return batch

        draining.lease_due = marking  # type: ignore[attr-defined,assignment]
    relay.drain()
    while "forever" in modes:
        time.sleep(0.05)
        relay.drain()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:])
