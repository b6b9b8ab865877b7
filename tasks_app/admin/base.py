"""The admin of the catalogue: what is common to all of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from auditlog.context import set_extra_data
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.functional import Promise
from unfold.admin import ModelAdmin
from unfold.decorators import display

from core.requests import client_address, current_correlation_id

Column = TypeVar("Column", bound=Callable[..., Any])


def audited(request: HttpRequest) -> AbstractContextManager[None]:
    """Let the audit entries of the catalogue name who changed it, from where, in which request."""
    frame = {"actor": request.user, "remote_addr": client_address(request), "cid": current_correlation_id() or None}
    context: AbstractContextManager[None] = set_extra_data(frame)
    return context


def labelled(description: str | Promise, tones: dict[str, str]) -> Callable[[Column], Column]:
    """A column whose method returns a key and a text: the text is shown as a label in the key's tone."""
    decorator: Callable[[Column], Column] = display(description=description, label=tones)
    return decorator


class CatalogAdmin(ModelAdmin):  # type: ignore[misc]  # Unfold is untyped
    """Rows are never deleted: others point at them, and the audit log must stay readable. They are deactivated."""

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

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with audited(request):
            response: HttpResponse = super().changeform_view(request, *args, **kwargs)
            return response
