"""Finds personal data in text: e-mail, IBAN, card, IP address, national id, phone.

Part of masking (`credentials.py` finds the rest). Each takes a text and what its key says about it, and yields
the spans it would mask, from left to right. Checksums and issuer ranges decide where there are any; phones have none,
so there the surroundings decide, and `phonenumbers` is asked last. Names and street addresses are not looked for.

Ad operations is full of long numbers. What is named or shaped like an id, amount, size, date or version is left alone,
and every pattern is bounded, so that a hostile megabyte costs a bounded amount of work per character.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from stdnum import iban, numdb
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer

from tasks_app.credentials import Hit
from tasks_app.keynames import Hint, word_set
from tasks_app.phones import Lookups, digits_of, phones

_AT = re.compile(r"@|%40")
_DOMAIN = re.compile(r"(?=[^\W_])[\w.-]{1,253}")
# `banner@2x.png` is a file. (`.py` is Paraguay's, too.)
_FILES = word_set("png jpg jpeg gif webp svg mp4 webm html htm js css json xml csv pdf txt java")


def emails(text: str, hint: Hint, lookups: Lookups) -> Iterator[Hit]:
    """Walk left and right from each "@": a pattern that starts at the local part would be tried at every character."""
    floor = 0
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        if domain is None or "." not in domain[0]:
            continue
        labels = domain[0].rstrip(".-_").split(".")
        while len(labels) > 1 and not (len(labels[-1]) > 1 and (labels[-1].isalpha() or labels[-1].startswith("xn--"))):
            labels.pop()
        if len(labels) < 2 or not all(labels) or labels[-1].lower() in _FILES:
            continue
        start = at.start()
        while start > max(floor, at.start() - 128) and (text[start - 1].isalnum() or text[start - 1] in "._%+-'"):
            start -= 1
        while start < at.start() and text[start] in ".'-":
            start += 1
        if start < at.start():
            floor = at.end() + len(".".join(labels))
            yield start, floor, "email"


_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ \u00a0.-]?[A-Za-z0-9])")
_iban_countries = numdb.get("iban")


@lru_cache(maxsize=512)
def _iban_length(country: str) -> int:
    """The length of an IBAN of this country, 0 if it has none."""
    found = _iban_countries.info(country)[0][1].get("bban", "")
    return 4 + sum(int(n) for n in re.findall(r"(\d+)!", found)) if found else 0


def ibans(text: str, hint: Hint, lookups: Lookups) -> Iterator[Hit]:
    """Take as many letters and digits as the country's IBANs have, so that the words behind a spaced one are not
    swallowed."""
    floor = 0
    for match in _IBAN.finditer(text):
        length, end, taken = _iban_length(match[0][:2].upper()), match.end(), 4
        if match.start() < floor:
            continue
        while taken < length and end < len(text):
            if text[end] in " \u00a0.-" and text[end - 1].isalnum():
                end += 1
            elif text[end].isascii() and text[end].isalnum():
                end, taken = end + 1, taken + 1
            else:
                break
        if not length or taken < length or text[end : end + 1].isalnum():
            continue
        if iban.is_valid(text[match.start() : end].replace("\u00a0", " "), check_country=False):
            floor = end
            yield match.start(), end, "iban"


_RUN = re.compile(r"\d(?:\d|[ .\u00a0-](?=\d))*+")
_GROUP = re.compile(r"\d+")
# Not the one in our own placeholder: a card that was cut out says nothing about the number behind it.
_CARD_WORD = re.compile(r"(?i)\b(?!(?<=\[)card \d{1,9}\])(?:card|cc|visa|master ?card|amex|maestro|credit|debit|pan)\b")
_CARD_SHAPE = re.compile(
    r"(?<!\d)(?:\d{12,19}|(\d{4}([ .\u00a0-])\d{4}\2\d{4}\2\d{1,4})(?:\2\d{2,3})?"
    r"|\d{4}([ .\u00a0-])\d{6}\3\d{4,5})(?!\d)"
)
# Next to "card" any grouping is tried, among so many groups of digits.
_LOOSE_GROUPS = 40
_DOUBLED = str.maketrans("0123456789", "0246813579")


def luhn(digits: str) -> bool:
    """The checksum of payment cards; python-stdnum's takes five times as long, and it runs on every long number."""
    return sum(map(int, digits[::-2] + digits[-2::-2].translate(_DOUBLED))) % 10 == 0 and len(set(digits)) > 1


