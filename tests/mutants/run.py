"""Mutants: patches to shipped code, each of which must turn exactly its own tests red.

    python -m tests.mutants.run [name ...]        (make mutants)

A patch begins with what it breaks, then says what to run, what must turn red, and whether that needs PostgreSQL. It is
applied to a temporary copy of the tree. The unchanged copy runs first: there everything must be green.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import servers

ROOT = Path(__file__).resolve().parents[2]
PATCHES = Path(__file__).resolve().parent
# What tests need of the tree. Nothing else is copied: not the data in var/, nor the installed packages.
COPIED = (
    "core",
    "hitl",
    "tasks_app",
    "notifications",
    "templates",
    "static",
    "tests",
    "docs",
    "manage.py",
    "pyproject.toml",
)
_OUTCOME = re.compile(r"^(FAILED|ERROR) (\S+)", re.MULTILINE)


class MutantError(Exception):
    """The mutant shows nothing: its patch does not apply, or its run did not come to an end."""


@dataclass(frozen=True)
class Mutant:
    """One patch and what it says about itself."""

    path: Path
    breaks: str
    run: tuple[str, ...]
    red: frozenset[str]
    needs_postgres: bool

    @property
    def name(self) -> str:
        return self.path.stem


def read(path: Path) -> Mutant:
    """Read a patch's header: the lines before the first diff."""
    header = path.read_text().partition("\ndiff --git ")[0]
    said = dict(re.findall(r"^(Needs|Run|Red): (.+)$", header, re.MULTILINE))
    return Mutant(
        path=path,
        breaks=header.splitlines()[0],
        run=tuple(said["Run"].split()),
        red=frozenset(said["Red"].split()),
        needs_postgres=said.get("Needs") == "postgres",
    )


def mutants() -> list[Mutant]:
    return [read(path) for path in sorted(PATCHES.glob("*.patch"))]


def copy_tree(target: Path) -> Path:
    """The tree without caches."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        elif source.exists():
            shutil.copy2(source, target / name)
    return target


def apply(mutant: Mutant, tree: Path) -> None:
    """Raises MutantError where the patched code has changed since the patch was written."""
    command = ["git", "apply", "-p1", "-C1", str(mutant.path)]
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MutantError(f"{mutant.name} does not apply any more; write it anew for the code as it is.\n{done.stderr}")


def red_tests(tree: Path, run: Iterable[str], home: Path, database: str) -> set[str]:
    """Run tests in `tree`; return the ids of those that failed."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "TEST_DATABASE_URL", "CI")
    }
    environment |= {"HITL_TEST_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    if database:
        environment |= {"DATABASE_URL": database, "TEST_DATABASE_URL": database}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--reuse-db",
        "--tb=no",
        *run,
    ]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise MutantError(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return {test for _kind, test in _OUTCOME.findall(done.stdout)}


class Workshop:
    """A folder with the unchanged tree and databases ready for use; each mutant works on copies."""

    def __init__(self, folder: Path, postgres: str) -> None:
        self.folder = folder
        self.postgres = postgres
        self._unchanged: dict[tuple[str, ...], set[str]] = {}
        self._tree = copy_tree(folder / "unchanged")
        self._home = folder / "home"
        self._home.mkdir()

    def unchanged(self, mutant: Mutant) -> set[str]:
        """What is red before anything was patched; this also migrates the databases that the mutants start from."""
        if mutant.run not in self._unchanged:
            self._unchanged[mutant.run] = red_tests(self._tree, mutant.run, self._home, self._database(mutant))
        return self._unchanged[mutant.run]

    def mutated(self, mutant: Mutant) -> set[str]:
        folder = self.folder / mutant.name
        try:
            tree = folder / "tree"
            shutil.copytree(self._tree, tree)
            apply(mutant, tree)
            home = folder / "home"
            shutil.copytree(self._home, home)
            return red_tests(tree, mutant.run, home, self._database(mutant))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _database(self, mutant: Mutant) -> str:
        return self.postgres if mutant.needs_postgres else ""


@contextlib.contextmanager
def workshop(postgres: str) -> Iterator[Workshop]:
    with tempfile.TemporaryDirectory(prefix="hitl-mutants-") as folder:
        yield Workshop(Path(folder), postgres)


def verdict(mutant: Mutant, seen: Mapping[str, set[str]]) -> str:
    """Empty if exactly the right tests turned red."""
    if seen["unchanged"]:
        return f"red without any patch: {sorted(seen['unchanged'])}"
    if seen["mutated"] == mutant.red:
        return ""
    missed, others = sorted(mutant.red - seen["mutated"]), sorted(seen["mutated"] - mutant.red)
    return " ".join(
        part for part in (missed and f"stayed green: {missed}", others and f"red as well: {others}") if part
    )


def main(names: list[str]) -> int:
    chosen = [mutant for mutant in mutants() if not names or mutant.name in names]
    failures = 0
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(servers.postgres()) if any(mutant.needs_postgres for mutant in chosen) else ""
        shop = stack.enter_context(workshop(postgres))
        for mutant in chosen:
            begin = time.monotonic()
            try:
                wrong = verdict(mutant, {"unchanged": shop.unchanged(mutant), "mutated": shop.mutated(mutant)})
            except MutantError as error:
                wrong = str(error)
            failures += bool(wrong)
            print(f"{wrong or 'killed'}  {mutant.name}  ({time.monotonic() - begin:.0f} s) {mutant.breaks}", flush=True)
    print(f"{len(chosen) - failures} of {len(chosen)} mutants killed by exactly their tests")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
