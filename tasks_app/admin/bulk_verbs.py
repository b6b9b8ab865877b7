"""What can be done to many tasks at once: the verbs of the task page, their words for many, and who is eligible."""

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tasks_app import permissions
from tasks_app.actors import Actor
from tasks_app.admin.verbs import VERBS, Verb
from tasks_app.catalog_data import shown
from tasks_app.models import HumanTask
from tasks_app.states import DECISIONS, HELD, WAITING

Text = str | Promise


@dataclass(frozen=True)
class BulkVerb:
    """One action on many. `verbs` are the task page's that it runs; more than one where the decision is chosen."""

    name: str
    label: Text
    icon: str
    right: str
    verbs: tuple[str, ...]
    title: Text
    text: Text = ""
    help: Text = ""
    pick: str = ""

    def verb(self, chosen: str) -> Verb:
        return VERBS[chosen if self.pick == "decision" else self.name]


BULK: Final = {
    verb.name: verb
    for verb in (
        BulkVerb("claim", gettext_lazy("Claim"), "front_hand", "claim", ("claim",), gettext_lazy("Claim these tasks")),
        BulkVerb(
            "assign",
            gettext_lazy("Assign"),
            "person_add",
            "assign",
            ("assign",),
            gettext_lazy("Assign to a person"),
            text=gettext_lazy("Note for the person (optional)"),
            pick="assigned_to",
        ),
        BulkVerb(
            "decide",
            gettext_lazy("Decide"),
            "gavel",
            "complete",
            ("approve", "complete", "reject", "cannot-complete"),
            gettext_lazy("Decide these tasks alike"),
            text=gettext_lazy("Feedback, sent with each of them"),
            help=gettext_lazy("Each task is decided by itself, under your name, with its own entry in its history."),
            pick="decision",
        ),
        BulkVerb(
            "escalate",
            gettext_lazy("Escalate"),
            "priority_high",
            "escalate",
            ("escalate",),
            gettext_lazy("Escalate these tasks"),
            text=gettext_lazy("Why (optional, but it helps them)"),
            help=gettext_lazy("They go to the team's escalation team and to the top of the queue."),
        ),
        BulkVerb(
            "release",
            gettext_lazy("Release"),
            "undo",
            "release",
            ("release",),
            gettext_lazy("Give these tasks back to the queue"),
            text=gettext_lazy("Reason (optional)"),
        ),
    )
}


def offered_in_bulk(actor: Actor) -> list[BulkVerb]:
    """The actions for the bar. Assigning is for those who lead something; each task is checked by itself later."""
    leads = bool(actor.grants.led) or actor.grants.manages_everything
    works = bool(actor.grants.teams) or actor.grants.manages_everything
    return [verb for verb in BULK.values() if works and (verb.name != "assign" or leads)]


def where_it_stands(task: HumanTask, actor: Actor) -> str:
    """Who was faster, in two words: `taken by zoe`, `decided by zoe`; empty for a task that waits."""
    if task.completed_at is not None:
        if task.resolved_by is None:
            return _("withdrawn") if task.resolution == "withdrawn" else _("expired")
        mine = task.resolved_by_id == actor.user.pk
        return _("decided by you") if mine else _("decided by %(who)s") % {"who": task.resolved_by.get_username()}
    if task.assigned_to is None:
        return ""
    if task.assigned_to_id == actor.user.pk:
        return _("yours already")
    return _("taken by %(who)s") % {"who": task.assigned_to.get_username()}


def obstacle(bulk: BulkVerb, task: HumanTask, actor: Actor, *, decision: str = "") -> str:
    """Why this task cannot be changed so, as a reason behind `skipped:`; empty if it can."""
    if bulk.right not in permissions.available_actions(actor, task):
        return _refusal(bulk, task, actor)
    if decision:
        resolution = VERBS[decision].resolution
        if resolution not in DECISIONS & set(task.task_type.allowed_resolutions):
            label = str(VERBS[decision].label).lower()
            return _("%(type)s has no '%(decision)s'") % {"type": shown(task.task_type.label), "decision": label}
    return ""


def _refusal(bulk: BulkVerb, task: HumanTask, actor: Actor) -> str:
    if not task.is_open:
        return where_it_stands(task, actor)
    if bulk.name in ("claim", "decide"):
        if task.status in HELD and (task.assigned_to_id != actor.user.pk or bulk.name == "claim"):
            return where_it_stands(task, actor)
        if not permissions.may_decide_at_this_stage(actor, task):
            return _("needs a second pair of eyes")
        return _("your teams do not work on it")
    if bulk.name == "release" and task.status in WAITING:
        return _("nobody has it")
    if bulk.name == "assign":
        return _("only a lead of its team may assign it")
    return _("only its holder or a lead may")
