"""Each mutant turns exactly its tests red. Minutes long: collected with HITL_TEST_MUTANTS=1 only."""

from collections.abc import Iterator

import pytest

from tests.mutants.run import Mutant, Workshop, mutants, verdict, workshop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(postgres_url: str) -> Iterator[Workshop]:
    with workshop(postgres_url) as opened:
        yield opened


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_it_is_killed_by_exactly_its_tests(mutant: Mutant, shop: Workshop) -> None:
    wrong = verdict(mutant, {"unchanged": shop.unchanged(mutant), "mutated": shop.mutated(mutant)})
    assert not wrong, f"{mutant.breaks} {wrong}"
