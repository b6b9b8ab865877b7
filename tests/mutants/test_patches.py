"""The mutants still fit the code, and there is one for every invariant. (Whether they are killed: `make mutants`.)"""

import re
from pathlib import Path

import pytest

from tests.mutants.run import Mutant, MutantError, apply, copy_tree, mutants, verdict
from tests.stateful.invariants import INVARIANTS


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("tree"))


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_it_applies_to_shipped_code_alone(mutant: Mutant, tree: Path) -> None:
    patched = set(re.findall(r"^\+\+\+ b/(\S+)", mutant.path.read_text(), re.MULTILINE))
    assert patched
    assert all(name.split("/")[0] in ("core", "hitl", "tasks_app", "notifications") for name in patched)
    before = {name: (tree / name).read_text() for name in patched}
    try:
        apply(mutant, tree)
        assert all((tree / name).read_text() != text for name, text in before.items())
    finally:
        for name, text in before.items():
            (tree / name).write_text(text)


def test_every_invariant_has_its_mutant() -> None:
    aimed_at = {code for mutant in mutants() for test in mutant.red for code in re.findall(r"\[(I\d+)\]", test)}
    assert aimed_at == set(INVARIANTS)


def test_it_says_so_where_a_patch_no_longer_fits(tree: Path, tmp_path: Path) -> None:
    """Negative control of the runner."""
    one = mutants()[0]
    stale = tmp_path / "stale.patch"
    stale.write_text(one.path.read_text().replace("\n-", "\n-was otherwise "))
    with pytest.raises(MutantError, match="does not apply"):
        apply(Mutant(stale, one.breaks, one.run, one.red, needs_postgres=False), tree)


def test_it_accepts_neither_a_survivor_nor_collateral_damage() -> None:
    one = mutants()[0]
    assert "stayed green" in verdict(one, {"unchanged": set(), "mutated": set()})
    assert "red as well" in verdict(one, {"unchanged": set(), "mutated": {*one.red, "another"}})
    assert "without any patch" in verdict(one, {"unchanged": {"another"}, "mutated": {*one.red}})
    assert verdict(one, {"unchanged": set(), "mutated": set(one.red)}) == ""
