"""Let ended tasks go whose time is over, or say which would."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core import clock
from tasks_app import retention
from tasks_app.actors import system_actor
from tasks_app.models import RetentionPolicy


class Command(BaseCommand):
    help = (
        "Let go the ended tasks whose retention policy says so, exported first where it says that. The job does the "
        "same every hour. Without active policies nothing leaves."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would leave; change nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        if not dry_run:
            self.stdout.write(f"{retention.run(system_actor()):,} tasks left.")
            return
        for policy in RetentionPolicy.objects.select_related("task_type").order_by("pk"):
            found = retention.preview(policy, clock.now())
            state = "" if policy.is_active else " (not active)"
            span = f", ended {found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}" if found.first and found.last else ""
            self.stdout.write(f"{policy.task_type_id}{state}: {found.number:,} tasks{span}")
