"""Where the real data lies, and a tiny queue to talk to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.tiny_queue import TinyQueue

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def shared_data() -> Path:
    """The folder of real input; the test is skipped, saying so, where it is absent."""
    data = Path(os.environ.get("HITL_SHARED_DATA", REPOSITORY / "../shared/data")).resolve()
    if not (data / "ad_errors").is_dir():
        pytest.skip(f"no real data at {data}; set HITL_SHARED_DATA")
    return data


@pytest.fixture
def tiny_queue() -> Iterator[TinyQueue]:
    """A queue in memory that answers over real HTTP."""
    with TinyQueue() as server:
        yield server