def _issuer(digits: str) -> str:
    """Which networks issue such a number: "major" ones have one length, "other" ones a range of them, "" nobody."""
    n, two, three, four = len(digits), int(digits[:2]), int(digits[:3]), int(digits[:4])
    if (n == 16 and (two // 10 == 4 or 51 <= two <= 55 or 2221 <= four <= 2720 or four == 6011 or two == 65)) or (
        n == 15 and two in {34, 37}
    ):
        return "major"
    visa = two // 10 == 4 and n in {13, 19}
    diners = n == 14 and (300 <= three <= 305 or two in {36, 38, 39})
    jcb = (3528 <= four <= 3589 and 16 <= n <= 19) or (n == 15 and four in {1800, 2131})
    maestro = n in {16, 18, 19} and (two in {50, 56, 57, 58, 62, 63, 64, 67} or 2200 <= four <= 2204)
    return "other" if visa or diners or jcb or maestro else ""


def cards(text: str, hint: Hint, lookups: Lookups) -> Iterator[Hit]:
    """A number that passes Luhn is a card if a card network issues such numbers. Next to a word like "card" the
    checksum is enough, from 12 digits on (Maestro). Under a key that names an id, bare digits must be those of a
    major network: about one random 16-digit id in forty is taken for one, and a task type lists such a key as safe."""
    for run in _RUN.finditer(text):
        start, end = run.span()
        if end - start < 12:
            continue
        glued = text[start - 1 : start].isalpha() or text[end : end + 1].isalpha() or text[end : end + 1] == "_"
        if not glued and not hint.measure and (hint.card or _CARD_WORD.search(text, max(0, start - 60), start)):
            for hit in _named_cards(text, start, end):
                yield hit
                start = hit[1]
        while shape := _CARD_SHAPE.search(text, start, end):
            start = shape.end()
            for a, b in {shape.span(0): None, shape.span(1): None}:
                digits = digits_of(text[a:b]) if a >= 0 else ""
                issuer = _issuer(digits) if digits else ""
                bare = len(digits) == b - a
                held = bare and (glued or hint.measure or text[a - 1 : a] == "." or (hint.ident and issuer != "major"))
                if issuer and not held and luhn(digits):
                    yield a, b, "card"
                    start = b
                    break
            else:
                start = shape.start() + 1


def _named_cards(text: str, start: int, end: int) -> Iterator[Hit]:
    """Whatever passes Luhn with 12 to 19 digits, in any grouping; of several that begin alike the longest."""
    groups = [group.span() for group, _ in zip(_GROUP.finditer(text, start, end), range(_LOOSE_GROUPS), strict=False)]
    for first, (a, _) in enumerate(groups):
        if a < start:
            continue
        for _, b in reversed(groups[first : first + 19]):
            digits = digits_of(text[a:b])
            if 12 <= len(digits) <= 19 and luhn(digits):
                start = b
                yield a, b, "card"
                break


_ANY_DIGIT = re.compile(r"\d")
_DOTTED = re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d")
_IP4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)")
_IP6 = re.compile(r"(?<![0-9A-Fa-f:.])[0-9A-Fa-f:.]{3,}+")
# Versions have four parts too: "v1.2.3.4", "SDK version 7.42.0.1", "Chrome/120.0.0.0".
_VERSION_BEFORE = re.compile(
    r"(?i:\bv|\bver\.?|\bversions?|\brelease|\bbuild|\bsdk|\bfirmware|\bupdate|\bapi)[\s:=\"'(]{0,3}$|[A-Z][A-Za-z]{1,30}/$"
)


