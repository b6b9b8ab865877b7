"""`manage.py replay FILE --format servicenow|columns.toml [--json]`: what deadlines would have seen of a past log."""

from argparse import ArgumentTypeError
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks_app.exceptions import InvalidInput
from tasks_app.models import BusinessCalendar
from tasks_app.replay import logs, play
from tasks_app.replay.place import throw_away_database
from tasks_app.states import Priority

MOST_URGENT_FIRST: Final = (Priority.URGENT, Priority.HIGH, Priority.MEDIUM, Priority.LOW)
WEEK: Final = ("mon", "tue", "wed", "thu", "fri")


class Command(BaseCommand):
    help = (
        "Play an event log through the real services on a simulated clock, with one policy for each priority, and "
        "report the deadlines kept and missed. It plays in a database of its own, in memory; nothing is kept or sent."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="CSV, or CSV in gzip")
        parser.add_argument("--format", default="servicenow", help="servicenow, or a TOML file that names the columns")
        parser.add_argument(
            "--targets",
            default="240,480,1440,4320",
            help="minutes to the end for urgent, high, medium and low (default: %(default)s)",
        )
        parser.add_argument(
            "--hours",
            default="",
            help="business hours, e.g. 'America/New_York 09:00-17:00', Monday to Friday; default: round the clock",
        )
        parser.add_argument("--limit", type=_number, default=None, help="the first so many cases only")
        parser.add_argument(
            "--here", action="store_true", help="play in the configured database, and roll everything back"
        )
        parser.add_argument("--json", action="store_true", help="everything, each task with its verdict, as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            columns = logs.Columns.read(options["format"])
            notes: list[str] = []
            cases = logs.read(options["file"], columns, limit=options["limit"], notes=notes)
            targets = _targets(options["targets"])
            with nullcontext() if options["here"] else throw_away_database():
                report = play.play(cases, targets, _calendar(options["hours"]))
        except (logs.LogError, InvalidInput) as error:
            raise CommandError(str(error)) from None
        for note in notes:
            self.stderr.write(note)
        if options["json"]:
            self.stdout.write(orjson.dumps(play.document(report)).decode())
            return
        share = 100 * report.breached / len(report.verdicts) if report.verdicts else 0
        self.stdout.write(
            f"{report.cases} cases, {report.tasks} tasks, {report.calls} calls in {report.seconds:.0f} s.\n"
            f"Missed: {report.breached} of {len(report.verdicts)} ({share:.1f} %); escalated: {report.escalations}."
        )


def _number(text: str) -> int:
    """Raises ArgumentTypeError."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"'{text}' is not a number of cases")
    return int(text)


def _targets(text: str) -> dict[Priority, int]:
    """Raises CommandError."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != len(MOST_URGENT_FIRST) or not all(part.isdecimal() for part in parts):
        raise CommandError(f"'{text}': give four numbers of minutes, like 240,480,1440,4320")
    return dict(zip(MOST_URGENT_FIRST, map(int, parts), strict=True))


def _calendar(text: str) -> BusinessCalendar | None:
    if not text:
        return None
    zone, _space, hours = text.partition(" ")
    start, _dash, end = hours.partition("-")
    week = {day: [[start, end]] for day in WEEK}
    return BusinessCalendar(slug="replay", name="Replay", time_zone=zone, weekly_hours=week)
