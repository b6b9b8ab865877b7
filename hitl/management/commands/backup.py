"""Copy a running installation on SQLite: the database as it stands at one moment, and the keys that open it."""

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection


class Command(BaseCommand):
    help = (
        "Write the SQLite database and keys.json to FOLDER while the system runs. FOLDER is a home folder then: "
        "`HITL_HOME=FOLDER manage.py up` starts from it. It holds the keys, so keep it as safe as the installation."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", metavar="FOLDER", type=Path, help="a folder that does not exist yet, or is empty")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        if connection.vendor != "sqlite":
            raise CommandError(
                "The database is PostgreSQL: copy it with `pg_dump --format=custom`, and keep the keys "
                "(HITL_..._KEY, or keys.json of the home folder) beside it. docs/operations.md says how to restore."
            )
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise CommandError(f"{folder} is not empty. Name a new folder for each backup.")
            bytes_written = _copy_database(Path(str(connection.settings_dict["NAME"])), folder / "hitl.sqlite3")
            keys = _copy_keys(settings.HITL_HOME / "keys.json", folder / "keys.json")
        except OSError as error:
            raise CommandError(f"{folder} cannot be written ({error.strerror}).") from error
        except sqlite3.Error as error:
            raise CommandError(f"The database could not be copied ({error}); nothing usable is in {folder}.") from error
        self.stdout.write(f"Wrote {bytes_written:,} bytes to {folder}. Start from it with HITL_HOME={folder}.")
        if not keys:
            self.stdout.write("The keys come from the environment and are not in it: keep them as well.")


def _copy_database(source: Path, target: Path) -> int:
    """SQLite's own online backup: one moment of the database, while others go on writing. The size of the copy."""
    draft = target.with_suffix(".part")
    draft.touch(mode=0o600)
    with (
        contextlib.closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as running,
        contextlib.closing(sqlite3.connect(draft)) as copy,
    ):
        running.backup(copy)
        damage = copy.execute("PRAGMA quick_check").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)
    draft.replace(target)
    return target.stat().st_size


def _copy_keys(source: Path, target: Path) -> bool:
    if not source.exists():
        return False
    target.touch(mode=0o600)
    shutil.copyfile(source, target)
    return True
