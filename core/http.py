"""The one HTTP client for requests that leave the house.

Webhook receivers are chosen by other people and called from inside our network, so a request goes only to an address
that was checked: the name is resolved once, every answer is judged (`core.addresses`), and the socket is opened to one
of these answers, never to the name. TLS and the Host header keep the name. A kept-alive connection therefore stays with
the address it was checked for, and a new one means checked answers again. Redirects are answers like any other;
environment proxies, `.netrc` and cookies are ignored; no answer costs more than the deadline and 64 kB.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from time import perf_counter
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

from core import clock
from core.addresses import DEFAULT_PORTS, CheckedUrl, IPAddress, UnsafeUrl, check_answers, check_url, refusal
from core.errors import HitlError

Lookup: TypeAlias = Callable[[str, int], Sequence[str]]
"""Host and port in, the addresses of one resolution out; raises OSError. Blocking: it runs in a thread."""

OutboundKind = Literal[
    "unsafe_url", "unsafe_header", "dns", "connect", "tls", "timeout", "too_large", "protocol", "late", "internal"
]

MAX_REQUEST_BODY: Final = 1024 * 1024
MAX_RESPONSE_BODY: Final = 64 * 1024
MAX_HEADER_VALUE: Final = 4096
MOST_JUDGED: Final = 1000
MOST_ANNOUNCED: Final = 20
"""So many informational answers (1xx) may come before the answer itself."""
KEPT_HEADERS: Final = ("content-type", "content-length", "date", "location", "retry-after")

# The headers that frame the request or name its receiver are ours: a caller's Host would undo the check of the name.
_OWN_HEADERS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"}
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")


class OutboundError(HitlError):
    """The request could not be sent, or its answer not be read."""

    code = "outbound"

    def __init__(self, kind: OutboundKind, detail: str) -> None:
        super().__init__(detail)
        self.kind: OutboundKind = kind


@dataclass(frozen=True, slots=True)
class Response:
    """What came back, whatever its status; nothing of it is trusted."""

    status: int
    headers: Mapping[str, str]
    """The few of `KEPT_HEADERS` that were present, under lower-case names."""
    body: bytes
    """At most 64 kB, as sent: not decompressed."""
    truncated: bool
    duration: float
    """Seconds from the start of the connection or request to the last byte read."""

    def excerpt(self, limit: int = 1000) -> str:
        """The beginning of the body as text that a database takes: no NUL, no broken characters."""
        return self.body[: limit * 4].decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")[:limit]


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse header names and values that could add a line to the request; raises `OutboundError("unsafe_header")`."""
    for name, value in headers.items():
        if _HEADER_NAME.fullmatch(name) is None:
            raise OutboundError("unsafe_header", f"{name!a} is not a header name: use letters, digits and hyphens.")
        if name.lower() in _OWN_HEADERS or name.lower().startswith("proxy-"):
            raise OutboundError("unsafe_header", f"The header {name} is set by the connection; remove it.")
        if len(value) > MAX_HEADER_VALUE or _HEADER_VALUE.fullmatch(value) is None:
            raise OutboundError(
                "unsafe_header",
                f"The value of the header {name} must be one line of at most {MAX_HEADER_VALUE} printable ASCII "
                "characters, without spaces at its ends.",
            )


def system_lookup(host: str, port: int) -> Sequence[str]:
    """The addresses of a host in the system's order, of both families, whether or not this machine has both."""
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def check_destination(
    url: str,
    *,
    allow_hosts: frozenset[str] = frozenset(),
    ports: Container[int] = DEFAULT_PORTS,
    lookup: Lookup = system_lookup,
    timeout: float = 5.0,
) -> CheckedUrl:
    """Judge a URL when it is saved: what is written and what it resolves to now. Each connection judges it again.

    Raises `OutboundError` of kind `unsafe_url`, `dns` or `timeout`, with a detail for whoever typed it. `timeout`
    is in seconds and for the lookup; without it a hanging name server would hold the web request that saves the URL.
    """
    checked = _check_url(url, allow_hosts, ports)
    if checked.address is None:
        threads = ThreadPoolExecutor(1, "outbound-dns")
        try:
            answers = threads.submit(lookup, checked.host, checked.port).result(timeout)
        except TimeoutError:
            raise OutboundError("timeout", f"{checked.host} could not be looked up within {timeout:g} s.") from None
        except OSError as error:
            raise _dns_error(checked.host, error) from error
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
        _checked_answers(checked.host, answers, allow_hosts)
    return checked


