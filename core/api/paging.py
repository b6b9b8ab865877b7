"""Cursor paging by position in the order (keyset): a page costs the same at any depth, and nothing is counted."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.signing import BadSignature, Signer
from django.db.models import BooleanField, F, Func, QuerySet, Value
from django.db.models.expressions import OrderBy
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

_LIMIT: Final = re.compile(r"[0-9]{1,4}")

# How a key's value travels in a cursor: tag, type, writer, reader. bool stands before int, datetime before date: each
# is a subclass of the other.
_CODECS: Final[tuple[tuple[str, type, Callable[[Any], Any], Callable[[Any], Any]], ...]] = (
    ("b", bool, bool, bool),
    ("i", int, int, int),
    ("s", str, str, str),
    ("t", datetime, datetime.isoformat, datetime.fromisoformat),
    ("d", date, date.isoformat, date.fromisoformat),
    ("n", Decimal, str, Decimal),
    ("f", float, float, float),
    ("u", UUID, str, UUID),
)
_READERS: Final = {tag: reader for tag, _, _, reader in _CODECS}


class Key(NamedTuple):
    """One key of an order: a field or annotation of the rows, and its direction."""

    name: str
    descending: bool

    def reversed(self) -> "Key":
        return Key(self.name, not self.descending)


class KeysetPagination(BasePagination):
    """Pages of rows after a position in `ordering`.

    `ordering` reads like Django's ("-priority", "task_id"): names of columns or annotations, never NULL (annotate a
    Coalesce), the last one unique. Rows are model instances or the dicts of `values()`, which must then hold the keys.
    A cursor is signed and bound to its ordering: a forged or foreign one is a 400. The page after a row that has gone
    begins where the row stood. If the last rows vanish between two calls, the next page is empty and has no links.
    """

    ordering: ClassVar[Sequence[str]] = ()
    default_limit: ClassVar[int] = 50
    max_limit: ClassVar[int] = 200
    extra_schema: ClassVar[Mapping[str, Any]] = {}
    """OpenAPI schemas of further keys that the view adds to the answer."""

    def __init__(self, ordering: Sequence[str] | None = None) -> None:
        names = tuple(ordering or self.ordering)
        if not names:
            raise ImproperlyConfigured("KeysetPagination needs an ordering whose last key is unique")
        self.keys = tuple(Key(name.removeprefix("-"), name.startswith("-")) for name in names)
        self._signer = Signer(salt=f"core.api.paging:{','.join(names)}", sep=".")
        self.next_url: str | None = None
        self.previous_url: str | None = None

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """One page of `queryset`, whose own order is replaced. Raises ValidationError naming `limit` or `cursor`."""
        limit = self.limit(request)
        backwards, position = self._read_cursor(request)
        keys = tuple(key.reversed() for key in self.keys) if backwards else self.keys
        rows = rows_after(queryset, keys, position, limit + 1)
        return self._page(rows, request, limit, backwards, position)

    def first_page(self, rows: list[Any], request: Request) -> list[Any]:
        """The first page of rows that the caller read himself, in this order: one more than the limit, if there is."""
        return self._page(rows, request, self.limit(request), False, None)

    def is_first(self, request: Request) -> bool:
        """Whether the list is asked for from its beginning."""
        return "cursor" not in request.query_params

    def _page(
        self, rows: list[Any], request: Request, limit: int, backwards: bool, position: list[Any] | None
    ) -> list[Any]:
        more, rows = len(rows) > limit, rows[:limit]
        if backwards:
            rows.reverse()
        url = request.build_absolute_uri()
        if rows and (backwards or more):
            self.next_url = self._link(url, "n", rows[-1])
        if rows and (more if backwards else position is not None):
            self.previous_url = self._link(url, "p", rows[0])
        return rows

    def get_paginated_response(self, data: Any, extra: Mapping[str, Any] | None = None) -> Response:
        """`{results, next, previous}`, and what the view adds."""
        return Response({"results": data, "next": self.next_url, "previous": self.previous_url, **(extra or {})})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """For drf-spectacular (OpenAPI 3.1)."""
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["results", "next", "previous", *self.extra_schema],
            "properties": {"results": schema, "next": link, "previous": link, **self.extra_schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The two query parameters, for drf-spectacular."""
        limits = {"type": "integer", "minimum": 1, "maximum": self.max_limit, "default": self.default_limit}
        return [
            {"name": "limit", "in": "query", "required": False, "description": "Rows on a page.", "schema": limits},
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "Where the page begins: follow `next` and `previous` of an answer.",
                "schema": {"type": "string"},
            },
        ]

    def limit(self, request: Request) -> int:
        """How many rows are asked for. Raises ValidationError."""
        text = _once(request, "limit")
        if text is None:
            return self.default_limit
        if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= self.max_limit:
            raise ValidationError({"limit": f"Give a whole number from 1 to {self.max_limit}."})
        return int(text)

    def _read_cursor(self, request: Request) -> tuple[bool, list[Any] | None]:
        text = _once(request, "cursor")
        if text is None:
            return False, None
        try:
            direction, *cells = self._signer.unsign_object(text)
        except BadSignature as error:
            message = "This is no cursor of this list: follow `next` or `previous` of an answer, unchanged."
            raise ValidationError({"cursor": message}) from error
        return direction == "p", [_READERS[tag](value) for tag, value in cells]

    def _link(self, url: str, direction: str, row: Any) -> str:
        cursor = self._signer.sign_object([direction, *(_cell(key.name, _value(row, key.name)) for key in self.keys)])
        return replace_query_param(remove_query_param(url, "cursor"), "cursor", cursor)


