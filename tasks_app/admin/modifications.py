"""Modifications as a form: made from the type's schema where that is simple, JSON where it is not."""

from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.api.parser import BodyTooLarge, MalformedJSON, loads

PREFIX: Final = "m_"
MOST_FIELDS: Final = 12
_KINDS: Final = frozenset({"string", "integer", "number", "boolean"})
_PLAIN: Final = frozenset(
    {
        *("type", "title", "description", "enum", "default", "examples", "format", "items"),
        *("minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        *("multipleOf", "minItems", "maxItems", "uniqueItems"),
    }
)


@dataclass(frozen=True)
class Simple:
    """One property that a form field can hold. `kind`: string, integer, number, boolean or list (of texts)."""

    name: str
    kind: str
    label: str
    help: str
    choices: tuple[Any, ...] = ()


def simple_fields(schema: dict[str, Any]) -> list[Simple]:
    """The schema's properties as form fields; empty where the schema says more than a form could."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not 0 < len(properties) <= MOST_FIELDS:
        return []
    if set(schema) - {"type", "properties", "required", "title", "description", "additionalProperties", "$schema"}:
        return []
    fields = [_simple(str(name), rule) for name, rule in properties.items()]
    return [field for field in fields if field is not None] if None not in fields else []


def _simple(name: str, rule: Any) -> Simple | None:
    if not isinstance(rule, dict) or set(rule) - _PLAIN:
        return None
    kind, choices = rule.get("type"), rule.get("enum", [])
    label, described = str(rule.get("title") or name), str(rule.get("description") or "")
    if kind == "array":
        items = rule.get("items")
        fits = isinstance(items, dict) and items.get("type") == "string" and not set(items) - {"type", "maxLength"}
        return Simple(name, "list", label, described) if fits else None
    if choices and all(isinstance(choice, str | int | float) and not isinstance(choice, bool) for choice in choices):
        return Simple(name, "choice", label, described, tuple(choices))
    return (
        Simple(name, str(kind), label, described) if isinstance(kind, str) and kind in _KINDS and not choices else None
    )


def fields_for(schema: dict[str, Any]) -> dict[str, forms.Field]:
    """The form fields for modifications by name: one per simple property, else `modifications` as JSON."""
    simple = simple_fields(schema)
    return {f"{PREFIX}{one.name}": _field(one) for one in simple} or {"modifications": ModificationsField(schema)}


def _field(one: Simple) -> forms.Field:
    common: dict[str, Any] = {"label": one.label, "help_text": one.help, "required": False}
    look = {"class": "c-input"}
    unchanged = ("", gettext_lazy("leave as it is"))
    if one.kind == "boolean":
        choices = [unchanged, ("true", gettext_lazy("yes")), ("false", gettext_lazy("no"))]
        return forms.ChoiceField(choices=choices, widget=forms.Select(attrs=look), **common)
    if one.kind == "choice":
        options = [(str(number), str(choice)) for number, choice in enumerate(one.choices)]
        return forms.ChoiceField(choices=[unchanged, *options], widget=forms.Select(attrs=look), **common)
    if one.kind == "integer":
        return forms.IntegerField(widget=forms.NumberInput(attrs=look), **common)
    if one.kind == "number":
        return forms.FloatField(widget=forms.NumberInput(attrs={**look, "step": "any"}), **common)
    if one.kind == "list":
        common["help_text"] = one.help or gettext_lazy("One per line.")
        return forms.CharField(widget=forms.Textarea(attrs={**look, "rows": 2}), max_length=10_000, **common)
    return forms.CharField(widget=forms.TextInput(attrs=look), max_length=4_000, **common)


def given_in(schema: dict[str, Any], cleaned: dict[str, Any]) -> dict[str, Any]:
    """The modifications that the form's fields hold; what was left empty stays as it is."""
    given: dict[str, Any] = {}
    for one in simple_fields(schema):
        value = cleaned.get(f"{PREFIX}{one.name}")
        if value is None or value == "":
            continue
        if one.kind == "boolean":
            given[one.name] = value == "true"
        elif one.kind == "choice":
            given[one.name] = one.choices[int(value)]
        elif one.kind == "list":
            given[one.name] = [line.strip() for line in value.splitlines() if line.strip()]
        else:
            given[one.name] = value
    return given


class ModificationsField(forms.CharField):
    """Modifications as a JSON object; empty means none."""

    def __init__(self, schema: dict[str, Any]) -> None:
        described = schema.get("description") or gettext_lazy("an object of the fields to change and their new values")
        super().__init__(
            label=gettext_lazy("Modifications (optional, JSON)"),
            required=False,
            help_text=described,
            widget=forms.Textarea(
                attrs={"rows": 3, "class": "c-input c-mono", "spellcheck": "false", "placeholder": '{"age_min": 18}'}
            ),
        )

    def clean(self, value: Any) -> dict[str, Any]:
        text = super().clean(value)
        if not text:
            return {}
        try:
            return loads(text.encode())
        except (MalformedJSON, BodyTooLarge) as error:
            raise forms.ValidationError(_("This is not a JSON object: %(why)s") % {"why": error.detail}) from error
