"""What every page of the console stands in: the admin's own context, and the sidebar with its registry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tasks_app import reports, selectors
from tasks_app.admin.actors import actor_of, may, oversees, works_here


def page_context(request: HttpRequest) -> dict[str, Any]:
    """The context of a page of our own inside the admin's frame."""
    return {**admin.site.each_context(request), "is_fullwidth": "1"}


def drafts_script(request: HttpRequest) -> str:
    """The script that keeps what is typed, told in its own address for whom, and in which words to speak of it."""
    words = {
        "who": str(request.user.pk) if request.user.is_authenticated else "",
        "kept": _(
            "You were signed out. What you wrote is kept in this window and is there again once you have signed in."
        ),
        "out": _("You are signed out. What you wrote stays here. Sign in in another window, then send it."),
        "back": _("What you wrote here before is back."),
        "discard": _("Discard it"),
    }
    return f"{static('console/drafts.js')}?{urlencode({name: str(word) for name, word in words.items()})}"


@dataclass(frozen=True)
class Link:
    """One entry of the sidebar. `icon` is a Material symbol; `view` the name of an admin view, or `console-...`.

    `section` is a key of SECTIONS.
    """

    title: str | Promise
    icon: str
    view: str
    permission: Callable[[HttpRequest], bool] = works_here
    section: str = "work"


# What is the reader's own comes first; then the configuration, by what an administrator has in mind.
SECTIONS: Final = {
    "own": _("For me"),
    "work": _("Work"),
    "time": _("Deadlines"),
    "access": _("Access"),
    "messages": _("Messages"),
    "records": _("Records"),
}


def _may_view(model: str, app: str = "tasks_app") -> Callable[[HttpRequest], bool]:
    def allowed(request: HttpRequest) -> bool:
        return may(request, f"{app}.view_{model}")

    return allowed


def _keeps_phrases(request: HttpRequest) -> bool:
    """Leads keep their teams' phrases."""
    return works_here(request) and (bool(actor_of(request).grants.led) or oversees(request))


def _sees_promises(request: HttpRequest) -> bool:
    """Leads see by which promises their teams work; administrators edit them."""
    return works_here(request) and (bool(actor_of(request).grants.led) or may(request, "tasks_app.view_slapolicy"))


_LINKS: Final[list[Link]] = [
    Link(_("Mentions"), "alternate_email", "tasks_app_humantask_mentions", section="own"),
    Link(_("Task types"), "category", "tasks_app_tasktype_changelist", _may_view("tasktype")),
    Link(_("Teams"), "groups", "tasks_app_team_changelist", _may_view("team")),
    Link(_("Phrases"), "format_quote", "tasks_app_phrase_changelist", _keeps_phrases),
    Link(_("Deadline policies"), "timer", "tasks_app_slapolicy_changelist", _sees_promises, "time"),
    Link(_("Calendars"), "calendar_month", "tasks_app_businesscalendar_changelist", _sees_promises, "time"),
    Link(_("People and adapters"), "person", "tasks_app_user_changelist", _may_view("user"), "access"),
    Link(_("Roles"), "badge", "auth_group_changelist", _may_view("group", "auth"), "access"),
    Link(_("Principals"), "domain", "tasks_app_principal_changelist", _may_view("principal"), "access"),
    Link(_("Tokens"), "key", "tasks_app_adaptertoken_changelist", _may_view("adaptertoken"), "access"),
    Link(_("Audit log"), "history", "auditlog_logentry_changelist", oversees, "records"),
    Link(
        _("Retention"), "auto_delete", "tasks_app_retentionpolicy_changelist", _may_view("retentionpolicy"), "records"
    ),
]


def register_link(link: Link) -> None:
    """Add an entry at the end of its section. Other apps call this in `AppConfig.ready`."""
    if link not in _LINKS:
        _LINKS.append(link)


def _entry(link: Link) -> dict[str, Any]:
    return {
        "title": link.title,
        "icon": link.icon,
        "link": reverse_lazy(link.view if link.view.startswith("console-") else f"admin:{link.view}"),
        "permission": link.permission,
    }


def account_links(request: HttpRequest) -> list[dict[str, Any]]:
    """What the menu under the reader's name offers, for the setting UNFOLD["ACCOUNT"]."""
    links = [
        {"title": _("My settings"), "link": reverse_lazy("admin:tasks_app_user_mine")},
        {"title": _("Mentions"), "link": reverse_lazy("admin:tasks_app_humantask_mentions")},
    ]
    if request.user.is_authenticated and request.user.has_usable_password():
        links.append({"title": _("Change password"), "link": reverse_lazy("admin:password_change")})
    return links if works_here(request) else links[2:]


def _reads_reports(request: HttpRequest) -> bool:
    return works_here(request) and reports.may_read(actor_of(request))


def _held(request: HttpRequest) -> int:
    """How many tasks the reader holds: as the queue has counted them already, or by one look-up."""
    known: dict[str, int] | None = getattr(request, "queue_counts", None)
    return selectors.held_by(actor_of(request)) if known is None else known["mine"]


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The navigation, for the setting UNFOLD["SIDEBAR"]."""
    queue = _entry(Link(_("Queue"), "inbox", "tasks_app_humantask_changelist"))
    deck = _entry(Link(_("Deck"), "stacks", "tasks_app_humantask_deck"))
    # The addresses of the deck and of the mentions begin like the queue's: one entry at a time is the present one.
    elsewhere = (str(deck["link"]), str(reverse_lazy("admin:tasks_app_humantask_mentions")))
    queue["active"] = str(queue["link"]) in request.path and not request.path.startswith(elsewhere)
    held = _held(request) if works_here(request) else 0
    if held:
        queue |= {"badge": str(held), "badge_variant": "primary"}
    report = Link(_("Reports"), "query_stats", "tasks_app_quarter_changelist", _reads_reports)
    return [
        {"items": [_entry(Link(_("Home"), "home", "index")), queue, deck, _entry(report)]},
        *(
            {"title": title, "items": [_entry(link) for link in _LINKS if link.section == section]}
            for section, title in SECTIONS.items()
        ),
    ]
