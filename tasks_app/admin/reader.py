"""My settings: the language and the time zone in which a person reads the console."""

import zoneinfo
from functools import lru_cache
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tasks_app.admin.base import audited
from tasks_app.admin.site import page_context
from tasks_app.models import User


@lru_cache(maxsize=1)
def zone_names() -> list[str]:
    """The zones worth choosing from: by region and city, and UTC."""
    return [
        "UTC",
        *sorted(name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc")),
    ]


class ReaderForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A person's own language and time zone."""

    time_zone = forms.CharField(
        label=gettext_lazy("Time zone"),
        required=False,
        max_length=64,
        help_text=gettext_lazy("Such as Europe/Berlin. Empty: the zone of the browser you are using."),
        widget=forms.TextInput(attrs={"class": "c-input", "list": "zones", "autocomplete": "off"}),
    )
    language = forms.ChoiceField(
        label=gettext_lazy("Language"),
        required=False,
        widget=forms.Select(attrs={"class": "c-input"}),
        help_text=gettext_lazy("Of the console. What adapters and colleagues write stays as they wrote it."),
    )

    class Meta:
        model = User
        fields = ("language", "time_zone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked = ("", _("as the browser asks"))
        cast(forms.ChoiceField, self.fields["language"]).choices = [asked, *settings.LANGUAGES]


def my_settings(request: HttpRequest) -> HttpResponse:
    """Show and save the reader's own settings."""
    user = User.objects.get(username=request.user.get_username())
    form = ReaderForm(request.POST if request.method == "POST" else None, instance=user)
    if request.method == "POST" and form.is_valid():
        with audited(request):
            user.save(update_fields=["language", "time_zone"])
        with translation.override(user.language or translation.get_language_from_request(request)):
            messages.success(request, _("Saved."))
        return HttpResponseRedirect(reverse("admin:tasks_app_user_mine"))
    context = {
        **page_context(request),
        "title": _("My settings"),
        "form": form,
        "zones": zone_names(),
        "now": timezone.localtime(),
        "zone": timezone.get_current_timezone_name(),
    }
    return TemplateResponse(request, "console/my_settings.html", context, status=200 if not form.errors else 400)
