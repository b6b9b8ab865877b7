"""Where a replay plays: a database of its own, in memory, made for it and gone with it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.sqlite3.base import DatabaseWrapper

from core import recent


@contextmanager
def throw_away_database() -> Iterator[None]:
    """Within the block this thread's database is an empty one in memory, with all tables and triggers.

    A replay is one long transaction: in the installation's own database it would hold locks for as long as it takes,
    and wait for the disk.
    """
    own = connections[DEFAULT_DB_ALIAS]
    settings = {**connections.settings[DEFAULT_DB_ALIAS], "ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings["OPTIONS"] = {"init_command": "PRAGMA recursive_triggers=ON; PRAGMA temp_store=MEMORY;"}
    connections[DEFAULT_DB_ALIAS] = DatabaseWrapper(settings, DEFAULT_DB_ALIAS)
    recent.forget_everything()
    try:
        call_command("migrate", verbosity=0, interactive=False)
        yield
    finally:
        connections[DEFAULT_DB_ALIAS].close()
        connections[DEFAULT_DB_ALIAS] = own
        recent.forget_everything()
