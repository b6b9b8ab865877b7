"""`python -m tests.faults.drain_process DATABASE LEASE_SECONDS`: one drain of a test database, to be killed."""

import sys
from datetime import timedelta

import django
from django.conf import settings


def main(database: str, lease_seconds: float) -> None:
    settings.DATABASES["default"]["NAME"] = database
    settings.HITL_ALLOW_PRIVATE_HOSTS = ["127.0.0.1"]
    django.setup()
    from notifications import relay
    from notifications.relay import leases

    leases.lease_time = lambda: timedelta(seconds=lease_seconds)
    relay.drain()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
