"""The same tasks in a stock Django admin: status and resolution as plain fields. A URLconf for tests alone.

It is what the console is measured against (test_browser_effort.py), and all that is wrong with it is wrong on purpose:
no lock, no version, no trail.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import path

from core import clock
from hitl.urls import urlpatterns as own
from tasks_app.models import HumanTask
from tasks_app.states import Resolution, Status


class PlainForm(forms.ModelForm):  # type: ignore[type-arg]
    status = forms.ChoiceField(choices=Status.choices)
    resolution = forms.ChoiceField(choices=[("", "---------"), *Resolution.choices], required=False)
    resolution_detail = forms.CharField(widget=forms.Textarea, required=False)

    class Meta:
        model = HumanTask
        fields: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["status"] = self.instance.status

    def _post_clean(self) -> None:
        """The state machine would refuse what a plain form does."""


class PlainAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    fields = ("status", "resolution", "resolution_detail")
    list_display = ("task_id", "creative_id", "status", "priority", "due_by")
    list_filter = ("status",)
    ordering = ("task_id",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return PlainForm  # Django's own factory refuses fields that the model keeps from forms

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def save_model(self, request: HttpRequest, obj: HumanTask, form: Any, change: bool) -> None:
        values = {name: form.cleaned_data[name] for name in self.fields}
        HumanTask.objects.filter(pk=obj.pk).update(**values, completed_at=clock.now(), resolved_by=request.user)


stock = admin.AdminSite(name="stock")
stock.register(HumanTask, PlainAdmin)
urlpatterns = [path("stock/", stock.urls), *own]
