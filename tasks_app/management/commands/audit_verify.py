"""Recompute the trail and say whether it is what it was; name the first bad row if not."""

import gc
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks_app.trail import checkpoints, verify
from tasks_app.trail.verify import Report

_FIELDS = {
    "number": int, "from_position": int, "to_position": int, "rows_digest": str, "previous": str, "made_at": str,
    "key_id": str, "digest": str, "signature": str,
}  # fmt: skip


class Command(BaseCommand):
    help = (
        "Verify the trail: every hash, every audit entry, every task's row, every checkpoint. "
        "Exit status 1 and the first bad row if something was changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        part = parser.add_mutually_exclusive_group()
        part.add_argument("--task", default="", metavar="ID", help="one task alone")
        part.add_argument(
            "--since-checkpoint", action="store_true", help="only tasks with events that no checkpoint covers yet"
        )
        parser.add_argument(
            "--against",
            action="append",
            default=[],
            metavar="FILE",
            help="a checkpoint that was kept elsewhere (audit_checkpoint printed it); may be repeated",
        )
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(
        self, *args: Any, task: str, since_checkpoint: bool, against: list[str], json: bool, **options: Any
    ) -> None:
        kept = checkpoints.kept_at()
        sources = [*against, *([str(kept)] if kept.exists() and not task else [])]
        kept_elsewhere = {source: _read(source) for source in sources}
        gc.freeze()  # else the collector walks all of Django again and again: a third of the time
        try:
            report = verify.verify(task_id=task, since_checkpoint=since_checkpoint, against=kept_elsewhere)
        finally:
            gc.unfreeze()
        if task and not report.events and report.sound:
            raise CommandError(f"There is no event of a task '{task}'.")
        self.stdout.write(_as_json(report) if json else _as_text(report))
        if not report.sound:
            sys.exit(1)


def _read(source: str) -> checkpoints.Sent:
    try:
        checkpoint = json.loads(Path(source).read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{source} cannot be read: {error}") from error
    if not isinstance(checkpoint, dict) or any(
        type(checkpoint.get(name)) is not kind for name, kind in _FIELDS.items()
    ):
        raise CommandError(f"{source} is not a checkpoint; give what `manage.py audit_checkpoint` printed.")
    return checkpoint


def _as_json(report: Report) -> str:
    return json.dumps({"sound": report.sound, **asdict(report)}, indent=2)


def _as_text(report: Report) -> str:
    looked_at = (
        f"{report.events:,} events of {report.tasks:,} tasks, {report.audit_entries:,} audit entries, "
        f"{report.checkpoints:,} checkpoints"
    )
    if report.sound:
        last = report.last_checkpoint
        sealed = (
            f"Checkpoint {last['number']} of {last['made_at']} seals all up to position {last['to_position']:,}; "
            f"{report.uncovered:,} newer events wait for the next one."
            if last
            else "No checkpoint was made yet: whoever can write the database could have rewritten all of it."
        )
        return f"The trail is sound: {looked_at}.\n{sealed}"
    first, *others = report.findings
    more = report.bad - len(report.findings)
    lines = [f"The trail is NOT sound ({looked_at}).", f"First bad row: {first}"]
    lines += [f"  then {finding}" for finding in others[:20]]
    if others[20:] or more:
        lines.append(f"  and {len(others[20:]) + more:,} more")
    return "\n".join(lines)
