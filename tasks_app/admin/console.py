"""The admin of human tasks: the queue and the task page in the places where Django's list and form would be."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin

from tasks_app.admin import deck, deck_actions, presence, saved_views
from tasks_app.admin.actions import act, take_next
from tasks_app.admin.actors import works_here
from tasks_app.admin.bulk_page import bulk_page
from tasks_app.admin.export import export
from tasks_app.admin.group_pages import group_page, groups_page
from tasks_app.admin.live import group_live, groups_live, live
from tasks_app.admin.mentions import mentions_page, read_all, read_on_task
from tasks_app.admin.queue import queue_page
from tasks_app.admin.task_page import task_page
from tasks_app.links import task_url
from tasks_app.models import HumanTask


@admin.register(HumanTask)
class HumanTaskAdmin(ModelAdmin):  # type: ignore[misc]  # Unfold is untyped
    """Nothing is added, changed or deleted here by hand: there are no addresses for it."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(queue_page), name="tasks_app_humantask_changelist"),
            path("next/", wrap(take_next), name="tasks_app_humantask_next"),
            path("mentions/", wrap(mentions_page), name="tasks_app_humantask_mentions"),
            path("mentions/read/", wrap(read_all), name="tasks_app_humantask_mentions_read"),
            path("<str:task_id>/mention-read/", wrap(read_on_task), name="tasks_app_humantask_mention_read"),
            path("live/", wrap(live), name="tasks_app_humantask_live"),
            path("export/", wrap(export), name="tasks_app_humantask_export"),
            path("bulk/<slug:verb_name>/", wrap(bulk_page), name="tasks_app_humantask_bulk"),
            path("similar/", wrap(groups_page), name="tasks_app_humantask_groups"),
            path("similar/live/", wrap(groups_live), name="tasks_app_humantask_groups_live"),
            path("similar/<slug:key>/live/", wrap(group_live), name="tasks_app_humantask_group_live"),
            path("similar/<slug:key>/", wrap(group_page), name="tasks_app_humantask_group"),
            path("views/", wrap(saved_views.save), name="tasks_app_humantask_save_view"),
            path("views/<int:view_id>/", wrap(saved_views.change), name="tasks_app_humantask_change_view"),
            path("deck/", wrap(deck.deck_page), name="tasks_app_humantask_deck"),
            path("deck/card/", wrap(deck.deck_card), name="tasks_app_humantask_deck_card"),
            path("deck/show/", wrap(deck.deck_show), name="tasks_app_humantask_deck_show"),
            path("deck/leave/", wrap(deck_actions.deck_leave), name="tasks_app_humantask_deck_leave"),
            path("deck/skip/", wrap(deck_actions.deck_skip), name="tasks_app_humantask_deck_skip"),
            path("deck/undo/", wrap(deck_actions.deck_undo), name="tasks_app_humantask_deck_undo"),
            path("deck/poll/", wrap(deck_actions.deck_poll), name="tasks_app_humantask_deck_poll"),
            path("deck/act/<slug:verb_name>/", wrap(deck_actions.deck_act), name="tasks_app_humantask_deck_act"),
            path("news/", wrap(presence.news), name="tasks_app_humantask_news"),
            path("news/told/", wrap(presence.news_told), name="tasks_app_humantask_news_told"),
            path("<str:task_id>/presence/", wrap(presence.task_presence), name="tasks_app_humantask_presence"),
            path("<str:task_id>/presence/left/", wrap(presence.leave_task), name="tasks_app_humantask_left"),
            path("<str:task_id>/change/", wrap(task_page), name="tasks_app_humantask_change"),
            path("<str:task_id>/", wrap(_to_task)),
            path("<str:task_id>/<slug:verb_name>/", wrap(act), name="tasks_app_humantask_act"),
        ]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return works_here(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return works_here(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _to_task(request: HttpRequest, task_id: str) -> HttpResponse:
    return HttpResponseRedirect(task_url(task_id))
