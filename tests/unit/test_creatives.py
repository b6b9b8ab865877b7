"""Finding the creative in what adapters send: every asset shape, and nothing that is none."""

from typing import Any

import pytest

from tasks_app.creatives import MAX_ASSETS, Asset, Kind, creative_in, is_media_data, is_web_address

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
HTML = '<div style="width:300px">Buy <b>now</b></div>'
VAST = (
    "<VAST><Ad><InLine><Creatives><MediaFiles><MediaFile type='video/mp4'>"
    "<![CDATA[https://v.example/a.mp4]]></MediaFile>"
)


def kinds(context: dict[str, Any]) -> list[tuple[str, str]]:
    return [(asset.kind.value, asset.source) for asset in creative_in(context)]


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"image_url": "https://c.example/a"}, [("image", "https://c.example/a")]),
        ({"imageUrl": "https://c.example/a"}, [("image", "https://c.example/a")]),
        ({"assets": {"banner_image": {"asset_type": "image", "url": PIXEL}}}, [("image", PIXEL)]),
        ({"assets": [{"asset_type": "image", "url": "https://c.example/x"}]}, [("image", "https://c.example/x")]),
        ({"assets": {"video": {"url": "https://c.example/x"}}}, [("video", "https://c.example/x")]),
        ({"creative": {"media_url": "https://c.example/x.mp4?v=1"}}, [("video", "https://c.example/x.mp4?v=1")]),
        ({"assets": {"audio": {"url": "https://c.example/m.mp3"}}}, [("audio", "https://c.example/m.mp3")]),
        ({"html": HTML}, [("html", HTML)]),
        ({"snippet": HTML}, [("html", HTML)]),
        ({"anything": HTML}, [("html", HTML)]),
        ({"assets": {"main": {"asset_type": "html", "content": HTML}}}, [("html", HTML)]),
        ({"assets": {"main": {"asset_type": "html", "url": "https://c.example/b"}}}, [("page", "https://c.example/b")]),
        ({"creative_url": "https://c.example/index.html"}, [("page", "https://c.example/index.html")]),
        ({"assets": {"js": {"asset_type": "javascript", "content": "go();"}}}, [("script", "go();")]),
        ({"javascript": "<script>go()</script>"}, [("html", "<script>go()</script>")]),
        ({"assets": {"v": {"asset_type": "vast", "content": VAST}}}, [("video", "https://v.example/a.mp4")]),
        ({"landing_url": "https://shop.example/"}, [("landing", "https://shop.example/")]),
        ({"headline": "Never refill", "body": "Solved."}, [("text", "Never refill"), ("text", "Solved.")]),
        ({"impression_tracker": {"url": "https://t.example/p.gif"}}, [("address", "https://t.example/p.gif")]),
        (
            {"image": "https://c.example/a.png", "click_url": "https://shop.example/a.png"},
            [("image", "https://c.example/a.png"), ("landing", "https://shop.example/a.png")],
        ),
    ],
)
def test_it_finds_each_kind_of_asset(context: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert kinds(context) == expected


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"network_code": "21775744923", "order_id": "3120456789", "http_status": 403},
        {"error_string": "<html><body>403 Forbidden</body></html>"},
        {"response": {"body": "<html><body>nope</body></html>"}},
        {"image_url": "javascript:alert(1)"},
        {"image_url": "https://user:pw@c.example/a.png"},
        {"image_url": "https://c.example\\@evil.example/a.png"},
        {"image": "data:text/html,<script>alert(1)</script>"},
        {"video": "file:///etc/passwd"},
        {"format_id": "display_html", "assets": {"html": {"bundle_kb": 184, "libraries": ["gsap 3.12"]}}},
        {"targeting": {"geo": ["US-CA"], "audiences": ["Adults"]}},
    ],
)
def test_it_takes_nothing_else_for_a_creative(context: dict[str, Any]) -> None:
    assert kinds(context) == []


def test_it_reads_sizes_in_the_forms_they_come() -> None:
    def of(holder: dict[str, Any]) -> Asset:
        return creative_in({"assets": {"image": {"url": PIXEL, **holder}}})[0]

    assert (of({"width": 300, "height": "250"}).width, of({"width": 300, "height": "250"}).height) == (300, 250)
    assert of({"size": "160x600"}).height == 600
    assert of({"dimensions": {"width": 320, "height": 50}}).height == 50
    assert of({"width": -3, "height": 10**9}).width is None


def test_it_is_bounded() -> None:
    assert len(creative_in({f"image_{n}": f"https://c.example/{n}.png" for n in range(5_000)})) == MAX_ASSETS
    deep: dict[str, Any] = {"image": "https://c.example/a.png"}
    for _ in range(30):
        deep = {"x": deep}
    assert creative_in(deep) == []


def test_it_knows_addresses_that_browsers_read_differently() -> None:
    assert is_web_address("https://c.example/a?b=c#d")
    for bad in (
        "//c.example/a",
        "https:///a",
        "https://c.example/ a",
        "https://[::1/",
        "ftp://c.example/",
        "https://c.example/\n",
    ):
        assert not is_web_address(bad), bad
    assert is_media_data(PIXEL)
    assert not is_media_data("data:image/svg+xml,<svg onload=alert(1)>")
    assert not is_media_data('data:image/png;base64,AAAA" onerror="x')
    assert creative_in({"x": PIXEL})[0].kind is Kind.IMAGE
