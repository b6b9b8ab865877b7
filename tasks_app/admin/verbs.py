"""What a person can do to a task in the console: each verb with its words, its form and the service it calls.

The same rows draw the buttons, the dialogs and the answers to their forms, so that none can be forgotten in one place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tasks_app import services
from tasks_app.actors import Actor
from tasks_app.models import HumanTask
from tasks_app.states import DECISIONS, MAY_CARRY_MODIFICATIONS, NEEDS_TEXT, Resolution

Text = str | Promise
Values = dict[str, Any]
# A service's answer: the task as it stands, or the value that was asked for.
Run = Callable[[str, Actor, Values], HumanTask | str]


@dataclass(frozen=True)
class Verb:
    """One action. `right` is its name in `permissions.available_actions`.

    `text` labels the text field, empty for none; `pick` names a choice field (assigned_to, team), `moment` a field for
    a time (follow_up_at, until); `direct` needs no dialog; `stays` keeps the reader on the task's page afterwards.
    """

    name: str
    right: str
    label: Text
    icon: str
    run: Run
    done: Text
    tone: str = "plain"
    title: Text = ""
    help: Text = ""
    text: Text = ""
    text_required: bool = False
    pick: str = ""
    moment: str = ""
    resolution: str = ""
    modifications: bool = False
    direct: bool = False
    stays: bool = False


def _decide(resolution: Resolution) -> Run:
    def run(task_id: str, actor: Actor, values: Values) -> HumanTask:
        decision = services.Decision(resolution, values["text"], values.get("modifications") or {})
        return services.decide_task(task_id, actor, decision, expected_version=values["version"])

    return run


def _call(service: Callable[..., HumanTask], **fields: str) -> Run:
    """The service, at the version that was seen. `fields`: its argument -> the form's field that gives it."""

    def run(task_id: str, actor: Actor, values: Values) -> HumanTask:
        given = {argument: values[name] for argument, name in fields.items()}
        return service(task_id, actor, expected_version=values["version"], **given)

    return run


def _comment(task_id: str, actor: Actor, values: Values) -> HumanTask:
    return services.comment_on_task(task_id, actor, values["text"]).task


def _reveal(task_id: str, actor: Actor, values: Values) -> str:
    return services.reveal_detail(task_id, actor, placeholder=values["placeholder"], reason=values["text"])


_REASON: Final = _("Reason (optional)")

_DECISIONS: Final = [
    Verb(
        "approve",
        "complete",
        _("Approve"),
        "check",
        _decide(Resolution.APPROVED),
        _("Approved."),
        tone="green",
        title=_("Approve"),
        text=_("Comment for the advertiser (optional)"),
        resolution=Resolution.APPROVED,
    ),
    Verb(
        "complete",
        "complete",
        _("Complete"),
        "check",
        _decide(Resolution.COMPLETED),
        _("Completed."),
        tone="green",
        title=_("Complete"),
        help=_("The adapter is told and carries the operation out again."),
        text=_("What was done (optional)"),
        resolution=Resolution.COMPLETED,
    ),
    Verb(
        "reject",
        "complete",
        _("Reject"),
        "close",
        _decide(Resolution.REJECTED),
        _("Rejected."),
        tone="red",
        title=_("Reject with feedback"),
        text=_("Feedback: what is wrong, where, and what would pass"),
        resolution=Resolution.REJECTED,
    ),
    Verb(
        "cannot-complete",
        "complete",
        _("Cannot complete"),
        "block",
        _decide(Resolution.CANNOT_COMPLETE),
        _("Closed as 'cannot complete'."),
        title=_("Cannot complete"),
        help=_("The operation stays blocked; the buyer will read why."),
        text=_("Why this cannot be done"),
        resolution=Resolution.CANNOT_COMPLETE,
    ),
]

