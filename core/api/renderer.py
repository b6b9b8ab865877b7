"""JSON out: orjson, with every moment in UTC."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import orjson
from django.db.models import QuerySet
from django.utils.functional import Promise
from rest_framework.renderers import BaseRenderer

# Datetimes are passed through to `_plain`, because orjson writes an offset where we promise UTC. Keys of a subclass of
# str (choices) need NON_STR_KEYS.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS


class JSONRenderer(BaseRenderer):
    """Answers as application/json; problems keep the media type that their response names."""

    media_type = "application/json"
    format = "json"
    # JSON is UTF-8 by definition (RFC 8259) and defines no charset parameter.
    charset = None
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """`data` as JSON bytes; no data, no bytes. Datetimes must be aware. Bytes are JSON that is written already."""
        if isinstance(data, bytes):
            return data
        return b"" if data is None else dumps(data)


def dumps(data: Any) -> bytes:
    """JSON as the API writes it. Raises TypeError on a naive datetime: a time without a zone has no meaning outside."""
    return orjson.dumps(data, default=_plain, option=_OPTIONS)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("a datetime without a time zone cannot leave the API")
        return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | Promise):
        return str(value)
    if isinstance(value, QuerySet):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
