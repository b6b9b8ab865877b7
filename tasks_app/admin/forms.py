"""The forms in the task page's dialogs. Each carries the version of the task that the reader saw."""

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Final

from django import forms
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import clock
from tasks_app.admin.modifications import fields_for, given_in
from tasks_app.admin.verbs import Verb

MAX_TEXT: Final = 10_000
TEXT_ROWS: Final = 4


@dataclass(frozen=True)
class Choices:
    """What the choice fields offer for the task at hand: value and label."""

    assigned_to: list[tuple[str, str]] = field(default_factory=list)
    colleague: list[tuple[str, str]] = field(default_factory=list)
    team: list[tuple[str, str]] = field(default_factory=list)
    placeholder: list[tuple[str, str]] = field(default_factory=list)


class ActionForm(forms.Form):
    """One dialog's form: the fields that its verb asks for.

    Choices are checked by the service, which knows who is entitled now: for a person who left the team since the page
    was shown it has its own words.
    """

    version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    back = forms.CharField(required=False, max_length=1_000, widget=forms.HiddenInput)

    def __init__(self, verb: Verb, choices: Choices, schema: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(auto_id=f"{verb.name}_%s", **kwargs)
        self.verb = verb
        if verb.pick:
            self.fields[verb.pick] = _choice(verb.pick, getattr(choices, verb.pick))
        if verb.text:
            self.fields["text"] = forms.CharField(
                label=str(verb.text),
                required=verb.text_required,
                max_length=MAX_TEXT,
                widget=forms.Textarea(attrs={"rows": TEXT_ROWS, "class": "c-input", "maxlength": MAX_TEXT}),
                error_messages={"required": gettext_lazy("Write a text: it is what the other side will read.")},
            )
        if verb.moment:
            self.fields[verb.moment] = MomentField(verb.moment)
        self.modifications: dict[str, forms.Field] = fields_for(schema) if verb.modifications and schema else {}
        self.schema = schema
        self.fields.update(self.modifications)
        first = next((bound for bound in self.visible_fields()), None)
        if first is not None and first.field.required:
            first.field.widget.attrs["autofocus"] = True

    def clean(self) -> dict[str, Any]:
        """Modifications come as one object, whether as JSON or from fields of their own."""
        values = super().clean() or self.cleaned_data
        if self.modifications and "modifications" not in self.modifications:
            values["modifications"] = given_in(self.schema, values)
        return values

    @property
    def hidden_inputs(self) -> SafeString:
        """The hidden fields. A page has twenty of them, and a widget's template takes as long for one as for a text."""
        shown = ((bound.html_name, "" if (value := bound.value()) is None else value) for bound in self.hidden_fields())
        return format_html_join("", '<input type="hidden" name="{}" value="{}">', shown)

    @property
    def plain_fields(self) -> list[Any]:
        """The visible fields but for the modifications."""
        return [bound for bound in self.visible_fields() if bound.name not in self.modifications]

    @property
    def modification_fields(self) -> list[Any]:
        return [bound for bound in self.visible_fields() if bound.name in self.modifications]

    @property
    def is_modified(self) -> bool:
        """Whether the modifications hold something or an error, so that they are shown unfolded."""
        return any(bound.value() or bound.errors for bound in self.modification_fields)

    @property
    def has_autofocus(self) -> bool:
        """Whether a field takes the focus; else the button does, so that Enter is the decision."""
        return any(bound.field.widget.attrs.get("autofocus") for bound in self.visible_fields())


def _choice(name: str, choices: list[tuple[str, str]]) -> forms.Field:
    labels = {
        "assigned_to": gettext_lazy("Person"),
        "colleague": gettext_lazy("Colleague"),
        "team": gettext_lazy("Team"),
        "placeholder": gettext_lazy("Masked value"),
    }
    return forms.CharField(
        label=labels[name],
        max_length=254,
        widget=forms.Select(attrs={"class": "c-input"}, choices=[("", gettext_lazy("Choose …")), *choices]),
        error_messages={"required": gettext_lazy("Choose one.")},
    )


class MomentField(forms.DateTimeField):
    """A moment in the reader's zone, with a few likely ones to choose from."""

    def __init__(self, name: str) -> None:
        labels = {"follow_up_at": gettext_lazy("Look at it again"), "until": gettext_lazy("New end")}
        self.choices = likely_moments(timezone.localtime(clock.now()))
        super().__init__(
            label=labels[name],
            initial=self.choices[1][0],
            help_text=gettext_lazy("Your time zone: %(zone)s. At most 90 days ahead.")
            % {"zone": timezone.get_current_timezone_name()},
            widget=forms.DateTimeInput(attrs={"type": "datetime-local", "class": "c-input"}, format="%Y-%m-%dT%H:%M"),
            error_messages={
                "required": gettext_lazy("Give a day and a time."),
                "invalid": gettext_lazy("Give a day and a time, like 2026-12-24 09:30."),
            },
        )


def likely_moments(now: datetime) -> list[tuple[str, str]]:
    """Value and label of moments that people mean, such as tomorrow morning. `now` is in the reader's zone."""
    morning = time(9)
    monday = now.date() + timedelta(days=7 - now.weekday())
    soon = now + timedelta(hours=2)
    likely = [
        (soon.replace(minute=soon.minute // 5 * 5, tzinfo=None), _("In 2 hours")),
        (datetime.combine(now.date() + timedelta(days=1), morning), _("Tomorrow 09:00")),
        (datetime.combine(monday, morning), _("Monday 09:00")),
        (datetime.combine(now.date() + timedelta(days=7), morning), _("In a week")),
    ]
    return [(f"{moment:%Y-%m-%dT%H:%M}", label) for moment, label in likely]
