"""The status column, which transitions alone may write, and a reload that keeps it so."""

from collections.abc import Iterable
from typing import Any

from django_fsm import FSMFieldMixin

from core.fields import KeyField
from core.rows import PlainRow


class StatusField(FSMFieldMixin, KeyField):
    """The protected status: assignable by transitions alone."""


class ProtectedStatus(PlainRow):
    """A model with a protected `status`."""

    class Meta:
        abstract = True

    def refresh_from_db(
        self, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None
    ) -> None:
        """Reload. The protected status is put aside for this reload of named columns alone, and back if it fails.

        django-fsm-2's own mixin switches the protection off on the class, which leaks into other threads. What is put
        aside looks deferred to Django, which then would not reload it: so the fields are named.
        """
        if fields is None:
            deferred = self.get_deferred_fields()
            fields = [field.attname for field in self._meta.concrete_fields if field.attname not in deferred]
        before = self.__dict__.pop("status", None)
        try:
            super().refresh_from_db(using=using, fields=list(fields), from_queryset=from_queryset)
        finally:
            if before is not None:
                self.__dict__.setdefault("status", before)
