"""Missed deadlines of an incident log, counted from the CSV alone: the second opinion on `manage.py replay`.

Imports nothing of the project. `python -m bench.count_breaches FILE [--hours 'ZONE 09:00-17:00'] [--limit N]
[--against replay.json]` prints the number, and with --against each task on which the two disagree.
"""

import argparse
import csv
import gzip
import json
import sys
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

TARGETS = {"1": 240, "2": 480, "3": 1440, "4": 4320}  # minutes by priority
ENDED = {"Resolved", "Closed"}
MINUTE = timedelta(minutes=1)


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=UTC)


def read(path: str, limit: int | None) -> dict[str, list[dict[str, str]]]:
    cases: dict[str, list[dict[str, str]]] = {}
    with gzip.open(path, "rt", newline="") as file:
        for line in csv.DictReader(file):
            if line["number"] in cases or limit is None or len(cases) < limit:
                cases.setdefault(line["number"], []).append(line)
    return cases


def due(opened: datetime, minutes: int, hours: str) -> datetime:
    """`minutes` after `opened`: on the clock, or in the working hours of Monday to Friday, day by day."""
    if not hours:
        return opened + minutes * MINUTE
    zone_name, span = hours.split()
    zone = ZoneInfo(zone_name)
    begins, ends = (time.fromisoformat(text) for text in span.split("-"))
    day, left = opened.astimezone(zone).date(), minutes * MINUTE
    while True:
        start = max(datetime.combine(day, begins, zone).astimezone(UTC), opened)
        end = datetime.combine(day, ends, zone).astimezone(UTC)
        if day.weekday() < 5 and start < end:
            if left <= end - start:
                return start + left
            left -= end - start
        day += timedelta(days=1)


def spells(lines: list[dict[str, str]]) -> list[tuple[datetime, datetime | None, str]]:
    """The tasks that a case becomes: opened, ended (or not), and the priority at the end."""
    found: list[tuple[datetime, datetime | None, str]] = []
    now = opened = moment(lines[0]["opened_at"])
    priority, is_open = lines[0]["priority"][0], True
    for line in lines:
        now = max(now, moment(line["sys_updated_at"]))
        ends = line["incident_state"] in ENDED
        if not is_open and not ends:
            opened, is_open = now, True
        if is_open:
            priority = line["priority"][0]
            if ends:
                found.append((opened, now, priority))
                is_open = False
    if is_open:
        found.append((opened, None, priority))
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--hours", default="")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--against", help="what `manage.py replay --json` wrote")
    options = parser.parse_args()
    cases = read(options.file, options.limit)
    until = max(moment(line["sys_updated_at"]) for lines in cases.values() for line in lines)
    until = max(until, *(moment(lines[0]["opened_at"]) for lines in cases.values()))
    verdicts = {
        (name, number): (ended or until) > due(opened, TARGETS[priority], options.hours)
        for name, lines in cases.items()
        for number, (opened, ended, priority) in enumerate(spells(lines), 1)
    }
    print(f"{len(cases)} cases, {len(verdicts)} tasks, missed: {sum(verdicts.values())}")
    if not options.against:
        return 0
    with open(options.against) as file:
        theirs = {(case, number): breached for case, number, *_moments, breached in json.load(file)["verdicts"]}
    different = sorted(key for key in verdicts.keys() | theirs.keys() if verdicts.get(key) != theirs.get(key))
    for case, number in different:
        print(f"{case} #{number}: counted {verdicts.get((case, number))}, replayed {theirs.get((case, number))}")
    print(f"{len(different)} differences")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