_WORK: Final = [
    Verb(
        "claim",
        "claim",
        _("Claim"),
        "front_hand",
        _call(services.claim_task),
        _("You have this task now."),
        direct=True,
        stays=True,
    ),
    Verb(
        "start",
        "start",
        _("Start"),
        "play_arrow",
        _call(services.start_task),
        _("You have started."),
        direct=True,
        stays=True,
    ),
    Verb(
        "comment",
        "comment",
        _("Comment"),
        "chat_bubble",
        _comment,
        _("Your comment is in the timeline."),
        title=_("Comment"),
        text=_("Comment, for your colleagues and the adapter"),
        text_required=True,
        stays=True,
    ),
    Verb(
        "assign",
        "assign",
        _("Assign"),
        "person_add",
        _call(services.assign_task, assigned_to="assigned_to", reason="text"),
        _("Assigned."),
        title=_("Assign to a person"),
        pick="assigned_to",
        text=_REASON,
    ),
    Verb(
        "hold",
        "hold",
        _("Hold"),
        "pause",
        _call(services.hold_task, reason="text", follow_up_at="follow_up_at"),
        _("On hold."),
        title=_("Put on hold"),
        help=_("It stays with its holder, and no timer takes it away, until the follow-up time."),
        text=_("For whom or what the task waits"),
        text_required=True,
        moment="follow_up_at",
        stays=True,
    ),
    Verb(
        "resume",
        "resume",
        _("Resume"),
        "resume",
        _call(services.resume_task, reason="text"),
        _("The task is taken up again."),
        title=_("Take up again"),
        help=_("The clocks go on. For a quarter of an hour nothing escalates by itself."),
        text=_REASON,
        stays=True,
    ),
    Verb(
        "extend",
        "extend",
        _("Extend"),
        "more_time",
        _call(services.extend_task, until="until", reason="text"),
        _("The expiry is put off."),
        title=_("Put off the expiry"),
        help=_("Without a decision the task ends by itself. It is warned of again before the new end."),
        text=_REASON,
        moment="until",
        stays=True,
    ),
    Verb(
        "hand-over",
        "hand_over",
        _("Hand over"),
        "forward_to_inbox",
        _call(services.hand_over_task, to="colleague", note="text"),
        _("Handed over."),
        title=_("Hand over to a colleague"),
        help=_("Your colleague has it then, with your note in the timeline."),
        pick="colleague",
        text=_("Note: what your colleague should know"),
        text_required=True,
    ),
    Verb(
        "release",
        "release",
        _("Release"),
        "undo",
        _call(services.release_task, reason="text"),
        _("Given back to the queue."),
        title=_("Give back to the queue"),
        help=_("Somebody else can take it then."),
        text=_REASON,
    ),
    Verb(
        "escalate",
        "escalate",
        _("Escalate"),
        "priority_high",
        _call(services.escalate_task, reason="text"),
        _("Escalated."),
        title=_("Escalate"),
        help=_("It goes to the team's escalation team and to the top of the queue."),
        text=_("Why (optional, but it helps them)"),
    ),
    Verb(
        "route",
        "route",
        _("Route"),
        "alt_route",
        _call(services.route_task, team="team", reason="text"),
        _("Routed."),
        title=_("Route to another team"),
        pick="team",
        text=_REASON,
    ),
    Verb(
        "withdraw",
        "withdraw",
        _("Withdraw"),
        "delete_sweep",
        _call(services.withdraw_task, reason="text"),
        _("Withdrawn."),
        title=_("Withdraw this task"),
        help=_("The operation is no longer wanted; the task ends without a decision."),
        text=_REASON,
    ),
    Verb(
        "reveal",
        "reveal",
        _("Reveal"),
        "visibility",
        _reveal,
        "",
        title=_("Reveal a masked value"),
        help=_("You see it once. That you looked, and why, stays in the timeline."),
        pick="placeholder",
        text=_("Why you need it"),
        text_required=True,
    ),
]


def _as_the_domain_says(verb: Verb) -> Verb:
    """Which decisions need a text and may carry modifications is the state machine's to say."""
    if not verb.resolution:
        return verb
    values = {**verb.__dict__, "text_required": verb.resolution in NEEDS_TEXT}
    return Verb(**{**values, "modifications": verb.resolution in MAY_CARRY_MODIFICATIONS})


VERBS: Final = {verb.name: _as_the_domain_says(verb) for verb in [*_DECISIONS, *_WORK]}


def offered(task: HumanTask, rights: list[str]) -> list[Verb]:
    """The verbs for a task, given `available_actions`: decisions that its type allows, then the work around them."""
    allowed = DECISIONS & set(task.task_type.allowed_resolutions)
    return [
        verb for verb in VERBS.values() if verb.right in rights and (not verb.resolution or verb.resolution in allowed)
    ]
