"""What is looked for around digits, or in long words alone, is what a search of the whole text finds."""

import random
import re

import pytest

from tasks_app import credentials, detectors
from tasks_app.credentials import Hit
from tasks_app.keynames import Hint
from tasks_app.phones import Lookups

TEXTS = 3_000
SHAPED = (
    *("123-45-6789", "123 45 6789", "529.982.247-25", "52998224725", "85.07.30-033.28", "131052-308T", "131052A308T"),
    *("811228-9874", "19811228-9874", "RSSMRA85T10A562S", "BOXW310820HNERXN09", "X1234567L", "x-1234567-l"),
    *("12345678Z", "AB123456C", "AB 12 34 56 C", "ab 12 34 56 d", "1 85 05 78 006 084 36", "185057800608436"),
    *("2341 2341 2346", "36 574 261 809", "046 454 286", "111222333", "44051401359"),
    *("sk_live_abcdefghij12", "AKIAABCDEFGHIJKLMNOP", "xoxb-1234567890", "ya29.abcdefghij", "SG.abcdefghij.abcdefghij"),
    *("dapi0123456789abcdef0123456789abcdef", "hvs.abcdefghijklmnopqrst", "4/0Aabcdefghijklmnopqrst"),
)
AROUND = (
    *("ssn", "cpf", "nino", "NI number", "aadhaar", "steuer-id", "sin", "bsn", "pesel", "personnummer", "dni", "nir"),
    *(
        "",
        " ",
        "  ",
        "\n",
        "\t",
        "\u00a0",
        ".",
        ",",
        "(",
        ")",
        "-",
        "_",
        "/",
        ":",
        "a",
        "B",
        "é",
        "1",
        "12",
        "1234",
        "٣٤٥",
    ),
    *("request", "0000000123", "2025-03-01", "PermissionError.PERMISSION_DENIED", "lineItems[0].creatives;"),
)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    draw = random.Random(20261201)
    return [
        "".join(draw.choice(draw.choice((SHAPED, AROUND))) + draw.choice(("", " ")) for _ in range(draw.randint(1, 9)))
        for _ in range(TEXTS)
    ]


def ids_of(text: str) -> list[Hit]:
    """National ids as the whole text is searched for each of them."""
    found: list[Hit] = []
    for scheme in detectors._SCHEMES:
        for match in scheme.pattern.finditer(text):
            start, end = match.span()
            if scheme.near is not None and not scheme.near.search(text, max(0, start - 60), start):
                continue
            if scheme.valid(match[0]):
                found.append((start, end, "national id"))
    apart: list[Hit] = []
    for hit in sorted(found):
        if not apart or hit[0] >= apart[-1][1]:
            apart.append(hit)
    return apart


def test_no_national_id_is_passed_by(texts: list[str]) -> None:
    expected = [ids_of(text) for text in texts]
    assert [list(detectors.national_ids(text, Hint(), Lookups())) for text in texts] == expected
    assert sum(map(len, expected)) > TEXTS / 4


@pytest.mark.parametrize("pattern", [credentials._KEY, credentials._MORE_KEYS], ids=["known", "rarer"])
def test_no_key_is_passed_by(texts: list[str], pattern: re.Pattern[str]) -> None:
    has_one = [text for text in texts if pattern.search(text)]
    assert len(has_one) > TEXTS / 40
    for text in has_one:
        hits = [hit[:2] for find in credentials.detectors_for(text) for hit in find(text)]
        assert {match.span() for match in pattern.finditer(text)} <= set(hits)
