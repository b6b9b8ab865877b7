"""Reading an event log: rows of a CSV file, with columns named by a small TOML file, become moves of cases. Pure."""

import csv
import gzip
import tomllib
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from tasks_app.states import Priority

GZIP: Final = b"\x1f\x8b"
BUILT_IN: Final = {"servicenow": Path(__file__).with_name("servicenow.toml")}
# Of other years are typing errors, and times of day without a date.
YEARS: Final = range(1970, 2201)
NAMED: Final = 10
SLUGS: Final = tuple(priority.slug for priority in Priority)


class LogError(ValueError):
    """The log or its description cannot be read; the message names the line or the key."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a log mean. Those that it has not are left out: see servicenow.toml."""

    case: str
    moment: str
    state: str
    time_format: str
    ended: tuple[str, ...]
    opened: str = ""
    type: str = ""
    priority: str = ""
    team: str = ""
    assignee: str = ""
    time_zone: str = "UTC"
    missing: str = ""
    priorities: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str) -> "Columns":
        """A built-in format by name, or a TOML file. Raises LogError."""
        path = BUILT_IN.get(name, Path(name))
        try:
            values: dict[str, Any] = tomllib.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise LogError(f"{path}: {error}; see {BUILT_IN['servicenow'].name} for the keys") from None
        wrong = cls._wrong(values)
        if wrong:
            raise LogError(f"{path}: {wrong}; see {BUILT_IN['servicenow'].name} for the keys")
        return cls(**{**values, "ended": tuple(values["ended"])})

    @classmethod
    def _wrong(cls, values: dict[str, Any]) -> str:
        """What is wrong with a description, by its key; empty: nothing."""
        known = {one.name: one for one in fields(cls)}
        needed = [name for name, one in known.items() if one.default is one.default_factory is MISSING]
        for key in needed:
            if not values.get(key):
                return f"there is no '{key}'"
        for key, value in values.items():
            if key not in known:
                return f"'{key}' is not a key"
            if key == "ended":
                if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                    return "'ended' is not a list of texts"
            elif key == "priorities":
                if not isinstance(value, dict):
                    return "'priorities' is not a table"
                for theirs, ours in value.items():
                    if str(ours).lower() not in SLUGS:
                        return f"'priorities': '{theirs}' is '{ours}', not one of {', '.join(SLUGS)}"
            elif not isinstance(value, str):
                return f"'{key}' is not a text"
        try:
            ZoneInfo(values.get("time_zone", "UTC"))
        except (OSError, ValueError, LookupError):
            return f"'time_zone': '{values['time_zone']}' is not a time zone like Europe/Berlin"
        return ""

    @property
    def named(self) -> list[str]:
        """The columns that the log has to have."""
        names = (self.case, self.moment, self.state, self.opened, self.type, self.priority, self.team, self.assignee)
        return [name for name in names if name]


@dataclass(frozen=True, slots=True)
class Row:
    """A state of a case: from `at` on it is like this."""

    at: datetime
    state: str
    type: str
    priority: int
    team: str
    assignee: str
    """Empty: somebody of the pool."""
    has_ended: bool


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    opened: datetime
    rows: tuple[Row, ...]


def read(path: Path, columns: Columns, *, limit: int | None = None, notes: list[str] | None = None) -> list[Case]:
    """The cases of a log (CSV, or CSV in gzip), in the order of their first rows; the first `limit` of them.

    Moments never go back within a case: a row that is dated before the one above it counts as written with it. What
    is odd but can be read is told in `notes`. Raises LogError.
    """
    rows: dict[str, list[_Line]] = {}
    for number, line in _lines(path, columns):
        name = line[columns.case]
        if not name.strip():
            raise LogError(f"{path}: line {number}: {columns.case} is empty")
        if name not in rows and limit is not None and len(rows) >= limit:
            continue
        rows.setdefault(name, []).append(_Line(number, _moment(path, number, line, columns.moment, columns), line))
    if not rows:
        raise LogError(f"{path}: there is no case in it")
    if notes is not None:
        notes += _odd(rows, columns)
    return [_case(path, name, lines, columns) for name, lines in rows.items()]


@dataclass(frozen=True, slots=True)
class _Line:
    """A row of the file as it stands there."""

    number: int
    at: datetime
    values: dict[str, str]


