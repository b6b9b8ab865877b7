"""Reading an event log: rows of a CSV file, with columns named by a small TOML file, become moves of cases. Pure."""

import csv
import gzip
import tomllib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from tasks_app.states import Priority

GZIP: Final = b"\x1f\x8b"
BUILT_IN: Final = {"servicenow": Path(__file__).with_name("servicenow.toml")}


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
            columns = cls(**{**values, "ended": tuple(list[str]() + values["ended"])})
            ZoneInfo(columns.time_zone)
            for slug in columns.priorities.values():
                Priority.from_slug(slug)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise LogError(f"{path}: {error}; see {BUILT_IN['servicenow'].name} for the keys") from None
        return columns

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


def read(path: Path, columns: Columns, *, limit: int | None = None) -> list[Case]:
    """The cases of a log (CSV, or CSV in gzip), in the order of their first rows; the first `limit` of them.

    Moments never go back within a case: a row that is dated before the one above it counts as written with it.
    Raises LogError.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for line in _lines(path, columns):
        name = line[columns.case]
        if name not in rows and limit is not None and len(rows) >= limit:
            continue
        rows.setdefault(name, []).append(line)
    if not rows:
        raise LogError(f"{path}: there is no case in it")
    zone = ZoneInfo(columns.time_zone)
    return [_case(name, lines, columns, zone) for name, lines in rows.items()]


def _lines(path: Path, columns: Columns) -> Iterator[dict[str, str]]:
    """The lines of the file, each with all columns that are named."""
    reader = None
    try:
        with path.open("rb") as beginning:
            opener = gzip.open if beginning.read(2) == GZIP else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns.named if name not in (reader.fieldnames or ())]
            if missing:
                raise LogError(f"{path}: there is no column {', '.join(missing)}")
            for line in reader:
                if any(line[name] is None for name in columns.named):
                    raise LogError(f"{path}: line {reader.line_num} is too short")
                yield line
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise LogError(f"{path}: line {reader.line_num if reader else 1}: {error}") from None


def _case(name: str, lines: list[dict[str, str]], columns: Columns, zone: ZoneInfo) -> Case:
    def moment(text: str) -> datetime:
        try:
            found = datetime.strptime(text, columns.time_format)  # noqa: DTZ007  (the log's zone follows)
            return (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise LogError(f"{name}: '{text}' is not a moment like {columns.time_format}") from None

    def known(line: dict[str, str], column: str) -> str:
        text = line[column] if column else ""
        return "" if text == columns.missing else text

    opened = moment(lines[0][columns.opened or columns.moment])
    latest, rows = opened, []
    for line in lines:
        latest = max(latest, moment(line[columns.moment]))
        priority = columns.priorities.get(known(line, columns.priority), "medium")
        rows.append(
            Row(
                at=latest,
                state=line[columns.state],
                type=known(line, columns.type),
                priority=int(Priority.from_slug(priority)),
                team=known(line, columns.team),
                assignee=known(line, columns.assignee),
                has_ended=line[columns.state] in columns.ended,
            )
        )
    return Case(name, opened, tuple(rows))
