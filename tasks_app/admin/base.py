"""The admin of the catalogue: what is common to all of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, TypeVar, cast

from auditlog.context import set_extra_data
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.forms.formsets import all_valid
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.html import conditional_escape
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from core.requests import client_address, current_correlation_id
from tasks_app.admin.history import Told, history_of

Column = TypeVar("Column", bound=Callable[..., Any])

CONFIRMED = "confirmed"


def audited(request: HttpRequest) -> AbstractContextManager[None]:
    """Let the audit entries of the catalogue name who changed it, from where, in which request."""
    frame = {"actor": request.user, "remote_addr": client_address(request), "cid": current_correlation_id() or None}
    context: AbstractContextManager[None] = set_extra_data(frame)
    return context


class Labelled(tuple[str, str]):
    """A key and its text. A list colours the text by the key; wherever else a page shows it, it reads as the text."""

    def __html__(self) -> str:
        return conditional_escape(self[1])


def labelled(description: str | Promise, tones: dict[str, str]) -> Callable[[Column], Column]:
    """A column whose method returns a key and a text: the text is shown as a label in the key's tone."""
    in_list: Callable[[Any], Any] = display(description=description, label=tones)

    def decorator(column: Column) -> Column:
        @wraps(column)
        def shown(*args: Any) -> Labelled:
            return Labelled(column(*args))

        return cast(Column, in_list(shown))

    return decorator


class AskFirst(Exception):
    """Raised inside the admin's transaction, before anything is written: this change has consequences to confirm."""

    def __init__(self, consequences: list[str], row: str) -> None:
        super().__init__(consequences)
        self.consequences, self.row = consequences, row


def confirmation_page(request: HttpRequest, *, title: str, consequences: list[str], back_url: str) -> HttpResponse:
    """What would happen, in sentences; a button sends the same form again, confirmed."""
    context = {
        **admin.site.each_context(request),
        "title": title,
        "consequences": consequences,
        "sent": [
            (name, value) for name, values in request.POST.lists() for value in values if name != "csrfmiddlewaretoken"
        ],
        "confirmed": CONFIRMED,
        "back_url": back_url,
    }
    return TemplateResponse(request, "console/confirm.html", context)


class CatalogAdmin(ModelAdmin):  # type: ignore[misc]  # Unfold is untyped
    """Rows are never deleted: others point at them, and the audit log must stay readable. They are deactivated.

    Every page explains itself (`explanation`), a dangerous change asks first (`consequences`), and the history of a
    row is told to whoever may see it.
    """

    explanation: str | Promise = ""
    list_before_template = "console/explained.html"
    change_form_before_template = "console/explained.html"
    compressed_fields = True
    warn_unsaved_form = True
    list_per_page = 50
    show_full_result_count = False
    actions = None
    # Fields that are fixed once the row exists, such as a slug that others point at.
    fixed_fields: tuple[str, ...] = ()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[Any, ...]:
        fixed = () if obj is None else self.fixed_fields
        return (*super().get_readonly_fields(request, obj), *fixed)

    def consequences(self, request: HttpRequest, form: Any, formsets: list[Any]) -> list[str]:
        """What this change would do to others, in sentences with numbers; empty if nothing worth asking about."""
        return []

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """The last step before anything is written: ask first where the change has consequences."""
        if change and CONFIRMED not in request.POST:
            formsets, _inlines = self._create_formsets(request, form.instance, change=True)
            consequences = self.consequences(request, form, formsets) if all_valid(formsets) else []
            if consequences:
                raise AskFirst(consequences, str(form.instance))
        return super().save_form(request, form, change)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            with audited(request):
                response: HttpResponse = super().changeform_view(request, *args, **kwargs)
                return response
        except AskFirst as asked:
            title = _("Really change %(what)s?") % {"what": asked.row}
            back_url = request.get_full_path()
            return confirmation_page(request, title=title, consequences=asked.consequences, back_url=back_url)

    def told_with(self, row: Any) -> list[Told]:
        """What else belongs to the history of this row: other models' entries, by their additional data."""
        return []

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Who changed what of this row and when, from the audit log."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("History of %(what)s") % {"what": row},
            "opts": self.opts,
            "original": row,
            "entries": history_of(row, self.told_with(row)),
        }
        return TemplateResponse(request, "console/history.html", context)
