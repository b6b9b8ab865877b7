"""One's own named views of the queue: save, rename, delete. A view is a query string, checked anew when opened."""

from dataclasses import dataclass
from typing import Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from tasks_app.actors import Actor
from tasks_app.admin.actors import actor_of
from tasks_app.admin.filters import Asked, asked_by
from tasks_app.links import queue_url
from tasks_app.models import SavedView

MOST: Final = 30


@dataclass(frozen=True)
class ShownView:
    pk: int
    name: str
    url: str
    is_active: bool


class NameForm(forms.Form):
    name = forms.CharField(max_length=60)


def shown(actor: Actor, asked: Asked) -> list[ShownView]:
    """The reader's views; the one that is open is marked."""
    views = SavedView.objects.filter(user=actor.user)[:MOST]
    return [ShownView(view.pk, view.name, url_of(view.query), view.query == query_of(asked)) for view in views]


def query_of(asked: Asked) -> str:
    """The view as it is stored: always in the same order, so that equal views are equal texts."""
    query = QueryDict(mutable=True)
    query.update(asked.query())
    return query.urlencode()


def url_of(query: str) -> str:
    return queue_url(**asked_by(QueryDict(query)).query())


@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Keep the filters under a name; a name that one has already stands for these filters from now on."""
    actor, form = actor_of(request), NameForm(request.POST)
    query = query_of(asked_by(QueryDict(request.POST.get("query", "")[:2_000])))
    if not form.is_valid():
        messages.error(request, _("Give the view a name of at most 60 characters."))
        return HttpResponseRedirect(url_of(query))
    mine = SavedView.objects.filter(user=actor.user)
    name = form.cleaned_data["name"]
    if mine.count() >= MOST and not mine.filter(name=name).exists():
        messages.error(request, _("You have %(n)d views already; delete one first.") % {"n": MOST})
    elif len(query) > 1_000:
        messages.error(request, _("These filters are too long to be kept."))
    else:
        mine.update_or_create(user=actor.user, name=name, defaults={"query": query})
        messages.success(request, _("Saved as '%(name)s'.") % {"name": name})
    return HttpResponseRedirect(url_of(query))


@require_POST
def change(request: HttpRequest, view_id: int) -> HttpResponse:
    """Rename or delete one of one's own views. Another's answers like one that is not there."""
    view = SavedView.objects.filter(user=actor_of(request).user, pk=view_id).first() if view_id < 2**63 else None
    if view is None:
        messages.error(request, _("There is no such view any more."))
        return HttpResponseRedirect(queue_url())
    if request.POST.get("what") == "delete":
        view.delete()
        messages.success(request, _("The view '%(name)s' is deleted; tasks are as they were.") % {"name": view.name})
        return HttpResponseRedirect(url_of(view.query))
    form = NameForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Give the view a name of at most 60 characters."))
    elif SavedView.objects.filter(user=view.user, name=form.cleaned_data["name"]).exclude(pk=view.pk).exists():
        messages.error(request, _("You have another view of this name."))
    else:
        view.name = form.cleaned_data["name"]
        view.save(update_fields=["name"])
    return HttpResponseRedirect(url_of(view.query))
