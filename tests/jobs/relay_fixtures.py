"""Endpoints on loopback, which the settings allow here."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from core import clock
from notifications import signing
from notifications.models import Endpoint
from tests.jobs.receiver import Receiver, receiving

EndpointFactory = Callable[..., Endpoint]


@pytest.fixture(autouse=True)
def loopback_allowed(settings: Settings) -> None:
    settings.HITL_ALLOW_PRIVATE_HOSTS = ["127.0.0.1"]
    settings.HITL_WEBHOOK_URL = settings.HITL_WEBHOOK_SECRET = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def endpoint_at() -> EndpointFactory:
    """Make an endpoint for a URL; keyword arguments are its fields. Its secret is in `endpoint.plain_secret`."""

    def make(url: str, **fields: Any) -> Endpoint:
        secret = signing.new_secret()
        endpoint = Endpoint(url=url, created_at=clock.now(), **fields)
        endpoint.add_secret(secret, now=clock.now())
        endpoint.save()
        endpoint.plain_secret = secret  # type: ignore[attr-defined]
        return endpoint

    return make
