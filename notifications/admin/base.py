"""What both lists share: they are for administrators alone."""

from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseNotAllowed

from notifications.services import manages_all
from tasks_app.admin.actors import actor_of, oversees, works_here
from tasks_app.admin.base import CatalogAdmin


def administers(request: HttpRequest) -> bool:
    """Administrators who may enter the console."""
    return works_here(request) and manages_all(actor_of(request))


def sees_alerts(request: HttpRequest) -> bool:
    """Those who oversee, and leads: of the tasks that they lead."""
    return works_here(request) and (oversees(request) or bool(actor_of(request).grants.led))


def refuse_get(request: HttpRequest) -> HttpResponseNotAllowed | None:
    """The gate of every address that changes something: POST, by an administrator. Raises PermissionDenied."""
    if not administers(request):
        raise PermissionDenied
    return None if request.method == "POST" else HttpResponseNotAllowed(["POST"])


class AdministratorsAdmin(CatalogAdmin):
    """Seen by administrators; what may change is the subclass's to say."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return administers(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return administers(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @property
    def site(self) -> admin.AdminSite:
        return cast(admin.AdminSite, self.admin_site)
