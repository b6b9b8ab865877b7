"""Which part of what the adapter sent was flagged, and the data as tables in which that part is marked.

Adapters flag by path (`"flagged": ["targeting.audiences[1]"]`, also as JSON pointers or as objects with a reason) or
in words (`"flags": ["age_min 16 includes minors"]`), where a name or a quoted value of the targeting is found again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from django.utils.translation import gettext as _

from tasks_app.admin.texts import DataTable, data_table

_MOST: Final = 50
MOST_TO_START_FROM: Final = 8_000
TARGETING: Final = ("targeting", "targeting_overlay", "audience", "audiences", "geo")
REQUEST: Final = ("parameters", "params", "request", "payload", "arguments")
# Said elsewhere on the page: as marks, as the policy's card, as the error.
_SAID: Final = ("flagged", "flags", "violations", "policy_id")

Path = tuple[str, ...]


@dataclass(frozen=True)
class Flags:
    """What was flagged: paths, words about them, and the names and values that the words name."""

    paths: frozenset[Path]
    words: tuple[str, ...]

    def marks(self, path: Path, value: Any) -> bool:
        """Whether this very part is flagged; what stands below a flagged part is not asked."""
        if any(path[-len(flagged) :] == flagged for flagged in self.paths):
            return True
        name = next((part for part in reversed(path) if not part.isdigit()), "")
        is_leaf = not isinstance(value, dict | list)
        for word in self.words:
            # A part of the text first: quoting each value and making an expression of each name for each of fifty words
            # took twenty seconds for a context of a megabyte.
            named = is_leaf and isinstance(value, str) and len(value) > 2 and value in word
            if named and any(quoted in word for quoted in _quoted(value)):
                return True
            if not name or name not in word:
                continue
            if word.startswith(f"{name} "):
                return True
            if "_" in name and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", word):
                return True
        return False


def _quoted(value: str) -> tuple[str, ...]:
    return f"'{value}'", f'"{value}"', f"«{value}»", f"“{value}”"


def flags_in(context: Mapping[str, Any]) -> Flags:
    """The flags in `context_data`, fifty at most."""
    paths: set[Path] = set()
    words: list[str] = []
    for key in ("flagged", "flags", "violations"):
        given = context.get(key)
        for one in (given if isinstance(given, list) else [given])[:_MOST]:
            if isinstance(one, dict):
                path = next((one[k] for k in ("path", "field", "location") if isinstance(one.get(k), str)), "")
                said = next((one[k] for k in ("reason", "message", "explanation") if isinstance(one.get(k), str)), "")
            elif isinstance(one, str):
                path, said = (one, "") if _is_path(one) else ("", one)
            else:
                continue
            paths |= {parsed} if (parsed := parsed_path(path)) else set()
            words += [said[:500]] if said else []
    return Flags(frozenset(paths), tuple(words))


def _is_path(text: str) -> bool:
    return len(text) <= 200 and re.fullmatch(r"[\w$./\[\]'\"-]+", text) is not None


def parsed_path(text: str) -> Path:
    """`targeting.audiences[1]`, `/targeting/audiences/1`, `$.targeting['audiences'][1]` alike as their parts."""
    parts = [part for part in re.split(r"[./\[\]'\"]+", text[:200]) if part and part != "$"]
    return tuple(parts[1:] if parts[:1] == ["context_data"] else parts)


@dataclass(frozen=True)
class Section:
    """One table of the page. `missing`: flagged paths that are nowhere in the data."""

    title: str
    table: DataTable
    is_flagged: bool


@dataclass(frozen=True)
class Sent:
    """All that the adapter sent: its tables, the flags in words, and flagged paths that are not in the data."""

    sections: list[Section]
    words: list[str]
    missing: list[str]


def sent_by_adapter(context: dict[str, Any]) -> Sent:
    """Targeting, request and the rest as tables, the flagged one first."""
    flags = flags_in(context)
    groups: dict[str, dict[str, Any]] = {"targeting": {}, "request": {}, "rest": {}}
    for name, value in context.items():
        if name in _SAID:
            continue
        nested = isinstance(value, dict | list) and bool(value)
        group = "targeting" if nested and name in TARGETING else "request" if nested and name in REQUEST else "rest"
        groups[group][name] = value
    titles = {"targeting": _("Targeting"), "request": _("Request"), "rest": _("What the adapter sent")}
    sections = []
    for group, data in groups.items():
        if data:
            lone = next(iter(data.values())) if group != "rest" and len(data) == 1 else None
            prefix = (next(iter(data)),) if isinstance(lone, dict) else ()
            all_of_it = bool(prefix) and flags.marks(prefix, lone)
            marks = (lambda path, value: True) if all_of_it else flags.marks
            table = data_table(lone if isinstance(lone, dict) else data, marks, prefix)
            sections.append(Section(titles[group], table, any(row.is_flagged for row in table.rows)))
    missing = [".".join(path) for path in flags.paths if not _exists(context, path)]
    return Sent(sorted(sections, key=lambda section: not section.is_flagged), list(flags.words), sorted(missing))


def prefill(context: dict[str, Any]) -> str:
    """Targeting and request as JSON, to start modifications from; empty where there is none, or too much of it."""
    data = {name: context[name] for name in (*TARGETING, *REQUEST) if isinstance(context.get(name), dict | list)}
    text = orjson.dumps(data, option=orjson.OPT_INDENT_2).decode() if data else ""
    return text if len(text) <= MOST_TO_START_FROM else ""


def _exists(data: Any, path: Path) -> bool:
    """Whether the path leads anywhere, from the root or from any key below it."""
    if _follows(data, path):
        return True
    values = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return any(_exists(value, path) for value in list(values)[:200] if isinstance(value, dict | list))


def _follows(data: Any, path: Path) -> bool:
    for part in path:
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and part.isdecimal() and int(part) < len(data):
            data = data[int(part)]
        else:
            return False
    return True
