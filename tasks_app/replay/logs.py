"""Reading an event log: rows of a CSV file, with columns named by a small TOML file, become moves of cases. Pure."""

import csv
import gzip
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from tasks_app.states import Priority

BUILT_IN: Final = {"servicenow": Path(__file__).with_name("servicenow.toml")}


class LogError(ValueError):
    """The log or its description cannot be read; the message names the line or the key."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a log mean."""

    case: str
    moment: str
    opened: str
    state: str
    type: str
    priority: str
    team: str
    assignee: str
    time_format: str
    ended: tuple[str, ...]
    time_zone: str = "UTC"
    missing: str = ""
    priorities: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str) -> "Columns":
        """A built-in format by name, or a TOML file. Raises LogError."""
        path = BUILT_IN.get(name, Path(name))
        try:
            values: dict[str, Any] = tomllib.loads(path.read_text())
            return cls(**{**values, "ended": tuple(values["ended"])})
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise LogError(f"{path}: {error}; see {BUILT_IN['servicenow'].name} for the keys") from None


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
    """
    rows: dict[str, list[dict[str, str]]] = {}
    for line in _lines(path):
        name = line[columns.case]
        if name not in rows and limit is not None and len(rows) >= limit:
            continue
        rows.setdefault(name, []).append(line)
    zone = ZoneInfo(columns.time_zone)
    return [_case(name, lines, columns, zone) for name, lines in rows.items()]


def _lines(path: Path) -> Iterator[dict[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _case(name: str, lines: list[dict[str, str]], columns: Columns, zone: ZoneInfo) -> Case:
    def moment(text: str) -> datetime:
        try:
            return datetime.strptime(text, columns.time_format).replace(tzinfo=zone).astimezone(UTC)
        except ValueError:
            raise LogError(f"{name}: '{text}' is not a moment like {columns.time_format}") from None

    def known(text: str) -> str:
        return "" if text == columns.missing else text

    opened = moment(lines[0][columns.opened])
    latest, rows = opened, []
    for line in lines:
        latest = max(latest, moment(line[columns.moment]))
        priority = columns.priorities.get(line[columns.priority], "medium")
        rows.append(
            Row(
                at=latest,
                state=line[columns.state],
                type=known(line[columns.type]),
                priority=int(Priority.from_slug(priority)),
                team=known(line[columns.team]),
                assignee=known(line[columns.assignee]),
                has_ended=line[columns.state] in columns.ended,
            )
        )
    return Case(name, opened, tuple(rows))