def rows_after(queryset: QuerySet[Any], keys: Sequence[Key], position: Sequence[Any] | None, count: int) -> list[Any]:
    """The first `count` rows behind `position` (all rows if None) in the order of `keys`.

    For one direction throughout, this is one statement with a row comparison, `(a, b, id) > (x, y, z)`, which both
    databases answer with a range of the index on those columns. The textbook form for mixed directions,
    `a < x OR (a = x AND b > y) OR ...`, is not: the planners either read the index from its start or sort all that is
    left, so that page 1,000 costs 1,000 pages. So the keys are cut into runs of one direction, and each run is a
    statement of its own, with the keys before it held equal: `a = x AND (b, id) > (y, z)`, then `(a) < (x)`. Nearest
    rows come first, so the concatenation is in order, and a statement runs only while the page is not full: at most as
    many as the order has runs, each a range of the index.
    """
    ordered = queryset.order_by(*(OrderBy(F(key.name), descending=key.descending) for key in keys))
    if position is None:
        return list(ordered[:count])
    rows: list[Any] = []
    for start, end in reversed(_runs(keys)):
        same = {key.name: value for key, value in zip(keys[:start], position, strict=False)}
        rest = behind([key.name for key in keys[start:end]], position[start:end], keys[start].descending)
        rows += ordered.filter(rest, **same)[: count - len(rows)]
        if len(rows) >= count:
            break
    return rows


def behind(names: Iterable[str], values: Iterable[Any], descending: bool) -> Func:
    """The condition `(a, b) > (x, y)`, or `<` where the run descends. Names may be annotations."""
    sides = _row(*map(F, names)), _row(*map(Value, values))
    joiner = " < " if descending else " > "
    return Func(*sides, template="%(expressions)s", arg_joiner=joiner, output_field=BooleanField())


def _row(*parts: F | Value) -> Func:
    # The type is never asked for; it spares Django from finding one that all parts share.
    return Func(*parts, template="(%(expressions)s)", output_field=BooleanField())


def _runs(keys: Sequence[Key]) -> list[tuple[int, int]]:
    """The stretches of `keys` with one direction, as (start, end)."""
    turns = [i for i in range(1, len(keys)) if keys[i].descending != keys[i - 1].descending]
    return list(zip([0, *turns], [*turns, len(keys)], strict=True))


def _once(request: Request, name: str) -> str | None:
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise ValidationError({name: "Give this parameter once."})
    return values[0] if values else None


def _value(row: Any, name: str) -> Any:
    if isinstance(row, Mapping):
        if name not in row:
            raise ImproperlyConfigured(f"the rows must hold the ordering key {name!r}")
        return row[name]
    for part in name.split("__"):
        row = getattr(row, part)
    return row


def _cell(name: str, value: Any) -> tuple[str, Any]:
    for tag, kind, writer, _ in _CODECS:
        if isinstance(value, kind):
            return tag, writer(value)
    raise ImproperlyConfigured(f"the ordering key {name!r} is {type(value).__name__}: annotate a Coalesce for NULL")
