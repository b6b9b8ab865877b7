"""The settings as tests see them: a home folder and keys of their own, and never the shell's database or broker.

Environment variables are set here, before the real settings are read, and so reach processes that tests start.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from hitl import home

if "HITL_TEST_HOME" not in os.environ:
    os.environ["HITL_TEST_HOME"] = tempfile.mkdtemp(prefix="hitl-tests-")
    atexit.register(shutil.rmtree, os.environ["HITL_TEST_HOME"], ignore_errors=True)

# A run on PostgreSQL (tests/run.py) names its server twice; anything else in the shell is not meant for tests.
for given, for_tests in (("DATABASE_URL", "TEST_DATABASE_URL"), ("REDIS_URL", "TEST_REDIS_URL")):
    if os.environ.get(given) != os.environ.get(for_tests):
        os.environ.pop(given, None)
for name in [
    name for name in os.environ if name.startswith("HITL_") and not name.startswith(("HITL_TEST_", "HITL_SHARED_"))
]:
    del os.environ[name]
os.environ["HITL_HOME"] = os.environ["HITL_TEST_HOME"]
home.prepare(Path(os.environ["HITL_HOME"]), {})

from hitl.settings import *  # noqa: E402, F403
from hitl.settings import DATABASES, HITL_HOME  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if DATABASES["default"]["ENGINE"] == "core.sqlite":
    # A file, as in real life: threads and a live server then meet on connections of their own.
    DATABASES["default"]["TEST"] = {"NAME": str(HITL_HOME / "test.sqlite3")}
    pragmas = DATABASES["default"]["OPTIONS"]["init_command"]
    DATABASES["default"]["OPTIONS"]["init_command"] = pragmas.replace("synchronous=FULL", "synchronous=OFF")

HITL_LOOKUP_SECONDS = 0.0  # a change acts at once; tests of the remembering switch it on
