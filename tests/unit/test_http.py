"""Where the outbound client connects: the table of hostile URLs again at send, redirects, rebound names, headers, TLS.

`dialled` sits below the client, at the loop's `sock_connect`: it notes every address a socket is opened to and leads
public ones to the servers of the test, so that no packet leaves the machine and nothing of the client is replaced.
"""

import asyncio
import datetime
import ipaddress
import itertools
import socket
import ssl
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core import addresses
from core.http import OutboundError, OutboundSession, Response, check_headers
from tests.unit.receivers import LOCAL, OK, Server, replies, run, serve
from tests.unit.test_addresses import ALL_ADDRESSES, HOSTILE, PASSING_HOSTS, PUBLIC_V4, PUBLIC_V6, Hostile, always


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The addresses sockets were opened to; a public one leads to the loopback of its family."""
    opened: list[tuple[str, int]] = []
    real = BaseSelectorEventLoop.sock_connect

    async def sock_connect(loop: BaseSelectorEventLoop, sock: socket.socket, address: Any) -> None:
        opened.append((address[0], address[1]))
        host = address[0]
        if not ipaddress.ip_address(host).is_loopback:
            host = "::1" if sock.family == socket.AF_INET6 else "127.0.0.1"
        await real(loop, sock, (host, *address[1:]))

    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", sock_connect)
    return opened


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Callable[[], ssl.SSLContext]]:
    """A client context that trusts one test authority, and server contexts for the receivers that must pass."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test receivers")])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName("hooks.example.com")]
    names += [x509.IPAddress(ipaddress.ip_address(host)) for host in PASSING_HOSTS if host != "hooks.example.com"]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain = tmp_path_factory.mktemp("tls") / "receiver.pem"
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    chain.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + pem
    )

    def server_side() -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain)
        return context

    return ssl.create_default_context(cadata=pem.decode()), server_side


Authority = tuple[ssl.SSLContext, Callable[[], ssl.SSLContext]]
Dialled = list[tuple[str, int]]


def post(url: str, **options: Any) -> Response:
    async def send() -> Response:
        async with OutboundSession(**options) as session:
            return await session.post(url, b"{}")

    return run(send())


async def refused(session: OutboundSession, url: str, kind: str = "unsafe_url") -> None:
    with pytest.raises(OutboundError) as caught:
        await session.post(url, b"{}")
    assert caught.value.kind == kind, caught.value.detail


# Rows 1 to 15: the addresses


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: f"{case.row}-{case.url[:60]!a}")
def test_it_connects_nowhere_for_a_hostile_url(case: Hostile, dialled: Dialled) -> None:
    async def main() -> int:
        async with serve() as canary, OutboundSession(lookup=always([PUBLIC_V4])) as session:
            await refused(session, case.url.format(port=canary.port))
            return canary.connections

    assert (run(main()), dialled) == (0, [])


@pytest.mark.parametrize("address", ALL_ADDRESSES)
def test_it_connects_nowhere_if_one_answer_for_a_name_is_hostile(address: str, dialled: Dialled) -> None:
    async def main() -> int:
        async with serve() as canary:
            for answers in ([address], [PUBLIC_V4, address], [address, PUBLIC_V6, PUBLIC_V4]):
                async with OutboundSession(lookup=always(answers)) as session:
                    await refused(session, f"https://hooks.example.com:{canary.port}/")
            return canary.connections

    assert (run(main()), dialled) == (0, [])


