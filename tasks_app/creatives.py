"""Find the creative in what an adapter sent: which part is an image, a film, a sound, markup or a landing address.

No database, and made for input from strangers: bounded in depth and number, and nothing is fetched. Adapters name
their assets in many ways (`assets.banner_image.url`, `image_url`, a list with `asset_type`, plain `html`), so that each
text is judged by what is said of it, nearest first: the asset's own type, the key, the key above, its own looks.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings

from core.numbers import whole

MAX_ASSETS: Final = 12
_MAX_DEPTH: Final = 8
_MAX_TEXTS: Final = 600


class Kind(StrEnum):
    """What an asset is. The first three are shown by the browser; html, script and page run in a frame of their own."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    HTML = "html"  # markup
    SCRIPT = "script"  # a JavaScript tag: code, or the address of it
    PAGE = "page"  # the address of an HTML5 creative
    TEXT = "text"  # a headline, a body, a call to action
    LANDING = "landing"  # where a click leads
    ADDRESS = "address"  # another address of the creative, such as a tracker: named, never loaded


MEDIA: Final = frozenset({Kind.IMAGE, Kind.VIDEO, Kind.AUDIO})
FRAMED: Final = frozenset({Kind.HTML, Kind.SCRIPT, Kind.PAGE})

# The asset types of the Ad Context Protocol, and what else adapters write into `type`.
_BY_TYPE: Final = {
    "image": Kind.IMAGE,
    "banner": Kind.IMAGE,
    "video": Kind.VIDEO,
    "audio": Kind.AUDIO,
    "html": Kind.HTML,
    "html5": Kind.HTML,
    "tag": Kind.HTML,
    "third_party_tag": Kind.HTML,
    "javascript": Kind.SCRIPT,
    "js": Kind.SCRIPT,
    "text": Kind.TEXT,
    "vast": Kind.VIDEO,
    "daast": Kind.AUDIO,
    "pixel_tracker": Kind.ADDRESS,
    "url_tracker": Kind.ADDRESS,
    "url": Kind.LANDING,
}
SOURCES: Final = frozenset(
    {
        *("url", "uri", "src", "source", "href", "link", "content", "value", "data", "code", "body", "file"),
        *("file_url", "secure_url", "media_url", "asset_url"),
    }
)
_EXTENSIONS: Final = {
    **dict.fromkeys(("jpg", "jpeg", "png", "gif", "webp", "avif", "svg", "bmp"), Kind.IMAGE),
    **dict.fromkeys(("mp4", "webm", "mov", "m4v", "ogv"), Kind.VIDEO),
    **dict.fromkeys(("mp3", "m4a", "ogg", "oga", "wav", "aac", "flac"), Kind.AUDIO),
    **dict.fromkeys(("html", "htm"), Kind.PAGE),
}
_LANDING: Final = re.compile(r"landing|click_?(url|tag|through)|clickthrough|destination|final_url", re.IGNORECASE)
_TRACKER: Final = re.compile(r"track|pixel|beacon|impression|viewab", re.IGNORECASE)
_NAMES: Final = (
    (re.compile(r"(^|_)(video|film|clip|vast)s?(_|$)", re.IGNORECASE), Kind.VIDEO),
    (re.compile(r"(^|_)(audio|sound|daast)s?(_|$)", re.IGNORECASE), Kind.AUDIO),
    (re.compile(r"(^|_)(java_?script|js|script)(_|$)", re.IGNORECASE), Kind.SCRIPT),
    (re.compile(r"(^|_)(html5?|markup|snippet|ad_?tag|third_party_tag|tag|adm)(_|$)", re.IGNORECASE), Kind.HTML),
    (
        re.compile(r"(^|_)(images?|img|banner|logo|picture|poster|thumbnail|screenshot|icon)s?(_|$)", re.IGNORECASE),
        Kind.IMAGE,
    ),
    (re.compile(r"(^|_)(headline|title|body|copy|description|cta|call_to_action|brand|caption)s?$"), Kind.TEXT),
)
# Where an ad server's answer may stand, which is no creative even if it is a page.
_ANSWERS: Final = re.compile(r"error|response|reason|message|exception|trace|flag|polic", re.IGNORECASE)
_MARKUP: Final = re.compile(
    r"\s*<(!doctype|html|head|body|div|a|img|ins|iframe|script|span|style|video|svg|!--)\b", re.I
)
_MEDIA_FILE: Final = re.compile(r"<MediaFile\b[^>]*>\s*(?:<!\[CDATA\[)?\s*([^\s<\]]+)", re.IGNORECASE)
_DATA: Final = re.compile(
    r"data:(image|video|audio)/[\w.+-]+(;[\w.+-]+=[\w.+-]+)*(;base64)?,[^\s\"'<>]*", re.IGNORECASE
)
_SCHEMES: Final = frozenset({"https", "http"})


