"""Which promises were kept, and how operations ended, in the last 24 hours: for the home page of those who oversee all.

These figures are kept by policy and by operation, not by type, team or principal; so nobody else is shown them here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _

from tasks_app import hours
from tasks_app.actors import Actor
from tasks_app.admin.texts import percent

PERIOD: Final = timedelta(hours=24)
MOST: Final = 8


@dataclass(frozen=True)
class PolicyRow:
    name: str
    ended: int
    missed: str


@dataclass(frozen=True)
class OperationRow:
    name: str
    ended: int
    failed: str
    rejected: str


@dataclass(frozen=True)
class Promises:
    """The policies that missed most, and the operations that failed most, eight of each."""

    policies: list[PolicyRow]
    operations: list[OperationRow]


def promises_of(actor: Actor, now: datetime) -> Promises | None:
    if not actor.grants.sees_everything:
        return None
    told = hours.of_period(now, PERIOD, None)
    policies = sorted(told["policies"].items(), key=lambda pair: (-(pair[1]["breach_rate"] or 0), pair[0]))
    operations = sorted(told["operations"], key=_most_troubled)
    return Promises(
        [
            PolicyRow(_("by priority") if name == "default" else name, row["resolved"], percent(row["breach_rate"]))
            for name, row in policies[:MOST]
        ],
        [
            OperationRow(
                " · ".join(filter(None, (row["adapter_name"], row["operation"]))) or "–",
                row["resolved"],
                percent(row["failure_rate"]),
                percent(row["rejection_rate"]),
            )
            for row in operations[:MOST]
        ],
    )


def _most_troubled(row: dict[str, Any]) -> tuple[float, int, str, str]:
    trouble = (row["failure_rate"] or 0) + (row["rejection_rate"] or 0)
    return -trouble, -row["resolved"], row["adapter_name"], row["operation"]
