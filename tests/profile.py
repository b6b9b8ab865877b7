"""How much the tests do: little on every run; with HITL_TEST_PROFILE=nightly the figures that docs/security.md names.

`make nightly` sets it. One figure is chosen by its own variable, in either profile: HITL_TEST_KEYS=1000.
"""

import os
from typing import Final

NIGHTLY: Final = os.environ.get("HITL_TEST_PROFILE") == "nightly"


def scaled(name: str, every_run: int, nightly: int) -> int:
    """HITL_TEST_<name> if it is set, else the figure of the profile."""
    return int(os.environ.get(f"HITL_TEST_{name}") or (nightly if NIGHTLY else every_run))
