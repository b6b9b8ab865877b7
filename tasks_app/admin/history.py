"""The history of a configuration row, told to people: who changed what, when, from the audit log."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model, Q
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from tasks_app.models import User

SHOWN: Final = 100
LONGEST: Final = 600
Names = dict[str, str]


@dataclass(frozen=True)
class Told:
    """Entries of another model that belong to a row's history: those whose additional data name it."""

    model: type[Model]
    key: str
    value: str


@dataclass(frozen=True)
class Difference:
    """One field: what it was and what it is. For lists `before` is empty and `after` says what came or went."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Change:
    """One entry as people read it."""

    who: str
    what: str
    about: str
    at: datetime
    differences: list[Difference]


def history_of(row: Model, others: list[Told]) -> list[Change]:
    """The latest hundred changes of the row, the newest first: one query for the row, and one per other model."""
    kind = ContentType.objects.get_for_model(type(row))
    entries = list(_entries(Q(content_type=kind, object_pk=str(row.pk))))
    for told in others:
        of_model = Q(content_type=ContentType.objects.get_for_model(told.model))
        entries += _entries(of_model & Q(**{f"additional_data__{told.key}": told.value}))
    entries.sort(key=lambda entry: (entry.timestamp, entry.pk), reverse=True)
    names = _names_in(entries[:SHOWN])
    return [_change(entry, row, names) for entry in entries[:SHOWN]]


def _names_in(entries: list[Any]) -> Names:
    """Who is meant where a change holds the number of a person: one query, and none where no change does."""
    numbers = set()
    for entry in entries:
        model = entry.content_type.model_class()
        for name, values in (entry.changes or {}).items():
            if isinstance(values, list) and model is not None and _is_person(model, name):
                numbers |= {int(value) for value in values if str(value).isdigit()}
    people = User.objects.filter(pk__in=numbers).values_list("pk", "username") if numbers else ()
    return {str(pk): name for pk, name in people}


def _is_person(model: type[Model], name: str) -> bool:
    try:
        return bool(model._meta.get_field(name).related_model is User)
    except FieldDoesNotExist:
        return False


def _entries(condition: Q) -> Iterator[Any]:
    rows = LogEntry.objects.filter(condition).select_related("actor", "content_type").defer("serialized_data")
    return iter(rows.order_by("-timestamp", "-pk")[:SHOWN])


def _change(entry: Any, row: Model, names: Names) -> Change:
    model = entry.content_type.model_class() or type(row)
    verbs = {
        LogEntry.Action.CREATE: _("made it"),
        LogEntry.Action.UPDATE: _("changed it"),
        LogEntry.Action.DELETE: _("took it away"),
    }
    is_own = model is type(row)
    return Change(
        who=_("The system") if entry.actor is None else entry.actor.get_username(),
        what=verbs.get(entry.action, _("looked at it")),
        about="" if is_own else f"{capfirst(model._meta.verbose_name)}: {entry.object_repr}",
        at=entry.timestamp,
        differences=[
            _difference(model, name, values, names) for name, values in (entry.changes or {}).items() if name != "id"
        ],
    )


def _difference(model: type[Model], name: str, values: Any, people: Names) -> Difference:
    try:
        field: Any = model._meta.get_field(name)
        label = capfirst(str(field.verbose_name))
    except (FieldDoesNotExist, AttributeError):
        field, label = None, name
    if isinstance(values, dict):
        # A permission tells its app and model before its name.
        names = ", ".join(str(one).rpartition(" | ")[2] for one in values.get("objects", []))[:LONGEST]
        went = values.get("operation") == "delete"
        return Difference(
            label, "", _("without %(names)s") % {"names": names} if went else _("with %(names)s") % {"names": names}
        )
    before, after = (values[0], values[1]) if isinstance(values, list) and len(values) == 2 else ("", values)
    if _is_person(model, name):
        before, after = (people.get(str(value), value) for value in (before, after))
    return Difference(label, _shown(before, field), _shown(after, field))


def _shown(value: Any, field: "Field[Any, Any] | None") -> str:
    """A stored value in people's words: choices by their labels, yes and no, a dash for nothing."""
    text = "" if value is None else str(value)
    if text in ("", "None", "[]", "{}"):
        return "–"
    if text in ("True", "False"):
        return _("yes") if text == "True" else _("no")
    labels = {str(key): str(label) for key, label in (getattr(field, "flatchoices", None) or [])}
    text = labels.get(text, text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
