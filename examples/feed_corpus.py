"""Send real input through both integrations and count the tasks that it opens.

    python -m examples.feed_corpus --url http://127.0.0.1:8000 --token bot=hitl_... --data ../shared/data
    python -m examples.feed_corpus --data ../shared/data --dry-run

Every creative format of the AdCP reference formats goes through the creative engine, and every permission,
authentication and configuration reason of Google Ad Manager is a fault that the ad server throws at the adapter. A
second run folds into the tasks that are still open. `--dry-run` classifies only: it needs neither server nor token.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from examples.ad_client import AdServerClient
from examples.ad_server import AdServer, Fault
from examples.adapter import Adapter, Operation
from examples.classify import Action, Verdict, classify_format, classify_refusal
from examples.creative_engine import CreativeEngine
from examples.queue_client import QueueClient, QueueError
from examples.wire import Unreachable

Json = dict[str, Any]
Count = Counter[tuple[str, str]]

FORMATS = Path("taxonomies/adcp_reference_formats.json")
REASONS = Path("ad_errors/google_ad_manager_soap_error_reasons.csv")
PRIORITIES = ("urgent", "high", "medium", "low")


def load_formats(data: Path) -> list[Json]:
    """Return the creative formats."""
    formats: list[Json] = json.loads((data / FORMATS).read_text(encoding="utf-8"))
    return formats


def load_reasons(data: Path) -> list[dict[str, str]]:
    """Return the error reasons, one row each, with `error_string` and Google's `description`."""
    with (data / REASONS).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def asking(reasons: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return the reasons about which a person is asked; the server's fault comes under status 500."""
    return [row for row in reasons if classify_refusal(row["error_string"], 500).action is Action.ASK]


def classify_only(
    formats: Iterable[Json], reasons: Iterable[dict[str, str]]
) -> tuple[Count, Counter[Action], Counter[Action]]:
    """Return the expected tasks by (task type, priority), and the actions for formats and for reasons."""
    of_formats: list[Verdict] = [classify_format(creative_format) for creative_format in formats]
    of_reasons: list[Verdict] = [classify_refusal(row["error_string"], 500) for row in reasons]
    tasks = Counter((v.task_type, v.priority) for v in of_formats + of_reasons if v.action is Action.ASK)
    return tasks, Counter(v.action for v in of_formats), Counter(v.action for v in of_reasons)


def feed(
    queue: QueueClient, principal_id: str, formats: list[Json], reasons: list[dict[str, str]]
) -> tuple[Count, int]:
    """Open the tasks; return their number by (task type, priority) as the queue answered, and how many were folded."""
    tasks: list[Json] = []
    engine = CreativeEngine(principal_id, queue)
    for creative_format in formats:
        format_id = creative_format["format_id"]["id"]
        review = engine.submit(
            f"cr_feed_{format_id}", "mb_feed_formats", creative_format, {"description": creative_format["description"]}
        )
        if review.task:
            tasks.append(review.task)
    with AdServer() as ad_server:
        ad_server.state.tokens["gam"].add("feed")
        adapter = Adapter("google_ad_manager", principal_id, queue, AdServerClient(ad_server.url, "gam", "feed"))
        for row in reasons:
            operation = f"{row['services'].partition(';')[0]}.update"
            ad_server.state.faults[operation] = Fault(row["error_string"], row["description"], times=1)
            answer = adapter.run(Operation(operation, "mb_feed_reasons"))
            if answer.task:
                tasks.append(answer.task)
    folded = sum(task.get("occurrences", 1) > 1 for task in tasks)
    return Counter((task["task_type"], task["priority"]) for task in tasks), folded


def table(tasks: Count) -> str:
    """Return the counts as a text table, task types down and priorities across."""
    rows: list[tuple[str, ...]] = [("task type", *PRIORITIES, "sum")]
    for task_type in sorted({task_type for task_type, _ in tasks}):
        counts = [tasks[task_type, priority] for priority in PRIORITIES]
        rows.append((task_type, *map(str, counts), str(sum(counts))))
    sums = [sum(tasks[key] for key in tasks if key[1] == priority) for priority in PRIORITIES]
    rows.append(("sum", *map(str, sums), str(sum(sums))))
    return "\n".join(f"{row[0]:<24}" + "".join(f"{cell:>8}" for cell in row[1:]) for row in rows)


def main(arguments: list[str] | None = None) -> int:
    """Feed, print the table, and return 0 if the queue counted what the classification expects."""
    parser = argparse.ArgumentParser(prog="python -m examples.feed_corpus", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with taxonomies/ and ad_errors/"
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the queue's address")
    parser.add_argument("--token", default="", metavar="bot=TOKEN", help="an adapter's token for the principal")
    parser.add_argument("--principal", default="acme_corp")
    parser.add_argument("--dry-run", action="store_true", help="classify only, without a server")
    options = parser.parse_args(arguments)
    token = options.token.removeprefix("bot=")
    if not token and not options.dry_run:
        parser.error("--token bot=TOKEN is needed (manage.py adapter_token bot --principal acme_corp), or --dry-run")
    try:
        formats, reasons = load_formats(options.data), load_reasons(options.data)
    except OSError as error:
        print(f"Cannot read the data: {error}", file=sys.stderr)
        return 1
    expected, of_formats, of_reasons = classify_only(formats, reasons)
    approved, reviewed = of_formats[Action.PROCEED], of_formats[Action.ASK]
    print(f"{len(formats)} formats: {approved} approved automatically, {reviewed} for review")
    print(
        f"{len(reasons)} reasons: {of_reasons[Action.ASK]} for a person, {of_reasons[Action.RETRY]} retried, "
        f"{of_reasons[Action.GIVE_UP]} handed back to the caller"
    )
    if options.dry_run:
        print(table(expected))
        return 0
    try:
        tasks, folded = feed(QueueClient(options.url, token), options.principal, formats, asking(reasons))
    except (QueueError, Unreachable) as error:
        print(f"The queue at {options.url} did not take a task: {error}", file=sys.stderr)
        return 1
    print(table(tasks))
    print(f"{tasks.total() - folded} tasks opened, {folded} folded into open ones")
    if tasks != expected:
        print(f"The queue's counts differ from the expected ones:\n{table(expected)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
