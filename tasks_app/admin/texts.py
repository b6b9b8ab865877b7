"""How values read in the console: spans of time, Markdown, nested data, sentences about events. No database here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import markdown
import nh3
import orjson
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from tasks_app.selectors import SOON

_TAGS: Final = {
    "p",
    "ul",
    "ol",
    "li",
    "strong",
    "em",
    "code",
    "pre",
    "h1",
    "h2",
    "h3",
    "h4",
    "blockquote",
    "br",
    "hr",
    "a",
}
_TAGS_OF_TABLES: Final = {"table", "thead", "tbody", "tr", "th", "td"}
MAX_ROWS: Final = 300
MAX_VALUE: Final = 4_000
MAX_RAW: Final = 100_000


def span(length: timedelta, *, coarse: bool = False) -> str:
    """A length of time, as exactly as anybody needs: `45 s`, `2 h 10 min`, `15 h`, `3 d 4 h`, `12 d`.

    `coarse`: in one unit, for ages.
    """
    seconds = int(abs(length).total_seconds())
    days, hours, minutes = seconds // 86400, seconds % 86400 // 3600, seconds % 3600 // 60
    if days >= 10 or (days and (coarse or not hours)):
        return _("%(d)d d") % {"d": days}
    if days:
        return _("%(d)d d %(h)d h") % {"d": days, "h": hours}
    if hours and minutes and hours < 10 and not coarse:
        return _("%(h)d h %(m)d min") % {"h": hours, "m": minutes}
    if hours:
        return _("%(h)d h") % {"h": hours}
    if minutes:
        return _("%(m)d min") % {"m": minutes}
    return _("%(s)d s") % {"s": seconds}


def percent(share: float | None) -> str:
    """`67 %`; a dash where there is none."""
    return "–" if share is None else f"{round(100 * share)} %"


def ago(moment: datetime, now: datetime) -> str:
    """`2 minutes ago` in short: `2 min ago`; `just now` for the last ten seconds."""
    passed = now - moment
    return _("just now") if passed < timedelta(seconds=10) else _("%(span)s ago") % {"span": span(passed)}


@dataclass(frozen=True)
class TimeLeft:
    """A deadline as the queue shows it. `tone`: late, soon, calm, none, done."""

    text: str
    tone: str
    due_by: datetime | None


def time_left(due_by: datetime | None, now: datetime, *, ended_at: datetime | None = None) -> TimeLeft:
    """How long until `due_by`; for an ended task whether it ended in time."""
    if ended_at is not None:
        late = due_by is not None and ended_at > due_by
        text = (
            _("%(span)s late") % {"span": span(ended_at - due_by)}
            if late and due_by
            else _("in time")
            if due_by
            else "–"
        )
        return TimeLeft(text, "done", due_by)
    if due_by is None:
        return TimeLeft(_("no deadline"), "none", None)
    if due_by < now:
        return TimeLeft(_("%(span)s late") % {"span": span(now - due_by)}, "late", due_by)
    return TimeLeft(
        _("%(span)s left") % {"span": span(due_by - now)}, "soon" if due_by - now < SOON else "calm", due_by
    )


@lru_cache(maxsize=128)
def rendered_markdown(text: str) -> SafeString:
    """The instructions of a type as HTML: written by administrators, sanitised all the same."""
    html = markdown.markdown(text, extensions=["sane_lists", "tables"])
    # nh3 keeps the tags named and http(s) and mailto links alone, so the result is safe to show.
    return mark_safe(  # noqa: S308
        nh3.clean(
            html, tags=_TAGS | _TAGS_OF_TABLES, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"}
        )
    )


# Asks of a part of the data, by its path and value, whether it is flagged.
Marks = Callable[[tuple[str, ...], Any], bool]


@dataclass(frozen=True)
class Part:
    """A piece of a value: one item of a list, or all of it."""

    text: str
    is_flagged: bool = False


@dataclass(frozen=True)
class DataRow:
    """One line of nested data. `value` is None for the head of a group; `kind` is text, code, number, flag or empty.

    `parts`: the value in pieces, where one of them alone is flagged.
    """

    name: str
    value: str | None
    kind: str
    depth: int
    is_flagged: bool = False
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class DataTable:
    rows: list[DataRow]
    omitted: int
    raw: str


def data_table(data: dict[str, Any], marks: Marks | None = None, path: tuple[str, ...] = ()) -> DataTable:
    """Nested data as lines with their depth, bounded; the raw JSON beside it for those who want to copy it.

    `marks` says which parts are flagged; `path` is where the data stands in what was sent.
    """
    rows: list[DataRow] = []
    omitted = 0

    def marked(path: tuple[str, ...], value: Any) -> bool:
        return marks is not None and len(rows) < MAX_ROWS and marks(path, value)

    for row in _rows(data, 0, path, marked, False):
        if len(rows) < MAX_ROWS:
            rows.append(row)
        else:
            omitted += 1
    raw = orjson.dumps(data, option=orjson.OPT_INDENT_2).decode() if data else ""
    return DataTable(rows, omitted, raw[:MAX_RAW])


def _rows(data: dict[str, Any], depth: int, path: tuple[str, ...], marks: Marks, inside: bool) -> Iterator[DataRow]:
    for name, value in data.items():
        yield from _row(str(name), value, depth, (*path, str(name)), marks, inside)


def _row(name: str, value: Any, depth: int, path: tuple[str, ...], marks: Marks, inside: bool) -> Iterator[DataRow]:
    flagged = inside or marks(path, value)
    if isinstance(value, dict) and value:
        yield DataRow(name, None, "group", depth, flagged)
        yield from _rows(value, depth + 1, path, marks, flagged)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        # One head per item, `assets 2`, and none for the list itself: fewer lines, less depth.
        for number, item in enumerate(value):
            yield from _row(f"{name} {number + 1}", item, depth, (*path, str(number)), marks, flagged)
    else:
        items = list(enumerate(value)) if isinstance(value, list) and not flagged else []
        parts = tuple(Part(_shown(item)[0][:MAX_VALUE], marks((*path, str(n)), item)) for n, item in items[:MAX_ROWS])
        some = any(part.is_flagged for part in parts)
        yield DataRow(name, *_shown(value), depth, flagged or some, parts if some else ())


def _shown(value: Any) -> tuple[str, str]:
    if value is None or value in ("", [], {}):
        return "–", "empty"
    if isinstance(value, bool):
        return (_("yes") if value else _("no")), "flag"
    if isinstance(value, int | float):
        return str(value), "number"
    if isinstance(value, list):
        return ", ".join(_shown(item)[0] for item in value)[:MAX_VALUE], "text"
    text = str(value)
    if text[:5] == "data:" and len(text) > 200:
        return f"{text[:60]} … ({len(text) // 1024} kB)", "code"
    return text[:MAX_VALUE], "code" if " " not in text.strip() and ("/" in text or "_" in text) else "text"
