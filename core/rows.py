"""Rows that become objects without ceremony: for models of which thousands are read or made in one go.

Django's own way sets each of fifty columns through a descriptor, looks every name up among those that were read, and
sends signals that nobody here hears: for a task that took five times as long as this.
"""

from collections.abc import Callable, Collection, Iterable
from functools import cache
from typing import Any, Self

from django.db import models
from django.db.models.base import ModelState


class PlainRow(models.Model):
    """A model whose rows are put together column by column. It has no receivers of `pre_init` and `post_init`."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(  # type: ignore[override]  # the stubs are of a Django that passes more
        cls, db: str | None, field_names: Collection[str], values: Collection[Any]
    ) -> Self:
        """A row as it was read; columns that were not read are fetched when somebody asks, as always."""
        row = cls.of_columns(zip(field_names, values, strict=True))
        row._state.adding, row._state.db = False, db
        return row

    @classmethod
    def of_columns(cls, columns: Iterable[tuple[str, Any]]) -> Self:
        """A new row of columns (attribute names) and their values; every column has to be told."""
        row = cls.__new__(cls)
        row._state = ModelState()
        row.__dict__.update(columns)
        return row

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every column (attribute name) with what it holds in a new row that says nothing of it."""
        fixed, made = _defaults(cls)
        return {**fixed, **{name: make() for name, make in made}}

    def knows(self, **related: models.Model | None) -> None:
        """Take over rows that its own keys name, without asking whether they fit."""
        self._state.fields_cache.update(related)


@cache
def _defaults(model: type[PlainRow]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """Values that rows may share, and how those are made that they may not."""
    fields = model._meta.concrete_fields
    made = [(field.attname, field.default) for field in fields if field.has_default() and callable(field.default)]
    fixed = {field.attname: field.get_default() for field in fields}
    return fixed, made
