"""Write the trail to a file that an auditor can check without this system."""

import json
import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks_app.trail import export


class Command(BaseCommand):
    help = (
        "Write events, audit entries and checkpoints to FILE as JSON lines. "
        "`python docs/verify_trail.py FILE PUBLIC_KEY` checks it anywhere."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE.jsonl")
        parser.add_argument("--from-position", type=int, default=1, metavar="N", help="the first position; default 1")
        parser.add_argument("--to-position", type=int, default=None, metavar="N", help="the last; default the newest")

    def handle(self, *args: Any, file: str, from_position: int, to_position: int | None, **options: Any) -> None:
        if from_position < 1:
            raise CommandError("Positions begin at 1.")
        path = Path(file)
        draft = path.with_name(f"{path.name}.part")
        counted = {"event": 0, "checkpoint": 0}
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise CommandError(f"{file} cannot be written ({error.strerror}).") from error
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as out:
            for line in export.lines(from_position, to_position):
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
                if line["kind"] in counted:
                    counted[line["kind"]] += 1
        draft.replace(path)
        self.stdout.write(f"Wrote {counted['event']} events and {counted['checkpoint']} checkpoints to {file}.")
