"""Finds phone numbers in text. Part of masking.

A phone number has no checksum, and ids, dates and sizes look like one: `phonenumbers` over many countries calls nearly
every run of digits possible, and many real-looking numbers invalid. So shape and surroundings decide first, and the
library is asked last, about few candidates:

1. a run of 7 to 15 digits with single separators; dates, amounts, sizes and what is called an id are out;
2. with a country code ("+46 (0)8 928 571 38"), or next to a word such as "phone" or "call", a possible number is
enough;
3. with neither, the shape must be a phone's (a leading 0, brackets, the American 3-3-4) and mostly valid somewhere;
4. bare digits are a phone only under a phone's key or right beside a phone's word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import phonenumbers

from tasks_app.credentials import Hit
from tasks_app.keynames import Hint, word_set, words_of

# Where a number without country code is tried. Wide on purpose: which shapes are asked about matters more (see
# `phones`).
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "BE", "CH", "AT", "SE", "DK", "NO", "FI", "PL", "AU", "IN", "BR")
# So many numbers of one call are looked up; after that the shape alone decides, which masks too much rather than too
# little.
LOOKUPS = 1000


@dataclass(slots=True)
class Lookups:
    """Answers of the phone library within one call, and how many more may be asked."""

    left: int = LOOKUPS
    known: dict[tuple[str, str | None, bool], bool] = field(default_factory=dict)

    def ask(self, number: str, region: str | None, *, valid: bool) -> bool:
        asked = (number, region, valid)
        if asked not in self.known:
            if self.left <= 0:
                return True
            self.left -= 1
            try:
                parsed = phonenumbers.parse(number, region)
            except phonenumbers.NumberParseException:
                self.known[asked] = False
            else:
                check = phonenumbers.is_valid_number if valid else phonenumbers.is_possible_number
                self.known[asked] = bool(check(parsed))
        return self.known[asked]

    def anywhere(self, number: str, *, valid: bool) -> bool:
        """Whether it is a possible, or a valid, number in one of the regions."""
        asked = (number, None, valid)
        if asked not in self.known:
            self.known[asked] = any(self.ask(number, region, valid=valid) for region in REGIONS)
        return self.known[asked]


_NO_DIGITS = re.compile(r"\D+")


def digits_of(text: str) -> str:
    """The digits of a number in ASCII, whatever script they are written in."""
    if text.isascii() and text.isdigit():
        return text
    digits = _NO_DIGITS.sub("", text)
    return digits if digits.isascii() else "".join(str(int(c)) for c in digits)


_RUN = re.compile(
    r"(?<![\w+])(?<!\w[-./])(?<!\d:)(?:\+[ ]?)?\(?\d(?:[\d()]|[ \u00a0\u2011./-](?=[\d(]))*+"
    r"(?:[ ]?(?:x|ext\.?)[ ]?\d{1,6}(?!\w))?",
    re.I,
)
_PARTS = re.compile(r"(?<!\S)\S{7,20}(?!\S)")
_SEVEN = re.compile(r"\d(?:[^\w\n]{0,3}\d){6}")
_BEFORE_DIGITS = 8  # more than the plus, blank and bracket with which a number may begin
_EXTENSION = re.compile(r"(?i)[ ]?(?:x|ext).*")
_DATE = re.compile(
    r"(?:(?:19|20)\d\d[-/. ](?:0?[1-9]|1[0-2])[-/. ][0-3]?\d|[0-3]?\d[-/. ][0-3]?\d[-/. ](?:19|20)\d\d"
    r"|[0-3]?\d[-/.][01]?\d[-/.]\d\d"
    r"|(?:19|20)\d\d[-/ ](?:19|20)\d\d)(?!\d)(?![-/.]\d)"
)
_HOURS = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d-(?:[01]\d|2[0-4])[0-5]\d")  # 0900-1700
_AMOUNT = re.compile(r"[1-9]\d{0,2}(?:([ .\u00a0])\d{3})(?:\1\d{3})*")
_AMERICAN = re.compile(r"(?:1[ .-]?)?(?:\([2-9]\d\d\)[ .-]?|[2-9]\d\d[ .-])\d{3}[ .-]\d{4}")
_PAIRS = re.compile(r"\d\d(?:([ .-])\d\d)(?:\1\d\d){2,3}")
# A word within 40 characters before the number, and one right before it.
_NEAR = word_set(
    "phone phones telephone tel mobile cell cellphone fax call called calling calls dial ring reach contact "
    "whatsapp sms text "
    "message messages desk office hotline helpline answering handy telefon telefono mobil portable"
)
_CLOSE = word_set("phone telephone tel mobile cell fax whatsapp sms call dial desk telefon")
_IDENT = word_set(
    "id ids cid uid customer customers account accounts campaign campaigns order orders invoice invoices "
    "creative creatives "
    "item items group groups unit units network networks publisher advertiser placement placements reference "
    "ref sku serial "
    "ticket case version gtin ean isbn po buy zip box"
)
_BETWEEN = word_set("number no nr is at on me us him her")
_BEHIND = re.compile(r"(?i)\W{0,3}(?:phone|tel|mobile|cell|fax|office|desk|home|work)(?![a-z])")
_MONEY = re.compile(r"(?:[$€£¥₹%]|\b(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|INR|BRL|SEK|NOK|DKK|PLN)) ?$")
_UNIT = re.compile(
    r"(?i)[ ]?(?:[$€£¥₹%]|(?:px|ms|s|sec|seconds|kb|mb|gb|bytes|impressions|clicks|views|micros|usd|eur|gbp|x|users"
    r"|rows)(?![a-z]))|[,.:]\d|[\w@]"
)


def phones(text: str, hint: Hint, lookups: Lookups) -> Iterator[Hit]:
    """The phone numbers of a text; `hint` carries what the value's key says."""
    if hint.measure or hint.version:
        return
    for run in _runs(text):
        start, end = run.span()
        if end - start < 7:
            continue
        parts = [(start, end)]
        if len(digits_of(run[0])) > 15:
            parts = [(start + part.start(), start + part.end()) for part in _PARTS.finditer(run[0])]
        for a, b in parts:
            while text[a:b].count("(") != text[a:b].count(")") and text[b - 1] in "()":
                b -= 1
            a += text[a:b].count("(") > text[a:b].count(")")
            if _is_phone(text, a, b, hint, lookups):
                yield a, b, "phone"