class OutboundSession:
    """Sends many requests over few connections: `async with OutboundSession() as session: await session.post(...)`.

    A request waits for its place first (`limit` in all, `limit_per_host` for one host and port), and its deadline
    starts when it has one; so a receiver that hangs fills its own places only. `total_timeout` is in seconds and covers
    lookup, connection, TLS, sending, and reading to the last byte. Checked answers of a lookup serve new connections
    for `dns_ttl` seconds. `tls` replaces the system's certificate authorities.
    """

    def __init__(
        self,
        *,
        limit: int = 100,
        limit_per_host: int = 20,
        total_timeout: float = 15.0,
        allow_hosts: frozenset[str] = frozenset(),
        ports: Container[int] = DEFAULT_PORTS,
        lookup: Lookup = system_lookup,
        dns_ttl: int = 10,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limit = limit
        self._limit_per_host = limit_per_host
        self._total_timeout = total_timeout
        self._allow_hosts = allow_hosts
        self._ports = ports
        self._lookup = lookup
        self._dns_ttl = dns_ttl
        self._tls = tls
        self._client: aiohttp.ClientSession | None = None
        self._judged: dict[str, CheckedUrl] = {}

    async def __aenter__(self) -> Self:
        # Threads of our own: asyncio.run() waits for the default ones at its end, and a hanging name server with it.
        # More than there are places, so that names whose server hangs do not keep the others from being looked up.
        self._threads = ThreadPoolExecutor(2 * self._limit, "outbound-dns")
        self._places = asyncio.Semaphore(self._limit)
        self._host_places: dict[tuple[str, int], asyncio.Semaphore] = {}
        connector = aiohttp.TCPConnector(
            resolver=_CheckedResolver(self._lookup, self._threads, self._allow_hosts),
            socket_factory=_checked_socket,
            ssl=self._tls or True,
            limit=self._limit,
            limit_per_host=self._limit_per_host,
            ttl_dns_cache=self._dns_ttl,
            # Shorter than common servers keep idle connections, so that a POST seldom meets one that is being closed.
            keepalive_timeout=4.0,
        )
        # The library takes no other handler; its version is pinned, and a test sees whether this one is used.
        connector._factory = partial(_Handler, loop=asyncio.get_running_loop())  # type: ignore[assignment]
        self._client = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "hitl-queue", "Accept-Encoding": "identity"},
            max_line_size=8190,
            max_field_size=8190,
            max_headers=64,
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str] | None = None, *, begin_by: float | None = None
    ) -> Response:
        """Send `body` as it is and return the answer of whatever status, 3xx too; raises `OutboundError`.

        A request that gets its place after `begin_by` (of `clock.ticks()`) is not sent: `OutboundError("late")`.
        """
        if self._client is None:
            raise RuntimeError("OutboundSession is used inside 'async with' only.")
        checked = self._check(url)
        check_headers(headers or {})
        if len(body) > MAX_REQUEST_BODY:
            raise OutboundError("too_large", f"The body to send is larger than {MAX_REQUEST_BODY} bytes.")
        async with self._place(checked):
            if begin_by is not None and clock.ticks() > begin_by:
                raise OutboundError("late", "It waited too long for its place, and was not sent.")
            try:
                async with asyncio.timeout(self._total_timeout):
                    return await self._post(self._client, checked, body, headers or {})
            except HitlError:
                raise
            except (aiohttp.ClientError, OSError) as error:
                raise self._translated(checked, error) from error

    def _check(self, url: str) -> CheckedUrl:
        """What is written in a URL, judged once a session; where it leads is judged at each connection."""
        checked = self._judged.get(url)
        if checked is None:
            checked = _check_url(url, self._allow_hosts, self._ports)
            if len(self._judged) >= MOST_JUDGED:
                self._judged.clear()
            self._judged[url] = checked
        return checked

    @asynccontextmanager
    async def _place(self, checked: CheckedUrl) -> AsyncIterator[None]:
        """A place for one request: first of the host, then of all, so that nobody waits with a common one in hand."""
        own = self._host_places.setdefault((checked.host, checked.port), asyncio.Semaphore(self._limit_per_host))
        async with own, self._places:
            yield

    async def _post(
        self, client: aiohttp.ClientSession, checked: CheckedUrl, body: bytes, headers: Mapping[str, str]
    ) -> Response:
        started = perf_counter()
        url = URL(checked.url, encoded=True)
        if (url.raw_host, url.port) != (checked.host, checked.port):
            raise OutboundError("unsafe_url", "The URL can be read in two ways; write it more plainly.")
        _private_allowed.set(checked.private_allowed)
        async with client.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            content = bytearray()
            while len(content) <= MAX_RESPONSE_BODY and (chunk := await answer.content.readany()):
                content += chunk
            truncated = len(content) > MAX_RESPONSE_BODY
            if truncated:
                answer.close()
            return Response(
                status=answer.status,
                headers={name: _clean(answer.headers[name]) for name in KEPT_HEADERS if name in answer.headers},
                body=bytes(content[:MAX_RESPONSE_BODY]),
                truncated=truncated,
                duration=perf_counter() - started,
            )

    def _translated(self, checked: CheckedUrl, error: Exception) -> OutboundError:
        """The error of the library in our words: one kind each, and nothing of the answer in the text."""
        at = f"{checked.host}:{checked.port}"
        match error:
            case TimeoutError():
                return OutboundError("timeout", f"{at} did not answer completely within {self._total_timeout:g} s.")
            case aiohttp.ClientConnectorDNSError():
                return _dns_error(checked.host, error.os_error)
            case aiohttp.ClientConnectorCertificateError():
                return OutboundError("tls", f"The certificate of {at} was not accepted: {error.certificate_error}")
            case aiohttp.ClientSSLError() | ssl.SSLError():
                return OutboundError("tls", f"No TLS connection to {at} could be made.")
            case aiohttp.ClientConnectorError() if isinstance(error.os_error, _RefusedSocket):
                return OutboundError("unsafe_url", str(error.os_error))
            case aiohttp.ClientConnectorError():
                return OutboundError("connect", f"No connection to {at}: {error.os_error.strerror or 'refused'}.")
            case aiohttp.ClientResponseError() if error.message.startswith(("Got more than", "Too many headers")):
                return OutboundError("too_large", f"The answer of {at} has too many or too long headers.")
            case aiohttp.ServerDisconnectedError() | OSError():
                return OutboundError("connect", f"{at} closed the connection before its answer was complete.")
            case _:
                return OutboundError("protocol", f"The answer of {at} is incomplete or not valid HTTP.")


