"""Masks text and JSON: a copy that may be stored and shown, and the originals, to be sealed.

Pure: no model, no I/O. What an adapter or a person sends passes through here before anything is stored, so that lists,
exports, webhooks, logs and the trail never hold personal data or a credential (design, section 5). What was cut out is
replaced by a placeholder such as `[email 1]`; equal originals get the same placeholder within one call, so a reviewer
still sees that two addresses are one.

What counts as personal data is in `detectors.py`, credentials are in `credentials.py`, key names in `keynames.py`.
Names of people and street addresses are not promised.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tasks_app import credentials, detectors
from tasks_app.credentials import Hit
from tasks_app.keynames import Hint, hint_of, secret_kind, secret_number
from tasks_app.phones import Lookups

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

KINDS = ("email", "phone", "card", "iban", "ip", "national id", "credential")
_PLACEHOLDER = re.compile(rf"\[({'|'.join(KINDS)}) ([1-9]\d{{0,8}})\]", re.ASCII)
# Cutting one thing out can lay another bare (two numbers that ran together), so a text is read until nothing is found.
_ROUNDS = 12
# A long one as often as this many characters allow, at least twice: its cost stays that of a few readings.
_READ_AT_MOST = 3_000_000
_NO_HINT = Hint()
# The vocabulary of the adapters: their keys and words come again with every task. Remembered are short texts without a
# digit in which nothing was found, and whether personal data was looked for; without digits no hint has a say.
_PLAIN_LENGTH = 60
_MOST_PLAIN = 10_000
_DIGIT = re.compile(r"\d")
_plain: set[tuple[str, bool]] = set()
_SCHEME_WORDS = frozenset({"", "bearer", "basic", "token", "apikey", "key", "digest"})


@dataclass(frozen=True, slots=True)
class Masked:
    """A masked copy, and what was cut out of it by placeholder. A number is kept in its decimal form."""

    value: Json
    originals: dict[str, str]

    @property
    def text(self) -> str:
        """The masked copy of a text."""
        if not isinstance(self.value, str):
            raise TypeError("Only the masked copy of a text is a text.")
        return self.value


@dataclass(frozen=True, slots=True)
class MaskedFields:
    """The same for several fields at once; they share one numbering."""

    values: dict[str, Json]
    originals: dict[str, str]


def mask_text(text: str, *, start: Mapping[str, int] | None = None) -> Masked:
    """Mask a text. `start` holds the last number used by kind (see `numbers_used`): numbering goes on behind it."""
    run = _Run(start, text)
    return Masked(run.text(text, _NO_HINT, personal=True), run.originals)


def mask_json(
    value: Json, *, safe_fields: frozenset[str] = frozenset(), start: Mapping[str, int] | None = None
) -> Masked:
    """Mask every string, number and key in a JSON value.

    `safe_fields` names keys ("geo_ip") or dotted paths ("device.geo_ip", list positions left out) whose values hold no
    personal data; credentials are masked there all the same, and under a key that names an id also what cannot be one:
    an e-mail address, an international phone number. Depth is the caller's to limit (the API's parser does).
    """
    run = _Run(start, value)
    return Masked(run.json(value, "", "", _Safe(safe_fields)), run.originals)


def mask_fields(
    values: Mapping[str, Json], *, safe_fields: frozenset[str] = frozenset(), start: Mapping[str, int] | None = None
) -> MaskedFields:
    """Mask the fields of a task in one call; a field's name counts as its key, so `media_buy_id` is known to be an id.

    A safe field is a field's name, a key below it, or a dotted path with or without the field's name.
    """
    run = _Run(start, dict(values))
    safe = _Safe(safe_fields)
    masked: dict[str, Json] = {}
    for name, value in values.items():
        secret = name if secret_kind(name) else ""
        masked[name] = run.json(value, name, name, safe, personal=name not in safe, secret=secret)
    return MaskedFields(masked, run.originals)


def unmask(value: Json, originals: Mapping[str, str]) -> Json:
    """Put the originals back. Read once from left to right: an original that looks like a placeholder is not read
    again, and a placeholder that is not among the originals was in the input and stays."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: originals.get(found[0], found[0]), value)
    if isinstance(value, list):
        return [unmask(item, originals) for item in value]
    if isinstance(value, dict):
        return {str(unmask(key, originals)): unmask(item, originals) for key, item in value.items()}
    return value


def numbers_used(placeholders: Iterable[str]) -> dict[str, int]:
    """The highest number by kind among these placeholders or masked texts, to be passed as `start` for the same
    task."""
    used: dict[str, int] = {}
    for text in placeholders:
        for found in _PLACEHOLDER.finditer(text):
            used[found[1]] = max(used.get(found[1], 0), int(found[2]))
    return used


class _Safe:
    """Whether a path is declared safe: by its last key, by its end, or by a safe parent (which the walk hands down)."""

    def __init__(self, fields: frozenset[str]) -> None:
        self.whole = fields
        self.endings = tuple(f".{name}" for name in fields)

    def __contains__(self, path: str) -> bool:
        return path in self.whole or path.endswith(self.endings)