def _runs(text: str) -> Iterator[re.Match[str]]:
    """The runs that may have seven digits: looked for where seven digits are, which is found sooner."""
    end = 0
    while seven := _SEVEN.search(text, end):
        run = _RUN.search(text, max(end, seven.start() - _BEFORE_DIGITS))
        if run is None:
            return
        yield run
        end = run.end()


def _is_phone(text: str, start: int, end: int, hint: Hint, lookups: Lookups) -> bool:
    body = _EXTENSION.sub("", text[start:end])
    digits = digits_of(body)
    before, behind = text[max(0, start - 40) : start], text[end : end + 20]
    if not 7 <= len(digits) <= 15 or len(set(digits)) < 2 or _DATE.match(body) or _UNIT.match(behind):
        return False
    words = words_of(before)
    named = next((word for word in reversed(words) if word not in _BETWEEN), "")
    called_id = named in _IDENT or before.rstrip().endswith("#")
    if _MONEY.search(before[-5:]) or (not hint.phone and (called_id or (hint.ident and not body.startswith("+")))):
        return False
    beside = named in _CLOSE or bool(_BEHIND.match(behind))
    abroad = "+" + digits if body.startswith("+") else "+" + digits[2:] if body.startswith("00") else ""
    if body.isdigit():
        # Without a separator it is an id or a time unless something beside it says phone.
        return (hint.phone and lookups.anywhere(digits, valid=False)) or (
            beside
            and (lookups.anywhere(digits, valid=True) or (bool(abroad) and lookups.ask(abroad, None, valid=True)))
        )
    near = hint.phone or beside or any(word in _NEAR for word in words)
    if abroad:
        grouped = near or not body.lstrip("+ ").isdigit()
        return lookups.ask(abroad, None, valid=not grouped)
    if near:
        return lookups.anywhere(digits, valid=False)
    if _AMERICAN.fullmatch(body):
        return True
    if len(digits) < 8 or _AMOUNT.fullmatch(body) or _HOURS.fullmatch(body):
        return False
    shaped = body.startswith("0") or "(" in body or bool(_PAIRS.fullmatch(body))
    return shaped and lookups.anywhere(digits, valid=True)
