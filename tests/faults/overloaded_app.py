"""A slow application behind the project's load shedding, for tests/faults/test_overload.py."""

import os
import time
from collections.abc import Iterable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from django.conf import settings

from hitl.overload import shedding, waited

settings.HITL_MAX_WAIT_SECONDS = float(os.environ["MAX_WAIT"])
settings.HITL_TRUSTED_PROXIES = []


def slow(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Take 20 ms, or read nothing and write a lot; answer with the seconds that the request had waited."""
    body = f"{waited(environ):.3f}".encode()
    if environ["PATH_INFO"] == "/large":
        body = b"x" * 20_000_000
    elif environ["PATH_INFO"] != "/livez":
        time.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


application = shedding(slow)
