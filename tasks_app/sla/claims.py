"""How long a task may lie untouched with the person who took it. Pure; all moments are aware and in UTC."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

# The holder is warned a quarter of the limit before, ten minutes at most.
LONGEST_NOTICE: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Claim:
    """A task that somebody has: the last act of its holder, the team's limit, and whether a warning was given since."""

    touched_at: datetime
    limit: timedelta
    warned: bool = False

    @property
    def returns_at(self) -> datetime:
        return self.touched_at + self.limit

    @property
    def warns_at(self) -> datetime | None:
        return None if self.warned else self.returns_at - min(LONGEST_NOTICE, self.limit / 4)