def _lines(path: Path, columns: Columns) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of the file by number, each with all columns that are named."""
    reader = None
    try:
        with path.open("rb") as beginning:
            opener = gzip.open if beginning.read(2) == GZIP else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            head = list(reader.fieldnames or ())
            missing = [name for name in columns.named if name not in head]
            if missing:
                there = ", ".join(head)[:200] or "nothing"
                raise LogError(f"{path}: there is no column {', '.join(missing)}; the first line names {there}")
            twice = [name for name in columns.named if head.count(name) > 1]
            if twice:
                raise LogError(f"{path}: there is more than one column {twice[0]}")
            for line in reader:
                if any(line[name] is None for name in columns.named):
                    raise LogError(f"{path}: line {reader.line_num} is too short")
                if None in line:
                    raise LogError(f"{path}: line {reader.line_num} has more values than there are columns")
                if "\0" in "".join(line.values()):
                    raise LogError(f"{path}: line {reader.line_num} has a zero byte")
                yield reader.line_num, line
    except UnicodeDecodeError as error:  # read in blocks: the line is not known
        raise LogError(f"{path}: it is not text in UTF-8: {error}") from None
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        # A row that cannot be read begins on the line after the last.
        raise LogError(f"{path}: line {reader.line_num + 1 if reader else 1}: {error}") from None


def _moment(path: Path, number: int, line: dict[str, str], column: str, columns: Columns) -> datetime:
    try:
        found = datetime.strptime(line[column], columns.time_format)  # noqa: DTZ007  (the log's zone follows)
        zoned = found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo(columns.time_zone))
        at = zoned.astimezone(UTC)
    except (ValueError, OverflowError):
        told = f"{column}: '{line[column][:100]}' is not a moment like {columns.time_format}"
        raise LogError(f"{path}: line {number}: {told}") from None
    if at.year not in YEARS:
        told = f"{column}: '{line[column]}' is of the year {at.year}, not of {YEARS.start} to {YEARS.stop - 1}"
        raise LogError(f"{path}: line {number}: {told}")
    return at


def _known(values: dict[str, str], column: str, columns: Columns) -> str:
    text = values[column] if column else ""
    return "" if text == columns.missing else text


def _case(path: Path, name: str, lines: list[_Line], columns: Columns) -> Case:
    first = lines[0]
    latest = opened = _moment(path, first.number, first.values, columns.opened or columns.moment, columns)
    rows = []
    for line in lines:
        latest = max(latest, line.at)
        priority = columns.priorities.get(_known(line.values, columns.priority, columns), "medium")
        state = line.values[columns.state]
        rows.append(
            Row(
                at=latest,
                state=state,
                type=_known(line.values, columns.type, columns),
                priority=int(Priority.from_slug(priority)),
                team=_known(line.values, columns.team, columns),
                assignee=_known(line.values, columns.assignee, columns),
                has_ended=state in columns.ended,
            )
        )
    return Case(name, opened, tuple(rows))


def _odd(rows: dict[str, list[_Line]], columns: Columns) -> Iterator[str]:
    """What nobody meant, most likely, though it can be read."""
    lines = [line for of_case in rows.values() for line in of_case]
    states = Counter(line.values[columns.state] for line in lines)
    if not states.keys() & set(columns.ended):
        yield f"No row is in an ended state ({', '.join(columns.ended)}). States are: {_most(states)}."
    if columns.priority:
        unlisted = Counter(_known(line.values, columns.priority, columns) for line in lines)
        for listed in (*columns.priorities, ""):
            unlisted.pop(listed, None)
        if unlisted:
            yield f"Priorities that are not listed count as medium: {_most(unlisted)}."
    back = sum(later.at < line.at for of_case in rows.values() for line, later in pairwise(of_case))
    if back:
        yield (
            f"{back} rows are dated before the one above of the same case, and count as written with it. If the log "
            "is not in order, sort it by its moments."
        )
    twice = len(lines) - sum(len({tuple(line.values.items()) for line in of_case}) for of_case in rows.values())
    if twice:
        yield f"{twice} rows stand there twice."


def _most(counted: Counter[str]) -> str:
    told = [f"{text[:50]!r} ({number})" for text, number in counted.most_common(NAMED)]
    return ", ".join(told) + (" and others" if len(counted) > NAMED else "")