@pytest.mark.parametrize("host", PASSING_HOSTS)
def test_it_sends_to_a_public_receiver_at_its_checked_address(
    host: str, dialled: Dialled, authority: Authority
) -> None:
    trusted, server_side = authority

    async def main() -> Server:
        async with serve(tls=server_side()) as server:
            async with OutboundSession(tls=trusted, lookup=always([PUBLIC_V4])) as session:
                written = f"[{host}]" if ":" in host else host
                answer = await session.post(f"https://{written}:{server.port}/hook?x=1", b'{"a":"\xc3\xa4"}')
                assert (answer.status, answer.body) == (200, b"ok")
            return server

    seen = run(main())
    named = host == "hooks.example.com"
    opened = PUBLIC_V4 if named else str(ipaddress.ip_address(host))
    assert dialled == [(opened, seen.port)]
    assert seen.server_names == ["hooks.example.com" if named else None]
    (request,) = seen.requests
    assert request.startswith(b"POST /hook?x=1 HTTP/1.1\r\n")
    assert request.endswith(b'\r\n\r\n{"a":"\xc3\xa4"}')
    assert f"Host: {'[' if ':' in host else ''}{host if named else opened}" in request.decode()


def test_it_sends_to_a_private_host_the_operator_named() -> None:
    async def main() -> list[int]:
        async with serve() as server:
            allowed = frozenset({"127.0.0.1", "::1", "receiver.internal"})
            async with OutboundSession(allow_hosts=allowed, lookup=always(["::1", "127.0.0.1"])) as session:
                hosts = ["127.0.0.1", "[::1]", "receiver.internal"]
                return [(await session.post(f"http://{host}:{server.port}/", b"")).status for host in hosts]

    assert run(main()) == [200, 200, 200]


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:{port}/", "https://[::1]:{port}/", "https://hooks.example.com:{port}/"]
)
def test_it_would_reach_the_canary_without_the_table(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the canaries above are reachable, so their silence means something."""
    monkeypatch.setattr(addresses, "DENIED", ())

    async def main() -> int:
        async with serve() as canary, OutboundSession(lookup=always(["127.0.0.1"])) as session:
            with pytest.raises(OutboundError) as caught:
                await session.post(url.format(port=canary.port), b"{}")
            assert caught.value.kind in {"tls", "connect"}
            return canary.connections

    assert run(main()) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "hooks.example.com"])
def test_it_checks_the_peer_of_each_socket_even_if_both_earlier_checks_are_gone(
    host: str, monkeypatch: pytest.MonkeyPatch, dialled: Dialled
) -> None:
    """The gate at the socket stands alone: here neither the URL nor the answers are judged."""
    monkeypatch.setattr("core.addresses.refusal", lambda address, *, private_allowed=False: None)
    with pytest.raises(OutboundError, match="stopped at its socket") as caught:
        post(f"https://{host}:8443/", lookup=always(["127.0.0.1", "::1"]))
    assert (caught.value.kind, dialled) == ("unsafe_url", [])


# Row 16: redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/", "https://hooks.example.com:{port}/"])
def test_it_hands_back_a_redirect_and_never_follows_it(status: int, target: str, dialled: Dialled) -> None:
    async def main() -> tuple[Response, int]:
        async with serve() as canary:
            location = target.format(port=canary.port)
            head = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            async with serve(replies(head.encode())) as server, OutboundSession(allow_hosts=LOCAL) as session:
                answer = await session.post(f"http://127.0.0.1:{server.port}/", b"{}")
                assert answer.headers["location"] == location
                assert dialled == [("127.0.0.1", server.port)]
                return answer, canary.connections

    answer, visits = run(main())
    assert (answer.status, visits) == (status, 0)


# Row 17: names that change


def test_it_stays_with_the_checked_address_when_the_name_is_rebound(dialled: Dialled, authority: Authority) -> None:
    trusted, server_side = authority
    answers = itertools.chain([[PUBLIC_V4]], itertools.repeat(["127.0.0.1"]))

    async def main() -> Server:
        async with serve(tls=server_side()) as server:
            url = f"https://hooks.example.com:{server.port}/"
            async with OutboundSession(tls=trusted, lookup=lambda h, p: next(answers), dns_ttl=0) as session:
                for _ in range(5):
                    assert (await session.post(url, b"{}")).status == 200
            assert (server.connections, dialled) == (1, [(PUBLIC_V4, server.port)])
            async with OutboundSession(tls=trusted, lookup=lambda h, p: next(answers), dns_ttl=0) as session:
                await refused(session, url)
            return server

    seen = run(main())
    assert (seen.connections, len(seen.requests), len(dialled)) == (1, 5, 1)


def test_it_checks_again_when_a_connection_ended_and_the_name_was_rebound(
    dialled: Dialled, authority: Authority
) -> None:
    trusted, server_side = authority
    answers = itertools.chain([[PUBLIC_V4]], itertools.repeat([PUBLIC_V4, "127.0.0.1"]))
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    async def main() -> int:
        async with serve(replies(closing), tls=server_side()) as server:
            url = f"https://hooks.example.com:{server.port}/"
            async with OutboundSession(tls=trusted, lookup=lambda h, p: next(answers), dns_ttl=0) as session:
                assert (await session.post(url, b"{}")).status == 200
                await refused(session, url)
            return server.connections

    assert (run(main()), len(dialled)) == (1, 1)


def test_it_resolves_a_name_once_for_many_connections() -> None:
    lookups: list[str] = []

    def lookup(host: str, port: int) -> list[str]:
        lookups.append(host)
        return ["127.0.0.1"]

    async def main() -> int:
        allowed = frozenset({"receiver.internal"})
        async with serve() as server, OutboundSession(allow_hosts=allowed, lookup=lookup) as session:
            url = f"http://receiver.internal:{server.port}/"
            await asyncio.gather(*(session.post(url, b"{}") for _ in range(50)))
            return server.connections

    assert 1 < run(main()) <= 20
    assert lookups == ["receiver.internal"]


@pytest.mark.parametrize("host", ["intranet", "hooks.partner"])
def test_it_refuses_a_name_that_the_search_domain_leads_inside(host: str, dialled: Dialled) -> None:
    with pytest.raises(OutboundError) as caught:
        post(f"https://{host}/", lookup=always(["10.0.0.5"]))
    assert (caught.value.kind, dialled) == ("unsafe_url", [])


# Row 18: headers


@pytest.mark.parametrize(
    "value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\x00b", "a\u0142", "\x7f", "é", " a", "a ", "a" * 4097]
)
@pytest.mark.parametrize("name", ["X-Custom", "webhook-id"])
def test_it_refuses_a_header_value_that_could_break_out_of_its_line(name: str, value: str, dialled: Dialled) -> None:
    async def main() -> None:
        async with OutboundSession(allow_hosts=LOCAL) as session:
            await session.post("http://127.0.0.1:8100/", b"{}", {name: value})

    with pytest.raises(OutboundError, match=name) as caught:
        run(main())
    assert (caught.value.kind, dialled) == ("unsafe_header", [])


@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "a\r\nb", "é", "Host", "HOST", "content-length", "Transfer-Encoding"]
)
def test_it_refuses_a_header_name_that_is_broken_or_ours(name: str) -> None:
    with pytest.raises(OutboundError) as caught:
        check_headers({name: "127.0.0.1"})
    assert caught.value.kind == "unsafe_header"


def test_it_passes_the_headers_of_a_signed_webhook() -> None:
    check_headers(
        {"webhook-signature": "v1,abc= v1,def=", "Content-Type": "application/json; charset=utf-8", "X-A": ""}
    )


# TLS


def test_it_accepts_only_a_certificate_for_the_name(dialled: Dialled, authority: Authority) -> None:
    trusted, server_side = authority

    async def main() -> int:
        async with serve(tls=server_side()) as server:
            async with OutboundSession(tls=trusted, lookup=always([PUBLIC_V4])) as session:
                await refused(session, f"https://other.example.com:{server.port}/", "tls")
            async with OutboundSession(lookup=always([PUBLIC_V4])) as session:
                await refused(session, f"https://hooks.example.com:{server.port}/", "tls")
            return len(server.requests)

    assert run(main()) == 0