def post_once(
    url: str,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    total_timeout: float = 15.0,
    allow_hosts: frozenset[str] = frozenset(),
    lookup: Lookup = system_lookup,
) -> Response:
    """Send one request from synchronous code; many belong into one `OutboundSession`. Raises `OutboundError`."""

    async def send() -> Response:
        async with OutboundSession(total_timeout=total_timeout, allow_hosts=allow_hosts, lookup=lookup) as session:
            return await session.post(url, body, headers)

    return asyncio.run(send())


class _Handler(ResponseHandler):
    """Hangs up on a receiver that announces and announces (1xx) and does not answer.

    The library passes over such messages without a pause: a receiver that sends nothing else kept the event loop, and
    all other receivers with it, waiting for longer than any deadline.
    """

    _announced = 0

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        self._announced = self._announced + 1 if 100 <= data[0].code < 200 else 0
        if self._announced <= MOST_ANNOUNCED:
            super().feed_data(data, size)
        elif self.transport is not None and not self.transport.is_closing():
            self.transport.close()
            self.set_exception(HttpProcessingError(code=400, message="Too many informational answers"))


class _CheckedResolver(AbstractResolver):
    """Gives the connector nothing but checked addresses, marked as numeric so that nobody resolves them again."""

    def __init__(self, lookup: Lookup, threads: ThreadPoolExecutor, allow_hosts: frozenset[str]) -> None:
        self._lookup = lookup
        self._threads = threads
        self._allow_hosts = allow_hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answers = await asyncio.get_running_loop().run_in_executor(self._threads, self._lookup, host, port)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in _checked_answers(host, answers, self._allow_hosts)
        ]

    async def close(self) -> None:
        """Nothing to close: the threads belong to the session."""


class _RefusedSocket(OSError):
    """The address may not be connected to, though earlier checks passed it."""

    # No address in the text: where several are raced, only errors that read the same keep their type.
    def __str__(self) -> str:
        return "The request was stopped at its socket: the address is not a public one."


_private_allowed: ContextVar[bool] = ContextVar("private_allowed", default=False)


def _checked_socket(info: aiohttp.AddrInfoType) -> socket.socket:
    """The last gate, at the peer of every socket: an address in the URL itself never meets the resolver."""
    family, kind, protocol, _, peer = info
    if refusal(ip_address(peer[0]), private_allowed=_private_allowed.get()) is not None:
        raise _RefusedSocket
    return socket.socket(family, kind, protocol)


def _check_url(url: str, allow_hosts: frozenset[str], ports: Container[int]) -> CheckedUrl:
    try:
        return check_url(url, allow_hosts=allow_hosts, ports=ports)
    except UnsafeUrl as error:
        raise OutboundError("unsafe_url", error.detail) from error


def _checked_answers(host: str, answers: Sequence[str], allow_hosts: frozenset[str]) -> tuple[IPAddress, ...]:
    if not answers:
        raise OutboundError("dns", f"{host} has no address.")
    try:
        return check_answers(host, answers, private_allowed=host in allow_hosts)
    except UnsafeUrl as error:
        raise OutboundError("unsafe_url", error.detail) from error


def _dns_error(host: str, error: OSError) -> OutboundError:
    return OutboundError("dns", f"{host} could not be looked up: {error.strerror or 'no answer'}.")


def _clean(value: str) -> str:
    """A header of the answer as plain text: the parser smuggles bytes that are not UTF-8 as lone surrogates."""
    return value.encode("utf-8", "replace").decode("utf-8")[:500]
