"""Finds credentials in text.

Part of masking (`detectors.py` finds the personal data). A credential is masked wherever it stands, also in a field
that a task type calls safe.

Every pattern reads the text from left to right with a bounded or possessive repeat: a hostile megabyte costs a bounded
amount of work per character.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator

from tasks_app.keynames import secret_kind, word_set, words_of

Hit = tuple[int, int, str]  # start, end, kind
Detector = Callable[[str], Iterator[Hit]]

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----")
_URL_USER = re.compile(r"://([^\s/?#\"'<>]{1,512})@")
_HEADER = r"(?i)authorization\\?[\"']?[ \t]{0,4}[:=][ \t]{0,4}\\?[\"']?"
_HEADER_TOKEN = re.compile(
    _HEADER + r"(?:bearer|basic|token|negotiate|apikey|key|sso-key)[ \t]{1,4}([^\s\"',;\\<>]{1,8192})"
)
_HEADER_LINE = re.compile(_HEADER + r"(?:digest|oauth|hawk|signature|aws4-hmac-sha256)[ \t]{1,4}([^\r\n]{1,8192})")
_BEARER = re.compile(r"(?i)(?<![a-z])bearer[ \t]{1,4}([A-Za-z0-9._~+/=-]{8,8192})")
_BASIC = re.compile(r"(?i)(?<![a-z])basic[ \t]{1,4}([A-Za-z0-9+/]{8,2048}={0,2})")
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]{5,}+(?:\.[A-Za-z0-9_-]*+)*+")
_COOKIE = re.compile(r"(?im)(?<![\w])(?:set-)?cookie[ \t]{0,4}:[ \t]{0,4}(?=[^\s;=]{1,128}=)([^\r\n\"']{1,8192})")
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}+|whsec_[A-Za-z0-9+/_=-]{16,}+|hitl_[A-Za-z0-9_-]{20,}+"
    r"|sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20,}+|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_[A-Za-z0-9_]{20,}+|glpat-[\w-]{16,}+"
    r"|xox[a-z]-[A-Za-z0-9-]{10,}+|xapp-[A-Za-z0-9-]{10,}+|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])"
    r"|AIza[\w-]{30,}+|ya29\.[\w.-]{10,}+|GOCSPX-[\w-]{10,}+|1//0[\w-]{20,}+|4/0A[\w-]{20,}+|EAA[A-Za-z0-9]{24,}+"
    r"|SG\.[\w-]{10,}+\.[\w-]{10,}+|key-[0-9a-f]{32}(?![0-9a-f])|npm_[A-Za-z0-9]{30,}+|pypi-[\w-]{20,}+|hf_[A-Za-z0-9]{20,}+"
    r"|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{20,}+|sq0[a-z]{3}-[\w-]{20,}+|dop_v1_[0-9a-f]{40,}+|dckr_pat_[\w-]{16,}+"
    r"|SK[0-9a-f]{32}(?![0-9a-f])|\d{8,10}:AA[\w-]{30,}+)"
)
_SHORTEST_KEY = 15
# Rarer ones, each with the beginning by which it is known; a text without any of these is not searched.
_MORE_KEYS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"hv[sb]\.[\w-]{20,}+|dapi[0-9a-f]{32}(?![0-9a-f])|pat-(?:na|eu)\d-[0-9a-f-]{36}|xkeysib-[0-9a-f]{32,}+-\w++"
    r"|gl(?:sa|c)_[\w=+/-]{20,}+|NRAK-[A-Z0-9]{20,}+|lin_api_\w{20,}+|PMAK-[0-9a-f]{24}-[0-9a-f]{20,}+"
    r"|ATATT3[\w-]{20,}+=?\w*+|gsk_[A-Za-z0-9]{30,}+|xai-[A-Za-z0-9]{30,}+|pplx-[A-Za-z0-9]{30,}+|nvapi-[\w-]{30,}+"
    r"|sbp_[0-9a-f]{40}|figd_[\w-]{30,}+|ntn_[A-Za-z0-9]{30,}+|sntry[su]_[\w=+/-]{30,}+|rubygems_[0-9a-f]{40,}+"
    r"|dp\.(?:pt|st|ct)\.[A-Za-z0-9]{30,}+|AGE-SECRET-KEY-1[A-Z0-9]{30,}+|[0-9a-f]{32}-us\d{1,2}(?!\d)"
    r"|A{20}(?=\w{0,60}%)[\w%]{30,}+)"
)
_MORE_MARKS = (
    *("hvs.", "hvb.", "dapi", "pat-", "xkeysib-", "glsa_", "glc_", "NRAK-", "lin_api_", "PMAK-", "ATATT3", "gsk_"),
    *("xai-", "pplx-", "nvapi-", "sbp_", "figd_", "ntn_", "sntry", "rubygems_", "dp.", "AGE-SECRET", "-us", "A" * 20),
)
# Addresses that are keys: whoever has one may write to the channel.
_HOOK = re.compile(
    r"(?:hooks\.slack\.com/(?:services|workflows)/|discord(?:app)?\.com/api/webhooks/\d{1,20}/"
    r"|\.webhook\.office\.com/webhookb2/)([A-Za-z0-9/_@-]{16,300}+)"
)
_CURL_USER = re.compile(r"(?<![\w-])(?:-u|--(?:proxy-)?user)[ =][\"']?[^\s:\"']{1,128}:([^\s\"']{1,512})")
_VALUE = re.compile(r"\\?\"([^\"\\\r\n]{1,4096})|\\?'([^'\\\r\n]{1,4096})|([^\s\"'&,;<>\\]{1,4096})")
_NAME = re.compile(r"(?<![A-Za-z0-9_.-])([A-Za-z][\w.-]*+)\\?[\"']?[ \t]{0,4}(=>|:=|==?|:)[ \t]{0,4}")
_OPTION = re.compile(r"(?<![\w-])--([A-Za-z][\w-]*+)[ \t]{1,4}")
_SPOKEN = re.compile(r" (?:is|was|of|to) ")
_SPOKEN_OF = re.compile(
    r"(?i)(?<![a-z])"
    r"(?:password|passphrase|passcode|api key|secret|token|(?:verification|security|login|one-time) code)\Z"
)
_LONGEST_SPOKEN = 17
_ELEMENT = re.compile(r"<((?:[\w.-]++:)?[A-Za-z][\w.-]*+)(?:\s[^<>]{0,200})?>([^<>]{1,4096})</")
# What prose puts behind "password:" that is no password.
_PROSE = word_set(
    "a an and are be been can cannot could empty error expired false field for forbidden has have if in incorrect "
    "insufficient invalid is it may missing mismatch must no none not null of on or please rejected required reset "
    "revoked should string that the this to true unauthorized undefined unknown unset use was were when wrong you your "
    "bearer basic digest oauth oauth2 access denied failed disabled enabled auth authentication per token header"
)


def looks_random(text: str) -> bool:
    """Whether a word is too irregular for prose: a digit, capitals inside, or great length."""
    return any(c.isdigit() for c in text) or len(text) >= 24 or (text[1:].lower() != text[1:] and text.upper() != text)


def _pem(text: str) -> Iterator[Hit]:
    at = 0
    while begin := _PEM.search(text, at):
        # Without an end line the rest of the text is taken: a key cut off by a length limit is still half a key.
        footer = f"-----END {begin[1]}-----"
        found = text.find(footer, begin.end())
        at = len(text) if found < 0 else found + len(footer)
        yield begin.start(), at, "credential"


def _url_user(text: str) -> Iterator[Hit]:
    for match in _URL_USER.finditer(text):
        yield match.start(1), match.end(1), "credential"


def _headers(text: str) -> Iterator[Hit]:
    for match in _HEADER_TOKEN.finditer(text):
        value = match[1].rstrip(").")
        if value.lower() not in _PROSE:
            yield match.start(1), match.start(1) + len(value), "credential"


def _schemes(text: str) -> Iterator[Hit]:
    for match in _BEARER.finditer(text):
        if looks_random(match[1]):
            yield match.start(1), match.start(1) + len(match[1].rstrip(".")), "credential"


def _basic(text: str) -> Iterator[Hit]:
    for match in _BASIC.finditer(text):
        try:
            decoded = base64.b64decode(match[1] + "=" * (-len(match[1]) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue
        if b":" in decoded and decoded.isascii():
            yield match.start(1), match.end(1), "credential"


def _keys(text: str) -> Iterator[Hit]:
    for match in _KEY.finditer(text):
        if not match[0].startswith("hitl_") or any(c.isdigit() for c in match[0]):
            yield match.start(), match.end(), "credential"


def _whole(pattern: re.Pattern[str], group: int) -> Detector:
    def find(text: str) -> Iterator[Hit]:
        for match in pattern.finditer(text):
            yield match.start(group), match.end(group), "credential"

    return find


def _value(text: str, at: int, kind: str, sure: bool) -> Hit | None:
    """The value that begins at `at`, or None where prose goes on."""
    match = _VALUE.match(text, at)
    if match is None:
        return None
    group = match.lastindex or 0
    value = match[group] if group < 3 else match[group].rstrip(".:!?)}|")
    if not any(c.isalnum() for c in value) or value.lower() in _PROSE or not (sure or looks_random(value)):
        return None
    return match.start(group), match.start(group) + len(value), kind


def _assignments(text: str) -> Iterator[Hit]:
    at = 0
    while match := _NAME.search(text, at):
        # The search goes on behind the separator: in `error: token: x` the value of the first name is the next name.
        at = match.end()
        kind = secret_kind(match[1])
        if kind is None:
            continue
        # After "=" or in quotes stands a value. After a colon in prose only that of a password or of a name made of
        # several words ("X-Api-Key") is taken as it comes: "token: expired" is a sentence.
        plain = match[2] == ":" and text[at : at + 1] not in {'"', "'", "\\"}
        words = words_of(match[1])
        sure = not plain or len(words) > 1 or words[-1] in {"password", "passwd", "pwd", "passphrase", "secret"}
        if hit := _value(text, at, kind, sure):
            at = hit[1]
            yield hit


def _options(text: str) -> Iterator[Hit]:
    for match in _OPTION.finditer(text):
        if (kind := secret_kind(match[1])) and (hit := _value(text, match.end(), kind, True)):
            yield hit


def _spoken(text: str) -> Iterator[Hit]:
    for match in _SPOKEN.finditer(text):
        start = match.start()
        if not _SPOKEN_OF.search(text, max(0, start - _LONGEST_SPOKEN), start):
            continue
        if hit := _value(text, match.end(), "credential", False):
            yield hit


def _elements(text: str) -> Iterator[Hit]:
    for match in _ELEMENT.finditer(text):
        if (kind := secret_kind(match[1])) and any(c.isalnum() for c in match[2]):
            yield match.start(2), match.end(2), kind


# Each detector with the marks without which it cannot find anything: looking for those first keeps plain text cheap.
_DETECTORS: tuple[tuple[tuple[str, ...], Detector], ...] = (
    (("-----BEGIN",), _pem),
    (("://",), _url_user),
    (("uthorization", "UTHORIZATION"), _headers),
    (("uthorization", "UTHORIZATION"), _whole(_HEADER_LINE, 1)),
    (("earer", "EARER"), _schemes),
    (("asic", "ASIC"), _basic),
    (("eyJ",), _whole(_JWT, 0)),
    (("ookie", "OOKIE"), _whole(_COOKIE, 1)),
)
_KEY_DETECTORS: tuple[tuple[tuple[str, ...], re.Pattern[str], Detector], ...] = (
    (("_", "-", "A", "/", ".", "SK"), _KEY, _keys),
    (_MORE_MARKS, _MORE_KEYS, _whole(_MORE_KEYS, 0)),
)
_LATER_DETECTORS: tuple[tuple[tuple[str, ...], Detector], ...] = (
    (("hook",), _whole(_HOOK, 1)),
    (("-u ", "-u=", "-user"), _whole(_CURL_USER, 1)),
    ((":", "="), _assignments),
    (("--",), _options),
    ((" is ", " was ", " of ", " to "), _spoken),
    (("</",), _elements),
)


def detectors_for(text: str) -> list[Detector]:
    """The credential detectors that can find something in this text, in the order in which they must run."""
    return [*_marked(_DETECTORS, text), *_of_keys(text), *_marked(_LATER_DETECTORS, text)]


def _marked(detectors: Iterable[tuple[tuple[str, ...], Detector]], text: str) -> Iterator[Detector]:
    for marks, detector in detectors:
        for mark in marks:
            if mark in text:
                yield detector
                break


def _of_keys(text: str) -> Iterator[Detector]:
    """A key has no blank in it, and none is short: only what a text's long words hold is looked for in all of it."""
    words = " ".join([word for word in text.split() if len(word) >= _SHORTEST_KEY])
    for marks, pattern, detector in _KEY_DETECTORS if words else ():
        for mark in marks:
            if mark in words:
                if pattern.search(words):
                    yield detector
                break
