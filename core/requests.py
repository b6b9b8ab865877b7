"""Who is calling: the client's address by trusted proxy and the correlation id of a request.

X-Forwarded-For is believed only as far as it was written by proxies named in `HITL_TRUSTED_PROXIES` (addresses or
networks): the list is read from the right, and the first address that is not a trusted proxy is the client. A forged
or malformed entry is never recorded.
"""

import ipaddress
import re
import uuid
from contextvars import ContextVar
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest

_correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")
_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=4)
def _networks(entries: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(entry, strict=False) for entry in entries)


@lru_cache(maxsize=1_024)
def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError:
        return None


def is_trusted_proxy(address: str) -> bool:
    """Whether a connection from `address` is one of HITL_TRUSTED_PROXIES."""
    peer = _address(address)
    return peer is not None and any(peer in network for network in _networks(tuple(settings.HITL_TRUSTED_PROXIES)))


def client_address(request: HttpRequest) -> str | None:
    """The address of the caller, or None where the connection has none (a Unix socket)."""
    trusted = _networks(tuple(settings.HITL_TRUSTED_PROXIES))
    peer = _address(request.META.get("REMOTE_ADDR", ""))
    if peer is None:
        return None
    hops = [_address(part) for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    while hops and any(peer in network for network in trusted):
        hop = hops.pop()
        if hop is None:
            break
        peer = hop
    return str(peer)


def correlation_id_for(request: HttpRequest) -> str:
    """The caller's `X-Correlation-ID` where harmless (up to 64 letters, digits, . _ : -), else a new one."""
    offered = request.headers.get("X-Correlation-ID", "")
    return offered if _SAFE_ID.fullmatch(offered) else uuid.uuid4().hex


def current_correlation_id() -> str:
    """The correlation id of the request or job at hand, or the empty string."""
    return _correlation_id.get()


def set_correlation_id(value: str) -> None:
    """Called by the middleware and by jobs at their start."""
    _correlation_id.set(value)