@dataclass(frozen=True)
class Asset:
    """One part of a creative. `source` is an address, a `data:` URI, code or text, as it was sent (masked)."""

    kind: Kind
    name: str
    source: str
    width: int | None = None
    height: int | None = None

    @property
    def is_address(self) -> bool:
        """Whether the source is an address and not code or text."""
        return self.kind in MEDIA or self.kind in (Kind.PAGE, Kind.LANDING, Kind.ADDRESS) or is_web_address(self.source)


def schemes() -> list[str]:
    """Where parts of a creative may come from: https; plain http too where the console itself is served over it."""
    return ["https:"] if settings.HITL_HTTPS else ["https:", "http:"]


def is_web_address(text: str) -> bool:
    """Whether this is an http(s) address that a browser and we read alike: a host, no user, no blanks, no tricks."""
    if len(text) > 4_000 or any(ord(c) <= 32 or c in "\\<>\"'`{}|^" or ord(c) == 127 for c in text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in _SCHEMES and bool(parts.hostname) and parts.username is None and parts.password is None
    except ValueError:
        return False


def is_media_data(text: str) -> bool:
    """Whether this is a `data:` URI of an image, a film or a sound, and of nothing that could be a page."""
    return _DATA.fullmatch(text) is not None


def creative_in(context: Mapping[str, Any]) -> list[Asset]:
    """The assets of the creative in `context_data`, 12 at most, what can be looked at first; empty if there is none."""
    found: dict[tuple[Kind, str], Asset] = {}
    for asset in _assets(context):
        found.setdefault((asset.kind, asset.source), asset)
    assets = sorted(found.values(), key=lambda asset: list(Kind).index(asset.kind))
    return assets[:MAX_ASSETS]


@dataclass(frozen=True)
class _Place:
    """Where a text stands: its key, the keys above it, and the object that holds it."""

    keys: tuple[str, ...]
    holder: Mapping[str, Any]


def _assets(context: Mapping[str, Any]) -> Iterator[Asset]:
    for place, text in _texts(context):
        if any(_ANSWERS.search(key) for key in place.keys):
            continue
        kind = _kind(place, text.strip())
        if kind is not None:
            yield from _made(kind, place, text.strip())


def _texts(context: Mapping[str, Any]) -> Iterator[tuple[_Place, str]]:
    """Every text in the data, in its order, the first 600."""
    waiting: list[tuple[tuple[str, ...], Mapping[str, Any], Any]] = [((), context, context)]
    seen = 0
    while waiting and seen < _MAX_TEXTS:
        keys, holder, value = waiting.pop()
        if isinstance(value, dict) and len(keys) < _MAX_DEPTH:
            waiting += [((*keys, str(key)), value, item) for key, item in reversed(list(value.items()))]
        elif isinstance(value, list) and len(keys) < _MAX_DEPTH:
            waiting += [(keys, holder, item) for item in reversed(value[:100])]
        elif isinstance(value, str) and value.strip():
            seen += 1
            yield _Place(keys, holder), value


def _kind(place: _Place, text: str) -> Kind | None:
    """What the text is, or None if it is no part of a creative."""
    key = place.keys[-1]
    is_address = is_web_address(text)
    looks = _looks(text)
    if looks in MEDIA and text[:5].lower() == "data:":
        return looks
    said = _said(place, key)
    if is_address and (_LANDING.search(key) or (said is None and _LANDING.search(".".join(place.keys)))):
        return Kind.LANDING
    if is_address and _TRACKER.search(".".join(place.keys)):
        return Kind.ADDRESS
    if said is Kind.TEXT:
        return Kind.TEXT if not is_address and not _MARKUP.match(text) else looks
    if said in MEDIA:
        return said if is_address or _MEDIA_FILE.search(text) else looks
    if said is Kind.HTML:
        return (Kind.PAGE if is_address else Kind.HTML) if is_address or _MARKUP.match(text) or "<" in text else None
    if said is Kind.SCRIPT:
        return Kind.HTML if _MARKUP.match(text) else Kind.SCRIPT if is_address or re.search(r"[;(={]", text) else None
    if said in (Kind.LANDING, Kind.ADDRESS):
        return said if is_address else None
    return looks


def _said(place: _Place, key: str) -> Kind | None:
    """What the sender says it is: by the asset's type, else by its key, else by the keys above."""
    if key.lower() in SOURCES:
        for name in ("asset_type", "type", "kind", "mime_type", "content_type", "media_type"):
            given = str(place.holder.get(name, "")).lower()
            family = _BY_TYPE.get(given) or _BY_TYPE.get(given.split("/")[0])
            if family is not None:
                return family if given != "text/html" else Kind.HTML
        above = [name for name in reversed(place.keys[:-1]) if name.lower() not in ("assets", "creative", "creatives")]
        return next((kind for name in (*above, key) for kind in [_named(name)] if kind is not None), None)
    return _named(key)


def _named(key: str) -> Kind | None:
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).replace("-", "_").lower()
    return next((kind for pattern, kind in _NAMES if pattern.search(plain)), None)


