"""Which URLs are refused when they are saved: the table of hostile spellings, and the few that must pass.

`test_http.py` sends to every row of the same table.
"""

import string
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from core import addresses
from core.addresses import DENIED, UnsafeUrl, allow_hosts_from, check_answers, check_url, refusal
from core.http import Lookup, OutboundError, check_destination

PORT = 8443
ZERO = "0.0.0.0"  # noqa: S104 - an address to refuse, not one to listen on
PUBLIC_V4, PUBLIC_V6 = "8.8.8.8", "2001:4860:4860::8888"


class Hostile(NamedTuple):
    """A URL that must be refused, and for which reason; `{port}` is where a canary listens."""

    row: int
    url: str
    reason: str


def hosts(row: int, reason: str, *names: str) -> list[Hostile]:
    return [Hostile(row, f"https://{f'[{name}]' if ':' in name else name}:{{port}}/hook", reason) for name in names]


ADDRESSES: dict[int, list[str]] = {
    1: ["127.0.0.1", "127.0.0.2", "::1"],
    3: [ZERO, "0.1.2.3", "::", "::ffff:0:0"],
    4: ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
    6: ["100.64.0.1", "100.127.255.254"],
    7: [
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "240.0.0.1",
        "255.255.255.255",
    ],
    8: ["224.0.0.1", "239.255.255.250", "ff02::1"],
    9: ["::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:100.64.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1"],
    10: [
        *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1", "2002:7f00:1::1", "2002:808:808::1"),
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
    11: ["fe80::1", "febf::1", "fec0::1", "fc00::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1"],
}
METADATA: dict[int, list[str]] = {
    5: ["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
    9: ["::ffff:169.254.169.254", "::ffff:a9fe:a9fe"],
}
HOSTILE: list[Hostile] = [
    *(case for row, names in ADDRESSES.items() for case in hosts(row, "address", *names)),
    *(case for row, names in METADATA.items() for case in hosts(row, "metadata", *names)),
    *hosts(1, "host", "localhost", "LOCALHOST"),
    *hosts(2, "host", "127.1", "127.0.1", "0177.0.0.1", "0177.1", "017700000001", "0x7f.1", "0x7f000001"),
    *hosts(2, "host", "2130706433", "127.000.000.001"),
    *hosts(3, "host", "0"),
    *hosts(5, "host", "0xA9FEA9FE", "2852039166"),
    *hosts(5, "metadata", "metadata.google.internal"),
    *hosts(7, "host", "0377.0377.0377.0377", "4294967295"),
    *hosts(11, "host", "fe80::1%eth0"),
    *hosts(12, "characters", "①②⑦.⓪.⓪.①", "127。0。0。1"),
    Hostile(13, "https://127.0.0.1:{port}\\@example.com/", "characters"),
    Hostile(13, "https://127.0.0.1:{port}:80\\@example.com/", "characters"),
    Hostile(13, "https://ok@127.0.0.1:{port}/", "userinfo"),
    Hostile(13, "https://ok:80@127.0.0.1:{port}/", "userinfo"),
    Hostile(13, "https://example.com%2f@127.0.0.1:{port}/", "userinfo"),
    Hostile(13, "https://127.0.0.1:{port}#@example.com/", "characters"),
    Hostile(13, "https://127.0.0.1\t:{port}/", "characters"),
    Hostile(13, "https://127.0.0.1:{port}\r\nHost: example.com/", "characters"),
    Hostile(13, "https:/127.0.0.1:{port}/x", "host"),
    Hostile(13, "https:///127.0.0.1:{port}/x", "host"),
    Hostile(13, "https://:{port}", "host"),
    *hosts(13, "host", "1.1.1.1.1", "127.0.0.1."),
    Hostile(14, "file:///etc/passwd", "scheme"),
    Hostile(14, "gopher://127.0.0.1:{port}/_x", "scheme"),
    Hostile(14, "ftp://127.0.0.1:{port}/x", "scheme"),
    Hostile(14, "javascript:alert(1)", "scheme"),
    Hostile(14, "data:text/plain,x", "scheme"),
    Hostile(14, "unix:///run/docker.sock", "scheme"),
    Hostile(14, "//127.0.0.1:{port}/x", "scheme"),
    *(Hostile(15, f"https://example.com:{port}/", "port") for port in (0, 22, 25, 6379, 65_536, 10**26)),
]
PASSING_HOSTS = [PUBLIC_V4, "1.1.1.1", "::ffff:8.8.8.8", PUBLIC_V6, "2606:4700:4700::1111", "64:ff9c::1"]
PASSING_HOSTS += ["hooks.example.com", "100.63.255.254", "100.128.0.1"]
PASSING = [case.url for case in hosts(0, "", *PASSING_HOSTS)]
ALL_ADDRESSES = [name for table in (ADDRESSES, METADATA) for names in table.values() for name in names]


def public_lookup(host: str, port: int) -> list[str]:
    return [PUBLIC_V4, PUBLIC_V6]


def always(answers: list[str]) -> Lookup:
    return lambda host, port: answers


def test_it_has_every_row_of_the_table() -> None:
    counts = [sum(case.row == row for case in HOSTILE) for row in range(1, 16)]
    assert counts == [5, 9, 5, 4, 9, 2, 10, 3, 7, 6, 9, 2, 13, 7, 6]
    assert len({case.url for case in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: f"{case.row}-{case.url[:60]!a}")
def test_it_refuses_a_hostile_url_at_save_for_the_right_reason(case: Hostile) -> None:
    url = case.url.format(port=PORT)
    with pytest.raises(UnsafeUrl) as caught:
        check_url(url)
    assert caught.value.reason == case.reason
    with pytest.raises(OutboundError) as at_save:
        check_destination(url, lookup=public_lookup)
    assert (at_save.value.kind, at_save.value.detail) == ("unsafe_url", caught.value.detail)


@pytest.mark.parametrize("url", PASSING)
def test_it_passes_a_public_receiver_at_save(url: str) -> None:
    checked = check_destination(url.format(port=PORT), lookup=public_lookup)
    assert checked.url == url.format(port=PORT).replace("::ffff:8.8.8.8", "::ffff:808:808")
    assert not checked.private_allowed


@pytest.mark.parametrize("address", ALL_ADDRESSES)
@pytest.mark.parametrize(
    "others", [[], [PUBLIC_V4], [PUBLIC_V4, PUBLIC_V6]], ids=["alone", "beside-ipv4", "beside-dual-stack"]
)
def test_it_refuses_a_name_at_save_if_one_answer_is_hostile(address: str, others: list[str]) -> None:
    for answers in ([*others, address], [address, *others]):
        with pytest.raises(OutboundError) as caught:
            check_destination("https://hooks.example.com/", lookup=always(answers))
        assert caught.value.kind == "unsafe_url"
        assert caught.value.detail.startswith("hooks.example.com resolves to ")


def test_it_would_pass_all_addresses_without_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the refusals above come from the table and from nowhere else."""
    monkeypatch.setattr(addresses, "DENIED", ())
    assert [refusal(ip_address(address)) for address in ALL_ADDRESSES] == [None] * len(ALL_ADDRESSES)


@pytest.mark.parametrize("row", DENIED, ids=lambda row: str(row.network))
def test_it_refuses_both_ends_of_each_network(row: addresses.Denied) -> None:
    assert refusal(row.network[0]) is not None
    assert refusal(row.network[-1]) is not None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "[::1]", "[fc00::1]"]
)
def test_it_passes_a_private_address_the_operator_named_with_any_port_and_plain_http(host: str) -> None:
    allowed = allow_hosts_from([f" {host} "])
    for url in (f"http://{host}/x", f"https://{host}:1/x", f"http://{host}:6379/x"):
        assert check_url(url, allow_hosts=allowed).private_allowed


def test_it_passes_a_private_name_the_operator_named() -> None:
    allowed = allow_hosts_from(["Receiver.Internal", "receiver", ""])
    assert allowed == {"receiver.internal", "receiver"}
    for host in allowed:
        checked = check_destination(
            f"http://{host}:81/", allow_hosts=allowed, lookup=lambda host, port: ["10.1.2.3", "::1"]
        )
        assert (checked.host, checked.port, checked.target) == (host, 81, "/")


@pytest.mark.parametrize(
    "address", [*METADATA[5], *METADATA[9], ZERO, "fe80::1", "64:ff9b::7f00:1", "2002:a9fe:a9fe::"]
)
def test_it_never_passes_metadata_link_local_or_tunnels_even_if_the_operator_named_them(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(UnsafeUrl):
        check_url(f"https://{host}/", allow_hosts=allow_hosts_from([address]))
    with pytest.raises(UnsafeUrl):
        check_answers("receiver.internal", ["10.0.0.1", address], private_allowed=True)


def test_it_never_passes_a_metadata_name_even_if_the_operator_named_it() -> None:
    with pytest.raises(UnsafeUrl) as caught:
        check_url("http://Metadata.google.internal/", allow_hosts=allow_hosts_from(["metadata.google.internal"]))
    assert caught.value.reason == "metadata"


def test_it_allows_a_host_and_not_its_neighbours() -> None:
    allowed = allow_hosts_from(["127.0.0.1", "receiver.internal"])
    for host in (
        "127.0.0.2",
        "localhost",
        "[::ffff:127.0.0.1]",
        "a.receiver.internal",
        "receiver.internal.example.com",
    ):
        with pytest.raises(UnsafeUrl):
            check_url(f"http://{host}:8080/", allow_hosts=allowed)


def test_it_asks_for_https_unless_the_host_is_named() -> None:
    with pytest.raises(UnsafeUrl, match="Use https") as caught:
        check_url("http://hooks.example.com/")
    assert caught.value.reason == "scheme"


def test_it_takes_the_ports_from_its_caller() -> None:
    assert check_url("https://example.com:6443/", ports={6443}).port == 6443
    with pytest.raises(UnsafeUrl, match="Port 8443"):
        check_url("https://example.com:8443/", ports={443})
    assert [check_url(f"https://example.com:{port}/").port for port in (80, 443, 8000, 9999)] == [80, 443, 8000, 9999]


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("HTTPS://Hooks.Example.COM", "https://hooks.example.com:443/"),
        ("https://example.com?a=b@c", "https://example.com:443/?a=b@c"),
        (
            "https://example.com/a%20b/@x:y?u=http://127.0.0.1/",
            "https://example.com:443/a%20b/@x:y?u=http://127.0.0.1/",
        ),
        ("https://xn--bcher-kva.example:8000/", "https://xn--bcher-kva.example:8000/"),
        ("https://[2001:4860:4860:0:0:0:0:8888]/", "https://[2001:4860:4860::8888]:443/"),
    ],
)
def test_it_reads_a_good_url_in_one_way(written: str, canonical: str) -> None:
    assert check_url(written).url == canonical


@pytest.mark.parametrize(
    "host", ["-a.example", "a..example", ".example.com", "a" * 64 + ".example", "a." * 127 + "example", "0x", "a.0x7f"]
)
def test_it_refuses_a_host_that_is_no_name(host: str) -> None:
    with pytest.raises(UnsafeUrl) as caught:
        check_url(f"https://{host}/")
    assert caught.value.reason == "host"


@pytest.mark.parametrize("port", ["", "+443", "-1", "٤٤٣", " 443", "44_3", "0443 "])
def test_it_refuses_an_odd_port(port: str) -> None:
    with pytest.raises(UnsafeUrl):
        check_url(f"https://example.com:{port}/")


def test_it_never_repeats_a_password_in_its_messages() -> None:
    for url in ("https://u:hunter2@example.com/", "https://u:hunter2@127.0.0.1\\x", "http://u:hunter2@[::1]:22/#"):
        with pytest.raises(UnsafeUrl) as caught:
            check_url(url)
        assert "hunter2" not in caught.value.detail


def test_it_refuses_each_control_character_and_blank_anywhere() -> None:
    for character in [*map(chr, range(0x21)), "\x7f", "\x85", "\xa0", "\u2028", "\ufeff"]:
        for url in (
            "{}https://example.com/",
            "https://exam{}ple.com/",
            "https://example.com/{}",
            "https{}://example.com",
        ):
            with pytest.raises(UnsafeUrl):
                check_url(url.format(character))


def test_it_passes_every_other_printable_character_in_a_path() -> None:
    characters = "".join(set(string.printable) - set(string.whitespace) - set("\\#"))
    assert check_url(f"https://example.com/{characters}").host == "example.com"


@pytest.mark.parametrize("error", [OSError("no such host"), TimeoutError()])
def test_it_says_at_save_that_a_name_could_not_be_looked_up(error: OSError) -> None:
    def failing(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(OutboundError, match=r"^nowhere\.example could not be looked up") as caught:
        check_destination("https://nowhere.example/", lookup=failing)
    assert caught.value.kind in {"dns", "timeout"}


def test_it_says_at_save_that_a_name_has_no_address() -> None:
    with pytest.raises(OutboundError, match="has no address"):
        check_destination("https://nowhere.example/", lookup=lambda host, port: [])
