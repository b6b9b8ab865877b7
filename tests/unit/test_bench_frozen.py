"""The benchmark's opponent stays the one that the figures were measured against."""

import shutil
from pathlib import Path

import pytest

from bench import frozen
from bench.report import Figures, WeakOpponentError, check_floors


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the frozen project that a test may spoil."""
    target = tmp_path / "naive"
    shutil.copytree(frozen.NAIVE, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def figures(work: str, limit: float, naive: float) -> Figures:
    found = Figures(work, 10_000)
    found.add("limit", limit)
    found.add("naive", naive)
    return found


def test_it_is_still_the_opponent_that_was_frozen() -> None:
    frozen.check()


def test_it_accepts_an_unchanged_copy(copy: Path) -> None:
    frozen.check(copy)


def test_it_refuses_an_opponent_whose_code_was_changed(copy: Path) -> None:
    views = copy / "work" / "views.py"
    views.write_text(views.read_text() + "\nimport time\n")
    with pytest.raises(frozen.ChangedOpponentError, match=r"work/views\.py was changed"):
        frozen.check(copy)


def test_it_refuses_an_opponent_with_an_added_file(copy: Path) -> None:
    (copy / "sitecustomize.py").write_text("import time\n")
    with pytest.raises(frozen.ChangedOpponentError, match=r"sitecustomize\.py was added"):
        frozen.check(copy)


def test_it_refuses_an_opponent_with_a_missing_file(copy: Path) -> None:
    (copy / "work" / "serializers.py").unlink()
    with pytest.raises(frozen.ChangedOpponentError, match=r"work/serializers\.py is missing"):
        frozen.check(copy)


def test_it_refuses_to_run_without_a_record(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(frozen.ChangedOpponentError, match="is missing"):
        frozen.check(copy, tmp_path / "naive.sha256")


def test_it_ignores_what_python_compiles_beside_the_sources(copy: Path) -> None:
    cache = copy / "work" / "__pycache__"
    cache.mkdir()
    (cache / "views.cpython-311.pyc").write_bytes(b"compiled")
    frozen.check(copy)


@pytest.mark.parametrize(("work", "naive"), [("create", 69.0), ("claim", 79.0)])
def test_it_refuses_a_run_in_which_the_opponent_was_weak(work: str, naive: float) -> None:
    with pytest.raises(WeakOpponentError, match=work):
        check_floors([figures(work, 1000.0, naive)])


@pytest.mark.parametrize(("work", "naive"), [("create", 71.0), ("claim", 81.0), ("queue", 1.0)])
def test_it_accepts_a_run_in_which_the_opponent_was_strong_enough(work: str, naive: float) -> None:
    check_floors([figures(work, 1000.0, naive)])