def _looks(text: str) -> Kind | None:
    """What the text is by itself."""
    if (data := _DATA.match(text)) and is_media_data(text):
        return Kind(data[1].lower())
    if is_web_address(text):
        return _EXTENSIONS.get(urlsplit(text).path.rpartition(".")[2].lower())
    return Kind.HTML if _MARKUP.match(text) and ("</" in text or "/>" in text or "<img" in text.lower()) else None


def _made(kind: Kind, place: _Place, text: str) -> Iterator[Asset]:
    name = ".".join(place.keys)
    width, height = _size(place.holder)
    if kind in MEDIA and not is_web_address(text) and not is_media_data(text):
        for number, address in enumerate(_MEDIA_FILE.findall(text), 1):  # VAST: an XML that names its media files
            if is_web_address(address):
                yield Asset(kind, f"{name} {number}", address, width, height)
        return
    if kind in MEDIA and is_web_address(text) and _named(name.rpartition(".")[0]) is kind and "vast" in name.lower():
        kind = Kind.ADDRESS  # the address of a VAST document, which is not fetched
    yield Asset(kind, name, text, width, height)


def _size(holder: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Width and height in pixels where the asset gives them, also as `"size": "300x250"`."""
    given = holder.get("dimensions")
    sizes: Mapping[str, Any] = given if isinstance(given, dict) else holder
    width, height = _pixels(sizes.get("width")), _pixels(sizes.get("height"))
    if width is None or height is None:
        found = re.match(r"\s*(\d{1,4})\s*[xX×]\s*(\d{1,4})", str(holder.get("size") or holder.get("dimensions") or ""))
        return (int(found[1]), int(found[2])) if found else (None, None)
    return width, height


def _pixels(value: Any) -> int | None:
    number = int(value) if isinstance(value, int | float) else whole(value) if isinstance(value, str) else None
    return number if number is not None and 0 < number <= 8_000 else None
