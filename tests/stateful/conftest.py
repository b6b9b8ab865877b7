"""How long the machines play: 200 games of 50 moves in every run, 2,000 with HITL_TEST_PROFILE=nightly.

The every-day run plays the same games each time, so that it never fails for somebody who changed nothing, and shows a
lost game as it was. The nightly one plays new games and shortens what it loses, which can take minutes.
"""

import os

from hypothesis import HealthCheck, Phase, settings

from tests.profile import NIGHTLY

_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

settings.register_profile(
    "every-run",
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=_SLOW,
)
settings.register_profile(
    "nightly", max_examples=2000, stateful_step_count=50, deadline=None, print_blob=True, suppress_health_check=_SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("nightly" if NIGHTLY else "every-run"))
