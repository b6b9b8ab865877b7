"""Which URLs and addresses this service may send requests to. Pure: no lookup, no socket.

A webhook URL is typed by somebody else and called from inside our network, so it must not reach what only we can
reach. The table below is explicit because Python's own answer is not enough: `ipaddress.is_global` calls multicast,
NAT64 and 6to4 addresses global, and the last two carry an IPv4 address inside. Sources: the IANA special-purpose
registries for IPv4 and IPv6, and the metadata addresses that the cloud vendors document.

`check_url` judges what is written, `check_answers` what a name resolved to. Both are used twice: when a URL is saved,
and at each connection (see `core.http`), since a name may point elsewhere by then.
"""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal, NamedTuple, TypeAlias

from core.errors import HitlError

IPAddress: TypeAlias = IPv4Address | IPv6Address
UnsafeReason = Literal["characters", "scheme", "userinfo", "host", "port", "address", "metadata"]

MAX_URL_LENGTH: Final = 2048
DEFAULT_PORTS: Final[frozenset[int]] = frozenset({80, 443, *range(8000, 10_000)})


class UnsafeUrl(HitlError):
    """Requests are not sent to this URL."""

    # Every raise gives a detail that tells the person who typed the URL what would be right.
    code = "unsafe_url"

    def __init__(self, reason: UnsafeReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: UnsafeReason = reason


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """A URL that passed `check_url`, taken apart once, so that no second parser can read it differently."""

    scheme: str
    host: str
    """Lower case; an IP literal in its canonical spelling, without brackets."""
    port: int
    target: str
    """Path and query as they go on the request line."""
    address: IPAddress | None
    """The address, where the host is one; None for a name."""
    private_allowed: bool
    """The operator named this host, so it may be, or resolve to, a private address."""

    @property
    def url(self) -> str:
        """The URL put together again from the checked parts."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return f"{self.scheme}://{host}:{self.port}{self.target}"


class Denied(NamedTuple):
    """One row of the deny table; the first that matches decides."""

    network: IPv4Network | IPv6Network
    what: str
    metadata: bool = False
    operator_may_allow: bool = False


def _rows(what: str, *networks: str, metadata: bool = False, operator_may_allow: bool = False) -> tuple[Denied, ...]:
    return tuple(Denied(ip_network(network), what, metadata, operator_may_allow) for network in networks)


DENIED: tuple[Denied, ...] = (
    # Credentials of the machine itself are served here: never, not even to a host the operator named.
    *_rows("a cloud metadata address", "169.254.169.254/32", "169.254.170.0/24", "100.100.100.200/32", metadata=True),
    *_rows("a cloud metadata address", "192.0.0.192/32", "168.63.129.16/32", metadata=True),
    *_rows("a cloud metadata address", "fd00:ec2::/32", "fd20:ce::/32", metadata=True),
    *_rows("a loopback address", "127.0.0.0/8", "::1/128", operator_may_allow=True),
    *_rows("a private address", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", operator_may_allow=True),
    *_rows("a shared (carrier-grade NAT) address", "100.64.0.0/10", operator_may_allow=True),
    *_rows("an address of 'this network'", "0.0.0.0/8"),
    *_rows("a link-local address", "169.254.0.0/16", "fe80::/10"),
    *_rows("a multicast address", "224.0.0.0/4", "ff00::/8"),
    *_rows("a reserved address", "192.0.0.0/24", "240.0.0.0/4"),
    *_rows("an address of a shared infrastructure service", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"),
    *_rows("a documentation address", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    *_rows("a documentation address", "2001:db8::/32", "3fff::/20"),
    *_rows("a benchmarking address", "198.18.0.0/15"),
    # IPv6 forms that carry an IPv4 address, which a gateway on the way may unpack (refusal() unpacks mapped ones).
    *_rows("an IPv4-compatible or unspecified address", "::/96"),
    *_rows("an IPv4-translated address", "::ffff:0:0:0/96"),
    *_rows("a NAT64 address", "64:ff9b::/96", "64:ff9b:1::/48"),
    *_rows("a 6to4 address", "192.88.99.0/24", "2002::/16"),
    *_rows("a Teredo or protocol-assignment address", "2001::/23"),
    *_rows("a discard-only address", "100::/64", "100:0:0:1::/64"),
    *_rows("a segment-routing address", "5f00::/16"),
    *_rows("a site-local address", "fec0::/10"),
)

METADATA_NAMES: Final = frozenset(
    {"metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal"}
)

_ASK_OPERATOR: Final = "or ask the operator to name the host in HITL_ALLOW_PRIVATE_HOSTS."
_PRINTABLE = re.compile(r"[!-~]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]*))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def allow_hosts_from(names: Iterable[str]) -> frozenset[str]:
    """The hosts an operator named (HITL_ALLOW_PRIVATE_HOSTS) in the spelling that `check_url` compares with."""
    return frozenset(_canonical(name.strip().strip("[]").lower()) for name in names if name.strip())


def refusal(address: IPAddress, *, private_allowed: bool = False) -> UnsafeUrl | None:
    """Why we do not connect to an address, or None if we may. An IPv4-mapped address is judged as the IPv4 one."""
    inner: IPAddress = address
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return UnsafeUrl("address", f"{address} has a zone; only addresses of the public internet are allowed.")
        inner = address.ipv4_mapped or address
    for row in DENIED:
        if inner in row.network:
            if row.operator_may_allow and private_allowed:
                return None
            return UnsafeUrl("metadata" if row.metadata else "address", f"{address} is {row.what}; {_remedy(row)}")
    return None


def check_answers(host: str, answers: Iterable[str], *, private_allowed: bool = False) -> tuple[IPAddress, ...]:
    """All addresses a name resolved to, in their order, or `UnsafeUrl` if even one of them is refused.

    One bad answer rejects the name: with several, the attacker needs only luck, or a port that the good one refuses.
    """
    addresses: dict[IPAddress, None] = {}
    for answer in answers:
        address = ip_address(answer)
        refused = refusal(address, private_allowed=private_allowed)
        if refused is not None:
            raise UnsafeUrl(refused.reason, f"{host} resolves to {refused.detail}")
        addresses[address] = None
    return tuple(addresses)


def check_url(
    url: str, *, allow_hosts: frozenset[str] = frozenset(), ports: Container[int] = DEFAULT_PORTS
) -> CheckedUrl:
    """Judge a URL by what is written: take it apart strictly, or raise `UnsafeUrl`.

    Anything two parsers could read differently (user info, backslash, control characters, other than ASCII, short,
    octal or hexadecimal IPv4 spellings) is refused, not repaired. A host in `allow_hosts` may use plain http, any port
    and a private address; a metadata address never passes. A name still has to pass `check_answers`.
    """
    _check_characters(url)
    split = _SCHEME.fullmatch(url)
    scheme = split[1].lower() if split else ""
    if split is None or scheme not in {"http", "https"}:
        raise UnsafeUrl("scheme", "The URL must start with https://.")
    rest = split[2]
    if not rest.startswith("//"):
        raise UnsafeUrl("host", f"Write two slashes and the host after the scheme: {scheme}://host/path.")
    authority = re.split(r"[/?]", rest[2:], maxsplit=1)[0]
    target = rest[2 + len(authority) :]
    if "@" in authority:
        raise UnsafeUrl("userinfo", "Remove the user name or password before the host; requests are signed instead.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise UnsafeUrl("host", "The host must be a full name such as hooks.example.com, or an IP address.")
    host, address = _host(parts[1])
    private_allowed = host in allow_hosts
    if host in METADATA_NAMES:
        raise UnsafeUrl("metadata", f"{host} serves cloud metadata; it is never a receiver.")
    if address is None and "." not in host and not private_allowed:
        raise UnsafeUrl("host", f"{host} is a local name. Use its full public name, {_ASK_OPERATOR}")
    if address is not None and (refused := refusal(address, private_allowed=private_allowed)) is not None:
        raise refused
    if scheme == "http" and not private_allowed:
        raise UnsafeUrl("scheme", "Use https://; plain http is only for hosts named in HITL_ALLOW_PRIVATE_HOSTS.")
    return CheckedUrl(
        scheme=scheme,
        host=host,
        port=_port(scheme, parts[2], ports=None if private_allowed else ports),
        target=target if target.startswith("/") else f"/{target}",
        address=address,
        private_allowed=private_allowed,
    )


def _remedy(row: Denied) -> str:
    if row.operator_may_allow:
        return f"use a public address, {_ASK_OPERATOR}"
    return "requests are never sent there."


def _check_characters(url: str) -> None:
    if len(url) > MAX_URL_LENGTH:
        raise UnsafeUrl("characters", f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if not url:
        raise UnsafeUrl("characters", "The URL is empty.")
    if not url.isascii():
        raise UnsafeUrl("characters", "Write the URL in ASCII: the host in its xn-- form, the path percent-encoded.")
    if _PRINTABLE.fullmatch(url) is None:
        raise UnsafeUrl("characters", "Remove spaces, line breaks and control characters from the URL.")
    if "\\" in url or "#" in url:
        raise UnsafeUrl("characters", "Remove backslashes and everything from '#' on; a receiver's URL has neither.")


def _host(written: str) -> tuple[str, IPAddress | None]:
    """The host in the one spelling we use, and its address if it is a literal."""
    if written.startswith("["):
        try:
            v6 = IPv6Address(written[1:-1])
        except ValueError:
            raise UnsafeUrl("host", f"{written} is not an IPv6 address.") from None
        return str(v6), v6
    host = written.lower()
    if host.endswith("."):
        raise UnsafeUrl("host", "Remove the dot at the end of the host.")
    labels = host.split(".")
    # Like browsers and C libraries: a last label that is a number makes the whole host an IPv4 address (127.1, 0x7f.1).
    if _NUMBER.fullmatch(labels[-1]):
        try:
            v4 = IPv4Address(host)
        except ValueError:
            message = f"{host[:80]} is not an IPv4 address of four decimal numbers without leading zeros."
            raise UnsafeUrl("host", message) from None
        return host, v4
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UnsafeUrl("host", f"{host[:80]} is not a valid host name.")
    return host, None


def _port(scheme: str, written: str | None, *, ports: Container[int] | None) -> int:
    """The port as a number; `ports` None means that any will do."""
    if written is None:
        return 443 if scheme == "https" else 80
    port = int(written) if 1 <= len(written) <= 5 else 0
    if not 1 <= port <= 65_535:
        raise UnsafeUrl("port", "The port must be a number from 1 to 65535.")
    if ports is not None and port not in ports:
        raise UnsafeUrl("port", f"Port {port} is not open for requests. Use 443, {_ASK_OPERATOR}")
    return port


def _canonical(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return host