def addresses(text: str, hint: Hint, lookups: Lookups) -> Iterator[Hit]:
    """IPv4 and IPv6. The machine's own (127.0.0.1, ::1) and the empty address are nobody's and stay."""
    found = list(_ip4(text, hint)) if _DOTTED.search(text) else []
    if text.count(":") >= 2:
        for match in _IP6.finditer(text):
            raw = match[0].rstrip(".")
            raw = raw[:-1] if raw.endswith(":") and not raw.endswith("::") else raw
            skip = 1 if raw.startswith(":") and not raw.startswith("::") else 0
            start, end = match.start() + skip, match.start() + len(raw)
            glued = skip == 0 and text[start - 1 : start].isalpha()
            if glued or end - start > 45 or not _is_ip6(text[start:end]) or text[end : end + 1].isalnum():
                continue
            found = [hit for hit in found if hit[1] <= start or hit[0] >= end]
            found.append((start, end, "ip"))
    yield from sorted(found)


def _ip4(text: str, hint: Hint) -> Iterator[Hit]:
    for match in _IP4.finditer(text):
        start, end = match.span()
        if hint.version or text[start - 1 : start].isalpha() or text[end : end + 1].isalnum():
            continue
        try:
            address = ipaddress.IPv4Address(match[0])
        except ValueError:
            continue
        if not (
            address.is_loopback or address.is_unspecified or _VERSION_BEFORE.search(text[max(0, start - 40) : start])
        ):
            yield start, end, "ip"


def _is_ip6(text: str) -> bool:
    if text.count(":") < 2 or not any(c.isdigit() for c in text):
        return False
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


@dataclass(frozen=True, slots=True)
class _Scheme:
    pattern: re.Pattern[str]
    valid: Callable[[str], Any]
    near: re.Pattern[str] | None = None  # a word that must stand before it, where the checksum alone proves too little


def _near(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?i)(?<![a-z])(?:{words})(?![a-z])")


def _sure(number: str) -> bool:
    return True


def _ssn(number: str) -> bool:
    """Areas 000 and 666 and zero parts are never issued; 9xx is a tax number (ITIN) of the same shape, and as
    private."""
    area, group, serial = number.split("-")
    return area not in {"000", "666"} and group != "00" and serial != "0000"


_SOCIAL = _near(r"ssn|social security|itin|tax ?payer|tin")
_SCHEMES = (
    _Scheme(re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), _ssn),
    _Scheme(re.compile(r"(?<![\w-])\d{3}[ -]?\d{2}[ -]?\d{4}(?![\w-])"), _sure, _SOCIAL),
    _Scheme(re.compile(r"(?<!\w)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\w)"), cpf.is_valid),
    _Scheme(re.compile(r"(?<!\w)\d{11}(?!\w)"), cpf.is_valid, _near("cpf")),
    _Scheme(re.compile(r"(?<!\w)\d{2}\.\d{2}\.\d{2}[-.]\d{3}[-.]\d{2}(?!\w)"), nn.is_valid),
    _Scheme(re.compile(r"(?<!\w)\d{6}[-+A]\d{3}[0-9A-Ya-y](?!\w)"), hetu.is_valid),
    _Scheme(
        re.compile(r"(?<!\w)(?:\d{2})?\d{6}[-+]\d{4}(?!\w)"),
        personnummer.is_valid,
        _near("personnummer|personal number"),
    ),
    _Scheme(re.compile(r"(?<!\w)[A-Za-z]{6}\d{2}[A-Za-z]\d{2}[A-Za-z]\d{3}[A-Za-z](?!\w)"), codicefiscale.is_valid),
    _Scheme(re.compile(r"(?<!\w)[A-Za-z]{4}\d{6}[HMhm][A-Za-z]{5}\w\d(?!\w)"), curp.is_valid),
    _Scheme(re.compile(r"(?<!\w)[XYZxyz]-?\d{7}-?[A-Za-z](?!\w)"), nie.is_valid),
    _Scheme(re.compile(r"(?<!\w)\d{8}-?[A-Za-z](?!\w)"), dni.is_valid, _near("dni|nif")),
    _Scheme(
        re.compile(r"(?<!\w)[A-CEGHJ-PR-TW-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)", re.I),
        _sure,
        _near("nino|national insurance|ni (?:number|no)"),
    ),
    _Scheme(re.compile(r"(?<!\w)[12] \d{2} \d{2} \d[\dAB] \d{3} \d{3} \d{2}(?!\w)"), nir.is_valid),
    _Scheme(re.compile(r"(?<!\w)[12]\d{5}[\dAB]\d{8}(?!\w)"), nir.is_valid, _near("nir|insee|s[ée]curit[ée] sociale")),
    _Scheme(re.compile(r"(?<!\w)\d{4} ?\d{4} ?\d{4}(?!\w)"), aadhaar.is_valid, _near("aadhaar|uidai")),
    _Scheme(re.compile(r"(?<!\w)\d{2} ?\d{3} ?\d{3} ?\d{3}(?!\w)"), idnr.is_valid, _near("steuer\\w*|idnr|tax id")),
    _Scheme(re.compile(r"(?<!\w)\d{3}[ -]?\d{3}[ -]?\d{3}(?!\w)"), sin.is_valid, _near("sin|social insurance")),
    _Scheme(re.compile(r"(?<!\w)\d{9}(?!\w)"), bsn.is_valid, _near("bsn|burgerservicenummer")),
    _Scheme(re.compile(r"(?<!\w)\d{11}(?!\w)"), pesel.is_valid, _near("pesel")),
)
# What all begin with stands before them all: tried first, it spares the others at most characters.
_WORD_BEGINS = r"(?<!\w)"
_SHAPES = sorted({scheme.pattern.pattern.removeprefix(_WORD_BEGINS) for scheme in _SCHEMES})
_ANY_SHAPE = re.compile(f"{_WORD_BEGINS}(?:{'|'.join(_SHAPES)})", re.I)
_NUMBERED = re.compile(r"\d\S*+(?: [^\s\d]*+\d\S*+)*+")
_LETTERS_AROUND = 8


