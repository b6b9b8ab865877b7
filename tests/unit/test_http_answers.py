"""What a hostile receiver, a hostile environment and a slow neighbour can do to the outbound client."""

import asyncio
import base64
import gzip
import socket
import threading
from pathlib import Path

import pytest

from core.http import MAX_RESPONSE_BODY, OutboundError, OutboundSession, Response, post_once
from tests.unit.receivers import LOCAL, OK, Handler, Server, replies, run, serve
from tests.unit.test_addresses import PUBLIC_V4, always

# Row 19: hostile answers


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for _ in range(100):
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000_000):
        writer.write(f"X-{number}: {number}\r\n".encode())
        await writer.drain()


async def _endless_line(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-A: ")
    while True:
        writer.write(b"a" * 10_000)
        await writer.drain()


def answer_of(handler: Handler, total_timeout: float = 30.0) -> Response:
    async def main() -> Response:
        session = OutboundSession(allow_hosts=LOCAL, total_timeout=total_timeout)
        async with serve(handler) as server, session:
            return await session.post(f"http://127.0.0.1:{server.port}/", b"{}")

    return run(main())


def test_it_reads_64_kb_of_a_gigabyte_and_takes_no_more() -> None:
    taken = 0

    async def gigabyte(writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1_000):
            writer.write(bytes(1_000_000))
            await writer.drain()
            taken += 1_000_000

    answer = answer_of(gigabyte)
    assert (len(answer.body), answer.truncated) == (MAX_RESPONSE_BODY, True)
    assert taken < 100_000_000, "more went out than the buffers of the two sockets hold"


def test_it_reads_64_kb_of_a_long_error() -> None:
    size = 10_000_000
    head = f"HTTP/1.1 500 Oops\r\nContent-Length: {size}\r\n\r\n".encode()
    answer = answer_of(replies(head, b"e" * size))
    assert (answer.status, len(answer.body), answer.truncated) == (500, MAX_RESPONSE_BODY, True)


@pytest.mark.parametrize("size", [0, 1, MAX_RESPONSE_BODY - 1, MAX_RESPONSE_BODY])
def test_it_reads_a_body_up_to_the_cap_whole(size: int) -> None:
    answer = answer_of(replies(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * size))
    assert (len(answer.body), answer.truncated) == (size, False)


def test_it_ends_a_drip_at_the_total_deadline() -> None:
    with pytest.raises(OutboundError, match=r"did not answer completely within 0\.5 s") as caught:
        answer_of(_drip, total_timeout=0.5)
    assert caught.value.kind == "timeout"


def test_it_leaves_a_gzip_bomb_packed() -> None:
    bomb = gzip.compress(bytes(20_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    assert answer_of(replies(head + bomb)).body == bomb


async def _endless_announcements(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500)
        await writer.drain()


def test_it_hangs_up_on_a_receiver_that_only_announces_an_answer() -> None:
    with pytest.raises(OutboundError) as caught:
        answer_of(_endless_announcements)
    assert caught.value.kind == "protocol"


def test_it_waits_for_the_answer_behind_a_few_announcements() -> None:
    hint, seen = b"HTTP/1.1 103 Early Hints\r\n\r\n", []

    async def main() -> None:
        session = OutboundSession(allow_hosts=LOCAL, limit_per_host=1)
        async with serve(replies(hint * 15, OK)) as server, session:
            for _ in range(4):
                seen.append((await session.post(f"http://127.0.0.1:{server.port}/", b"{}")).status)
            assert server.connections == 1

    run(main())
    assert seen == [200] * 4


@pytest.mark.parametrize("handler", [_endless_headers, _endless_line])
def test_it_refuses_endless_headers(handler: Handler) -> None:
    with pytest.raises(OutboundError) as caught:
        answer_of(handler)
    assert caught.value.kind == "too_large"


@pytest.mark.parametrize(
    ("bytes_sent", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "protocol"),
    ],
)
def test_it_refuses_an_answer_that_is_not_http(bytes_sent: bytes, kind: str) -> None:
    with pytest.raises(OutboundError) as caught:
        answer_of(replies(bytes_sent))
    assert caught.value.kind == kind


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"])
def test_it_tells_a_connection_that_ends_too_early(head: bytes) -> None:
    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        writer.close()

    with pytest.raises(OutboundError) as caught:
        answer_of(handler)
    assert caught.value.kind in {"connect", "protocol"}


def test_it_gives_text_that_a_database_takes() -> None:
    body = b"\x00\xff\xed\xa0\x80" + "ü".encode() * 2000
    head = b"HTTP/1.1 200 OK\r\nRetry-After: 5\xff\xfe\r\nSet-Cookie: a=b\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = answer_of(replies(head + body))
    assert set(answer.headers) == {"content-length", "retry-after"}
    for text in (*answer.headers.values(), answer.excerpt()):
        assert "\x00" not in text.encode("utf-8").decode()
    assert len(answer.excerpt()) == 1000


# Row 20: the environment


def test_it_ignores_proxies_and_netrc_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))

    async def main() -> tuple[Server, Server]:
        async with serve() as proxy, serve() as server:
            for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
                monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("NO_PROXY", raising=False)
            async with OutboundSession(allow_hosts=LOCAL) as session:
                await session.post(f"http://127.0.0.1:{server.port}/", b"{}")
            return proxy, server

    proxy, server = run(main())
    assert (proxy.connections, server.connections) == (0, 1)
    assert b"authorization" not in server.requests[0].lower()
    assert base64.b64encode(b"user:secret") not in server.requests[0]


