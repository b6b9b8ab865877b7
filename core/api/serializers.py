"""Serializers that refuse what they do not know, so that a misspelt or forbidden field is never silently dropped."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from django.http import QueryDict
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from core.api.parser import shown

_SURROGATE = re.compile("[\ud800-\udfff]")
# A body may hold tens of thousands of keys; an answer names the first few.
_NAMED_AT_MOST = 20


class MomentField(serializers.DateTimeField):
    """A moment with its offset. One without is refused: whoever means his own five o'clock must not get that of UTC."""

    default_error_messages = {"no_offset": "Give the offset too, as in 2026-03-02T17:00:00+01:00, or Z for UTC."}

    def enforce_timezone(self, value: datetime) -> datetime:
        if timezone.is_naive(value):
            self.fail("no_offset")
        return super().enforce_timezone(value)


class NoSurrogates(ProhibitSurrogateCharactersValidator):
    """The same refusal by one search: its base looks at every character, which was a third of checking a body."""

    def __call__(self, value: Any) -> None:
        if _SURROGATE.search(str(value)):
            super().__call__(value)


class StrictSerializer(serializers.Serializer[Any]):
    """For bodies: an unknown or read-only field is a 400 that names it, with every other error beside it."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, QueryDict):
            # What REST framework makes of an empty form. As a dict, absent fields are absent, not False or ''.
            data = data.dict()
        errors: dict[str, Any] = self._unexpected(data) if isinstance(data, Mapping) else {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not errors or not isinstance(error.detail, dict):
                raise
            errors = {**error.detail, **errors}
        if errors:
            raise serializers.ValidationError(errors)
        return value

    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        for field in fields.values():
            if isinstance(field, serializers.CharField):
                checks = field.validators
                field.validators = [NoSurrogates() if type(one) is NoSurrogates.__base__ else one for one in checks]
        return fields

    def names(self) -> list[str]:
        """The fields that a caller may send."""
        return [
            name
            for name, field in self.fields.items()
            if not field.read_only and not isinstance(field, serializers.HiddenField)
        ]

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names())

    def _unexpected(self, names: Iterable[Any]) -> dict[str, list[ErrorDetail]]:
        strangers = [str(name) for name in names if name not in self._known][:_NAMED_AT_MOST]
        return {name.replace("\0", "�")[:100]: [self._refusal(name)] for name in strangers}

    def _refusal(self, name: str) -> ErrorDetail:
        if name in self.fields:
            return ErrorDetail(f"{shown(name)} cannot be set here.", "read_only")
        return ErrorDetail(f"Unknown field; known are: {', '.join(self.names()) or 'none'}.", "unknown")


class StrictQuery(StrictSerializer):
    """Query parameters: `StrictQuery(data=request.query_params)`. An unknown or repeated one is a 400 that names it.

    On lists set `paged`: `limit` and `cursor` are then known, and left to the paginator. Parameters in `repeatable`
    may be given more than once; their field gets the list.
    """

    paged: ClassVar[bool] = False
    repeatable: ClassVar[frozenset[str]] = frozenset()

    def to_internal_value(self, data: Any) -> Any:
        pairs = data.lists() if isinstance(data, QueryDict) else ((name, [value]) for name, value in data.items())
        given = {name: values for name, values in pairs if not (self.paged and name in ("limit", "cursor"))}
        errors: dict[str, list[ErrorDetail]] = {}
        for name, values in given.items():
            if len(values) > 1 and name not in self.repeatable:
                errors[name] = [ErrorDetail("Give this parameter once.", "repeated")]
            elif any(isinstance(value, str) and "\0" in value for value in values):
                errors[name] = [ErrorDetail("NUL characters are not allowed.", "null_characters_not_allowed")]
        if errors:
            raise serializers.ValidationError(errors)
        # Plain values, not a QueryDict: REST framework reads those as a browser's form, where an absent box is False.
        return super().to_internal_value({n: v if n in self.repeatable else v[0] for n, v in given.items()})

    def names(self) -> list[str]:
        return [*super().names(), *(("limit", "cursor") if self.paged else ())]

    def _refusal(self, name: str) -> ErrorDetail:
        return ErrorDetail(f"Unknown parameter; known are: {', '.join(self.names()) or 'none'}.", "unknown")
