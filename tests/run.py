"""`python -m tests.run [sqlite] [postgres] [pytest's arguments]`: the suite on SQLite, then the same on PostgreSQL.

The servers are started once for all of it, and for all of pytest's processes; tests find them by TEST_DATABASE_URL and
TEST_REDIS_URL. Without arguments both passes run.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

from tests import servers

PASSES = ("sqlite", "postgres")


def main(arguments: list[str]) -> int:
    passes = [name for name in PASSES if name in arguments] or list(PASSES)
    rest = [argument for argument in arguments if argument not in PASSES]
    status = 0
    # The suite starts some hundred processes: without files of bytecode each would compile all modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # As Ctrl-C does: unwind, so that no server of the run is left behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with contextlib.ExitStack() as stack:
        for variable, start in (("TEST_DATABASE_URL", servers.postgres), ("TEST_REDIS_URL", servers.redis_server)):
            try:
                os.environ[variable] = stack.enter_context(start())
            except servers.NoServerError as error:
                print(f"No {error}", flush=True)
        for name in passes:
            status = _run(name, rest) or status
    return status


def _run(name: str, arguments: list[str]) -> int:
    environment = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
    if name == "postgres":
        if "TEST_DATABASE_URL" not in environment:
            print("The pass on PostgreSQL is left out: there is no server.", flush=True)
            return int(os.environ.get("CI", "").lower() in {"1", "true"})
        environment["DATABASE_URL"] = environment["TEST_DATABASE_URL"]
    print(f"\n===== the suite on {name} =====", flush=True)
    begin = time.monotonic()
    status = subprocess.run([sys.executable, "-m", "pytest", *arguments], env=environment, check=False).returncode
    print(f"===== {name}: {time.monotonic() - begin:.0f} s =====", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