def _has_shape(text: str) -> bool:
    """Whether some number in the text is written as an id of a country is.

    Looked for around digits alone: such an id is made of words with digits in them, one blank apart, and of a few
    letters at most before and behind them.
    """
    for match in _NUMBERED.finditer(text):
        start, end = max(0, match.start() - _LETTERS_AROUND), match.end() + _LETTERS_AROUND
        if sum(map(str.isdigit, match[0])) >= _SHORTEST_ID and _ANY_SHAPE.search(text, start, end):
            return True
    return False


def national_ids(text: str, hint: Hint, lookups: Lookups) -> Iterator[Hit]:
    """Numbers of people, by the checksum of their country and, where that is weak, a word before them that names
    them."""
    if hint.measure or not _has_shape(text):
        return
    found: list[Hit] = []
    for scheme in _SCHEMES:
        if scheme.near is not None and not scheme.near.search(text):
            continue
        for match in scheme.pattern.finditer(text):
            start, end = match.span()
            near = scheme.near is None or scheme.near.search(text, max(0, start - 60), start)
            if near and scheme.valid(match[0]):
                found.append((start, end, "national id"))
    end = 0
    for hit in sorted(found):
        if hit[0] >= end:
            end = hit[1]
            yield hit


# Of the numbers that are looked for, in digits (an IBAN in characters): a text with fewer holds none.
_SHORTEST_IBAN, _SHORTEST_CARD, _SHORTEST_ID, _SHORTEST_PHONE = 15, 12, 6, 7

PersonalDetector = Callable[[str, Hint, Lookups], Iterator[Hit]]


def detectors_for(text: str) -> Iterator[PersonalDetector]:
    """The detectors of personal data that can find something in this text, in the order in which they must run: the
    ones with a checksum cut their numbers out before the phones, which have none, look at the rest."""
    digits = len(_ANY_DIGIT.findall(text))
    if "@" in text or "%40" in text:
        yield emails
    if digits and len(text) >= _SHORTEST_IBAN:
        yield ibans
    if digits >= _SHORTEST_CARD:
        yield cards
    if text.count(":") >= 2 or (digits and text.count(".") >= 3):
        yield addresses
    if digits >= _SHORTEST_ID:
        yield national_ids
    if digits >= _SHORTEST_PHONE:
        yield phones


def detectors_of_ids(text: str) -> Iterator[PersonalDetector]:
    """The detectors of what is personal wherever it stands, also where an id is expected that is known to be none."""
    if "@" in text or "%40" in text:
        yield emails
    if "+" in text:
        yield phones
