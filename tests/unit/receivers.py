"""Local receivers for the tests of the outbound client: real servers that count what reaches them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TLS_RECORD = b"\x16"
LOCAL = frozenset({"127.0.0.1"})
T = TypeVar("T")
Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


def replies(*parts: bytes) -> Handler:
    async def handler(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return handler


@dataclass
class Server:
    """What a local server saw."""

    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)


@asynccontextmanager
async def serve(handler: Handler | None = None, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """An HTTP/1.1 server with keep-alive on both loopbacks, at a port the client may use. Hangs up on stray TLS."""
    seen = Server(0)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                while True:
                    head = await reader.readexactly(1)
                    if head == TLS_RECORD:
                        break
                    head += await reader.readuntil(b"\r\n\r\n")
                    length = next(
                        int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
                    )
                    seen.requests.append(head + await reader.readexactly(length))
                    await (handler or replies(OK))(writer)
            finally:
                writer.close()

    if tls is not None:
        tls.sni_callback = lambda sock, name, context: seen.server_names.append(name)
    for port in range(8100, 9999):
        try:
            server = await asyncio.start_server(connected, ["127.0.0.1", "::1"], port, ssl=tls)
            break
        except OSError:
            continue
    async with server:
        seen.port = port
        yield seen


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main)
