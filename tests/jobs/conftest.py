from tests.jobs.relay_fixtures import endpoint_at, loopback_allowed, receiver

__all__ = ["endpoint_at", "loopback_allowed", "receiver"]
