"""Masking measured on labelled texts and on the error texts of ad servers.

The data is not part of the repository: `HITL_SHARED_DATA` names its folder, `../shared/data` beside the repository is
the default, and without it these tests are skipped. The labelled texts are synthetic, and the phone rules were written
with them in sight: their phone figures show that nothing broke, not what to expect of other texts.
"""

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tasks_app import detectors, phones
from tasks_app.masking import KINDS, Masked, mask_text

DATA = Path(os.environ.get("HITL_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
LABELLED, ERRORS = DATA / "pii" / "presidio_synth_dataset_v2.json", DATA / "ad_errors"
pytestmark = pytest.mark.skipif(not LABELLED.exists() or not ERRORS.is_dir(), reason=f"no shared data in {DATA}")

LABELS = {
    "EMAIL_ADDRESS": "email", "CREDIT_CARD": "card", "US_SSN": "national id", "IP_ADDRESS": "ip", "IBAN_CODE": "iban",
    "PHONE_NUMBER": "phone",
}  # fmt: skip
NARROW = ("US", "GB", "DE", "FR")
WIDE = (*phones.REGIONS, "HU", "CZ", "PT", "IE", "NZ", "ZA", "CA", "MX", "JP", "CN")
TOKEN = re.compile(rf"\[({'|'.join(KINDS)}) \d+\]")


@lru_cache(maxsize=1)
def _labelled() -> list[dict[str, Any]]:
    return list(json.loads(LABELLED.read_text()))


def _spans(masked: Masked) -> list[tuple[int, int, str]]:
    """Where in the original text each cut was made."""
    spans, source, at = [], 0, 0
    for found in TOKEN.finditer(masked.text):
        source, at = source + found.start() - at, found.end()
        length = len(masked.originals[found[0]])
        spans.append((source, source + length, found[1]))
        source += length
    return spans


def _score(kinds: set[str], prepare: Callable[[str], str] = str) -> dict[str, tuple[float, float]]:
    """Recall (a label counts if one cut of its kind covers it) and precision (a cut counts if it touches a label)."""
    counts = {kind: [0, 0, 0, 0] for kind in kinds}
    for row in _labelled():
        cuts = _spans(mask_text(prepare(row["full_text"])))
        for label, kind in LABELS.items():
            if kind not in kinds:
                continue
            spans = [(s["start_position"], s["end_position"]) for s in row["spans"] if s["entity_type"] == label]
            mine = [(a, b) for a, b, cut in cuts if cut == kind]
            count = counts[kind]
            count[0] += len(spans)
            count[1] += sum(any(a <= start and end <= b for a, b in mine) for start, end in spans)
            count[2] += len(mine)
            count[3] += sum(any(a < end and start < b for start, end in spans) for a, b in mine)
    return {kind: (hit / labels, right / cuts if cuts else 0.0) for kind, (labels, hit, cuts, right) in counts.items()}


def test_it_finds_what_is_labelled_and_little_else() -> None:
    scores = _score(set(LABELS.values()))
    for kind, (recall, precision) in sorted(scores.items()):
        print(f"{kind:12} recall {recall:.3f} precision {precision:.3f}")
    for kind in ("email", "card", "national id", "ip"):
        assert scores[kind][0] >= 0.99, kind
        assert scores[kind][1] >= 0.95, kind
    assert scores["iban"][0] >= 0.98
    assert scores["phone"][0] >= 0.90
    assert scores["phone"][1] >= 0.80


def test_it_finds_ibans_in_lower_case() -> None:
    assert _score({"iban"}, str.lower)["iban"][0] >= 0.98


@pytest.mark.parametrize("regions", [NARROW, phones.REGIONS, WIDE], ids=["narrow", "default", "wide"])
def test_it_keeps_the_phone_goal_with_other_regions(regions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phones, "REGIONS", regions)
    recall, precision = _score({"phone"})["phone"]
    print(f"{len(regions)} regions: phone recall {recall:.3f} precision {precision:.3f}")
    assert recall >= 0.90
    assert precision >= 0.80


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *_strings(item))


def _error_texts() -> Iterator[str]:
    for path in sorted(ERRORS.iterdir()):
        if path.suffix == ".csv":
            with path.open(newline="") as file:
                for row in csv.reader(file):
                    yield from row
        elif path.suffix == ".json":
            yield from _strings(json.loads(path.read_text()))
        else:
            yield from path.read_text().splitlines()


def test_it_masks_next_to_nothing_in_the_texts_of_ad_servers() -> None:
    texts = [text for text in _error_texts() if text.strip()]
    cut = [(text, masked.originals) for text in texts if (masked := mask_text(text)).originals]
    print(f"{len(cut)} of {len(texts)} texts: {[originals for _, originals in cut]}")
    assert len(texts) > 5_000
    assert len(cut) <= 0.02 * len(texts)
    # What is cut is an address or a phone number given as an example, never an id, amount, size or time.
    assert all("@" in original or "hone" in text for text, originals in cut for original in originals.values())


def test_it_fails_the_measure_when_a_detector_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "cards", lambda text, hint, lookups: iter(()))
    assert _score({"card"})["card"][0] < 0.99
