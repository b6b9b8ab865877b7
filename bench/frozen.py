"""The opponent is frozen: its files must be the ones it was measured with.

A benchmark against an opponent that may be edited beside the project proves nothing. `bench/naive.sha256` holds one
line per file, as `sha256sum` writes them; a changed, missing or added file stops the bench.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAIVE = HERE / "naive"
RECORD = HERE / "naive.sha256"


class ChangedOpponentError(Exception):
    """The stock project in bench/naive is not the one that was frozen."""

    def __init__(self, differences: list[str]) -> None:
        super().__init__(f"{self.__doc__} {'; '.join(differences)}.")
        self.differences = differences


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, by relative path. What Python writes beside its sources does not count."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def recorded(record: Path) -> dict[str, str]:
    lines = (line.split("  ", 1) for line in record.read_text().splitlines() if line.strip())
    return {name: digest for digest, name in lines}


def check(folder: Path = NAIVE, record: Path = RECORD) -> None:
    """Raise ChangedOpponentError, naming each file that differs from the record."""
    if not record.exists():
        raise ChangedOpponentError([f"{record.name} is missing"])
    then, now = recorded(record), digests(folder)
    differences = [f"{name} is missing" for name in then if name not in now]
    differences += [f"{name} was added" for name in now if name not in then]
    differences += [f"{name} was changed" for name in then if name in now and then[name] != now[name]]
    if differences:
        raise ChangedOpponentError(sorted(differences))


def write(folder: Path = NAIVE, record: Path = RECORD) -> None:
    """Record the files as they are: done once, before the first figure was quoted."""
    record.write_text("".join(f"{digest}  {name}\n" for name, digest in digests(folder).items()))


if __name__ == "__main__":
    try:
        check()
    except ChangedOpponentError as error:
        sys.exit(str(error))
    print(f"{len(recorded(RECORD))} files of bench/naive are as frozen.")