@dataclass(slots=True)
class _Run:
    """One call: the numbering, the originals, and the answers of the phone library so far."""

    start: Mapping[str, int] | None
    source: Json
    originals: dict[str, str] = field(default_factory=dict)
    _given: dict[tuple[str, str], str] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)
    _taken: set[str] | None = None
    _lookups: Lookups = field(default_factory=Lookups)

    def placeholder(self, kind: str, original: str) -> str:
        """The placeholder of this original. One that stands in the input as plain text is never given out, so revealing
        cannot take the sender's text for ours."""
        if (kind, original) in self._given:
            return self._given[kind, original]
        if self._taken is None:
            self._taken = set(_literals(self.source))
        number = self._last.get(kind, (self.start or {}).get(kind, 0)) + 1
        while (token := f"[{kind} {number}]") in self._taken:
            number += 1
        self._last[kind] = number
        self._given[kind, original] = token
        self.originals[token] = original
        return token

    def json(self, value: Json, key: str, path: str, safe: _Safe, *, personal: bool = True, secret: str = "") -> Json:
        """Walk the value; `secret` is the key, here or above, that makes every value below it a secret."""
        if isinstance(value, dict):
            masked: dict[str, Json] = {}
            for name, item in value.items():
                below = f"{path}.{name}" if path else name
                shown = self.text(name, _NO_HINT, personal=personal)
                inner = name if secret_kind(name) else secret
                masked[shown] = self.json(
                    item, name, below, safe, personal=personal and below not in safe, secret=inner
                )
            return masked
        if isinstance(value, list):
            return [self.json(item, key, path, safe, personal=personal, secret=secret) for item in value]
        if value is None or isinstance(value, bool):
            return value
        kind = secret_kind(secret) if secret else None
        if isinstance(value, str):
            return self._whole(value, kind) if kind else self.text(value, hint_of(key), personal=personal)
        if kind:
            return self.placeholder(kind, str(value)) if secret_number(secret) else value
        return self._number(value, hint_of(key)) if personal else value

    def _whole(self, value: str, kind: str) -> str:
        """A value under a secret's key, masked as a whole; blanks, stars and what is masked already say nothing."""
        bare = _PLACEHOLDER.sub("", value)
        if not bare.strip(" *") or bare.strip().lower() in _SCHEME_WORDS:
            return value
        return self.placeholder(kind, str(unmask(value, self.originals)))

    def _number(self, value: int | float, hint: Hint) -> Json:
        """A card may come as a number, a phone under a phone's key; shorter numbers are not even looked at."""
        if not abs(value) < 10**19 or (isinstance(value, float) and not value.is_integer()):
            return value
        digits = str(int(value))
        if hint.measure or len(digits) < (7 if hint.phone else 12):
            return value
        masked = self.text(digits, hint, personal=True)
        return value if masked == digits else masked

    def text(self, text: str, hint: Hint, *, personal: bool) -> str:
        searched = personal or hint.ident
        if len(text) < 5 or (text, searched) in _plain:
            return text
        detectors_for = detectors.detectors_for if personal else detectors.detectors_of_ids
        given = text
        for _ in range(min(_ROUNDS, max(2, _READ_AT_MOST // len(text)))):
            before = text
            for find in credentials.detectors_for(text):
                text = self._cut(text, find(text))
            if searched:
                for look in detectors_for(text):
                    text = self._cut(text, look(text, hint, self._lookups))
            if text == before:
                break
        if text == given and len(text) <= _PLAIN_LENGTH and not _DIGIT.search(text):
            if len(_plain) >= _MOST_PLAIN:
                _plain.clear()
            _plain.add((text, searched))
        return text

    def _cut(self, text: str, hits: Iterable[Hit]) -> str:
        if not (hits := list(hits)):
            return text
        marks = [found.span() for found in _PLACEHOLDER.finditer(text)] if "[" in text else []
        parts, end, mark = [], 0, 0
        for start, stop, kind in hits:
            while mark < len(marks) and marks[mark][1] <= start:
                mark += 1
            if mark < len(marks) and marks[mark][0] < start:
                start = marks[mark][1]
            if start >= stop or start < end:
                continue
            last = mark
            while last < len(marks) and marks[last][1] <= stop:
                last += 1
            if last < len(marks) and marks[last][0] < stop:
                stop = marks[last][0]
            found = text[start:stop]
            bare = _PLACEHOLDER.sub("", found).strip()
            if not any(c.isalnum() for c in bare) or bare.lower() in _SCHEME_WORDS:
                continue
            parts += [text[end:start], self.placeholder(kind, str(unmask(found, self.originals)))]
            end = stop
        return "".join([*parts, text[end:]])


def _literals(value: Json) -> Iterable[str]:
    """Everything in the input that reads like a placeholder."""
    if isinstance(value, str):
        yield from (found[0] for found in _PLACEHOLDER.finditer(value))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _literals(key)
            yield from _literals(item)
    elif isinstance(value, list):
        for item in value:
            yield from _literals(item)
