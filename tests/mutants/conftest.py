"""The mutants take minutes: they run with HITL_TEST_MUTANTS=1. The every-day run checks that they still apply."""

import os

collect_ignore = [] if os.environ.get("HITL_TEST_MUTANTS") else ["test_mutants.py"]
