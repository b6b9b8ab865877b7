"""What is known of a task's holder beside who it is: the last act, the warning, the decision that waits.

None of it raises the version: to write a comment, or to decide and take it back, overtakes nobody.
"""

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _


class Holding(models.Model):
    """Columns of a task that somebody has. Pure methods, called by services alone."""

    touched_at = models.DateTimeField(_("last act of its holder"), null=True, blank=True)
    return_warned_at = models.DateTimeField(_("warned of the return"), null=True, blank=True)
    staged_until = models.DateTimeField(_("a decision waits until"), null=True, blank=True)

    class Meta:
        abstract = True

    def touch(self, *, now: datetime) -> None:
        self.touched_at = now
        self.return_warned_at = None

    def warn_of_return(self, *, now: datetime) -> None:
        self.return_warned_at = now

    def await_decision(self, *, until: datetime | None) -> None:
        """Let a decision wait until then; None: none waits any more."""
        self.staged_until = until
