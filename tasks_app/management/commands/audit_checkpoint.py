"""Sign what happened since the last checkpoint, and print the newest checkpoint: the proof to keep elsewhere."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks_app.trail import checkpoints


class Command(BaseCommand):
    help = (
        "Sign what happened since the last checkpoint and print the newest one as JSON. Keep it where whoever can "
        "write the database cannot: `audit_verify --against FILE` then finds a restored or shortened trail."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--public-key", action="store_true", help="print the public key instead; make no checkpoint"
        )

    def handle(self, *args: Any, public_key: bool, **options: Any) -> None:
        if public_key:
            self.stdout.write(checkpoints.public_key())
            return
        checkpoints.catch_up()
        newest = checkpoints.latest()
        if newest is None:
            raise CommandError("Nothing has happened yet: there is nothing to sign.")
        self.stdout.write(json.dumps(checkpoints.sent(newest)))