def test_it_keeps_connections_and_cookies_of_two_names_apart() -> None:
    cookie = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n")

    async def main() -> Server:
        names = frozenset({"a.internal", "b.internal"})
        async with serve(replies(cookie)) as server:
            async with OutboundSession(allow_hosts=names, lookup=always(["127.0.0.1"])) as session:
                for name in ("a.internal", "b.internal") * 5:
                    await session.post(f"http://{name}:{server.port}/", b"{}")
            return server

    seen = run(main())
    assert (seen.connections, len(seen.requests)) == (2, 10)
    assert [b"Host: a.internal" in request for request in seen.requests] == [True, False] * 5
    assert not any(b"cookie" in request.lower() for request in seen.requests)


# The rest of the promise


def test_it_tells_a_failed_lookup_from_a_failed_connection() -> None:
    def no_such_host(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(OutboundError, match="could not be looked up: Name or service not known") as caught:
        post_once("https://nowhere.example/", b"{}", lookup=no_such_host)
    assert caught.value.kind == "dns"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(OutboundError, match="No connection to") as caught:
            post_once(f"http://127.0.0.1:{closed.getsockname()[1]}/", b"{}", allow_hosts=LOCAL)
    assert caught.value.kind == "connect"


def test_it_does_not_wait_for_a_hanging_name_server() -> None:
    release = threading.Event()

    def hanging(host: str, port: int) -> list[str]:
        release.wait(60)
        return [PUBLIC_V4]

    try:
        with pytest.raises(OutboundError) as caught:
            post_once("https://slow.example/", b"{}", total_timeout=0.2, lookup=hanging)
        assert caught.value.kind == "timeout"
        assert not release.is_set()
    finally:
        release.set()


def test_it_looks_others_up_while_many_name_servers_hang() -> None:
    release = threading.Event()

    def lookup(host: str, port: int) -> list[str]:
        if host.startswith("slow"):
            release.wait(60)
        return ["127.0.0.1"]

    async def main() -> int:
        allowed = frozenset({"good.internal"})
        async with serve() as server, OutboundSession(allow_hosts=allowed, total_timeout=3, lookup=lookup) as session:
            slow = [asyncio.create_task(session.post(f"https://slow{n}.example/", b"{}")) for n in range(40)]
            await asyncio.sleep(0.05)
            try:
                return (await session.post(f"http://good.internal:{server.port}/", b"{}")).status
            finally:
                release.set()
                await asyncio.gather(*slow, return_exceptions=True)

    assert run(main()) == 200


def test_it_leaves_places_for_others_while_one_receiver_hangs() -> None:
    async def hang(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(600)

    async def main() -> int:
        session = OutboundSession(allow_hosts=LOCAL, limit=2, limit_per_host=1, total_timeout=300)
        async with serve(hang) as stuck, serve() as healthy, session:
            queue = [asyncio.create_task(session.post(f"http://127.0.0.1:{stuck.port}/", b"{}")) for _ in range(5)]
            while not stuck.requests:
                await asyncio.sleep(0)
            sent = [await session.post(f"http://127.0.0.1:{healthy.port}/", b"{}") for _ in range(3)]
            for waiting in queue:
                waiting.cancel()
            await asyncio.gather(*queue, return_exceptions=True)
            return len(sent)

    assert run(main()) == 3


def test_it_reuses_connections_for_many_sends() -> None:
    async def main() -> Server:
        async with serve() as server, OutboundSession(allow_hosts=LOCAL, limit_per_host=8) as session:
            url = f"http://127.0.0.1:{server.port}/"
            await asyncio.gather(*(session.post(url, b"{}") for _ in range(200)))
            return server

    seen = run(main())
    assert (seen.connections, len(seen.requests)) == (8, 200)


def test_it_sends_once_from_synchronous_code() -> None:
    async def main() -> tuple[Response, Server]:
        async with serve() as server:
            url = f"http://127.0.0.1:{server.port}/hook"
            return await asyncio.to_thread(post_once, url, b"{}", {"X-A": "1"}, allow_hosts=LOCAL), server

    answer, seen = run(main())
    assert (answer.status, answer.body) == (200, b"ok")
    assert b"\r\nX-A: 1\r\n" in seen.requests[0]


def test_it_refuses_to_send_a_body_of_more_than_a_megabyte() -> None:
    with pytest.raises(OutboundError) as caught:
        post_once("http://127.0.0.1:8100/", bytes(1024 * 1024 + 1), allow_hosts=LOCAL)
    assert caught.value.kind == "too_large"


def test_it_uses_the_lookup_of_the_system_unless_told_otherwise() -> None:
    async def main() -> int:
        async with serve() as server, OutboundSession(allow_hosts=frozenset({"localhost"})) as session:
            return (await session.post(f"http://LOCALHOST:{server.port}/", b"{}")).status

    assert run(main()) == 200
