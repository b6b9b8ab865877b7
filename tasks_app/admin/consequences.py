"""What a change of the configuration would do to work and people, in sentences with numbers.

Asked before the change is written, so that what the database says is how it stands. All counts are of open tasks, by
index, and stop at a thousand.
"""

from typing import Any, Final

from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from jsonschema import Draft202012Validator

from tasks_app import selectors
from tasks_app.models import AdapterToken, HumanTask, Principal, TaskType, Team, TeamMembership, User
from tasks_app.states import Resolution

LOOKED_AT: Final = 200


def _open(condition: Q) -> int:
    """How many open tasks there are, up to a thousand."""
    return HumanTask.objects.open().filter(condition).order_by().values("pk")[: selectors.COUNTED_UP_TO].count()


def _tasks(number: int) -> str:
    """`12 open tasks`, `more than 999 open tasks`."""
    if number >= selectors.COUNTED_UP_TO:
        return _("more than 999 open tasks")
    return ngettext("%(n)d open task", "%(n)d open tasks", number) % {"n": number}


def _switched_off(form: Any) -> bool:
    return "is_active" in form.changed_data and not form.cleaned_data["is_active"]


def of_task_type(kind: TaskType, form: Any) -> list[str]:
    """Switching a type off, taking a decision away, or asking for other data."""
    before, said = TaskType.objects.get(pk=kind.pk), []
    number = _open(Q(task_type=kind.pk))
    if _switched_off(form):
        said.append(
            _(
                "Adapters can open no more tasks of this type: their requests are refused. "
                "%(tasks)s of it stay to be done."
            )
            % {"tasks": _tasks(number)}
        )
    gone = [name for name in before.allowed_resolutions if name not in form.cleaned_data["allowed_resolutions"]]
    for name in gone if number else []:
        label = str(Resolution(name).label) if name in Resolution.values else name
        said.append(
            _("Nobody can end a task with '%(label)s' any more, also not the %(tasks)s of this type.")
            % {"label": label, "tasks": _tasks(number)}
        )
        halfway = _open(Q(task_type=kind.pk, stage=2, first_decision__resolution=name))
        if halfway:
            said.append(
                _("%(tasks)s wait for a second reviewer to confirm '%(label)s', which will not be possible.")
                % {"label": label, "tasks": _tasks(halfway)}
            )
    said += _of_schemas(before, form, number)
    hours = form.cleaned_data["expires_after_hours"]
    if hours is not None and hours != before.expires_after_hours and number:
        said.append(
            _("The %(tasks)s of this type end by themselves %(n)d hours after they were opened, after a warning.")
            % {"tasks": _tasks(number), "n": hours}
        )
    if form.cleaned_data["needs_second_reviewer"] and not before.needs_second_reviewer and number:
        said.append(
            _("Two people must decide each of the %(tasks)s of this type from now on.") % {"tasks": _tasks(number)}
        )
    return said


def _of_schemas(before: TaskType, form: Any, number: int) -> list[str]:
    said = []
    schema = form.cleaned_data["context_schema"]
    if schema != before.context_schema and schema:
        contexts = HumanTask.objects.open().filter(task_type=before.pk).in_queue_order()[:LOOKED_AT]
        looked_at = list(contexts.values_list("context_data", flat=True))
        check = Draft202012Validator(schema)
        refused = sum(not check.is_valid(context) for context in looked_at)
        said.append(
            _(
                "Adapters that send other data are refused from now on. "
                "%(refused)d of %(n)d open tasks looked at would be."
            )
            % {"refused": refused, "n": len(looked_at)}
        )
    if form.cleaned_data["resolution_schema"] != before.resolution_schema and number:
        said.append(
            _("Modifications of the %(tasks)s of this type must fit the new form at once.") % {"tasks": _tasks(number)}
        )
    return said


def of_team(team: Team, form: Any, formsets: list[Any]) -> list[str]:
    """Switching a team off, or taking people or types from it."""
    said = []
    if _switched_off(form):
        said += _of_closing(team)
    before = Team.objects.get(pk=team.pk)
    types = set(before.task_types.values_list("pk", flat=True)) - {kind.pk for kind in form.cleaned_data["task_types"]}
    if types:
        elsewhere = _open(Q(task_type__in=sorted(types)) & ~Q(team=team.pk))
        said.append(
            _("Its people no longer see tasks of %(types)s that are with other teams (%(tasks)s now).")
            % {"types": ", ".join(sorted(types)), "tasks": _tasks(elsewhere)}
        )
    if before.serves_all_principals and not form.cleaned_data["serves_all_principals"]:
        names = ", ".join(str(principal) for principal in form.cleaned_data["principals"]) or _("none")
        said.append(_("Of its task types it serves these principals alone: %(names)s.") % {"names": names})
    return said + [line for person in _leaving(team, formsets) for line in _of_leaving(team, person)]


def _of_closing(team: Team) -> list[str]:
    said = []
    members = TeamMembership.objects.filter(team=team, user__is_active=True).count()
    number = _open(Q(team=team.pk))
    said.append(
        ngettext(
            "%(n)d person loses the rights that this team gives.",
            "%(n)d people lose the rights that this team gives.",
            members,
        )
        % {"n": members}
    )
    if number:
        said.append(_("%(tasks)s are with this team; route them to another one first.") % {"tasks": _tasks(number)})
    types = TaskType.objects.filter(default_team=team, is_active=True).values_list("label", flat=True)
    if types:
        said.append(_("New tasks of these types would still come to it: %(types)s.") % {"types": ", ".join(types)})
    senders = Team.objects.filter(escalation_team=team, is_active=True).exclude(pk=team.pk)
    if senders:
        names = ", ".join(senders.values_list("name", flat=True))
        said.append(
            _("Escalated tasks of these teams go to the next team of the chain, or stay: %(teams)s.") % {"teams": names}
        )
    return said


def _leaving(team: Team, formsets: list[Any]) -> list[User]:
    """Who is a member now and would not be afterwards."""
    kept: set[int] = set()
    for formset in formsets:
        if formset.model is TeamMembership:
            kept |= {
                form.cleaned_data["user"].pk
                for form in formset.forms
                if form.cleaned_data.get("user") and form not in formset.deleted_forms
            }
    leaving = User.objects.filter(memberships__team=team, is_active=True).exclude(pk__in=kept)
    return list(leaving.order_by("username").distinct()[:200])


def _of_leaving(team: Team, person: User) -> list[str]:
    types = list(team.task_types.values_list("pk", flat=True))
    held = _open(Q(assigned_to=person) & (Q(team=team.pk) | Q(task_type__in=types)))
    if not held:
        return [_("%(person)s leaves the team.") % {"person": person.get_username()}]
    return [
        _("%(person)s leaves the team and holds %(tasks)s of it: what nobody else lets him or her work on goes back.")
        % {"person": person.get_username(), "tasks": _tasks(held)}
    ]


def of_principal(principal: Principal, form: Any) -> list[str]:
    """Switching a principal off."""
    if not _switched_off(form):
        return []
    number = _open(Q(principal=principal.pk))
    bound = AdapterToken.objects.filter(principals=principal, revoked_at=None).count()
    said = [
        _("Adapters can open no more tasks for this principal: their requests are refused."),
        _("%(tasks)s of it stay to be done.") % {"tasks": _tasks(number)},
    ]
    if bound:
        live = ngettext("%(n)d live token speaks for it.", "%(n)d live tokens speak for it.", bound) % {"n": bound}
        said.append(live)
    return said


def of_person(person: User, form: Any) -> list[str]:
    """Switching a person or an adapter off, or shutting the console to somebody."""
    off = _switched_off(form)
    shut = "is_staff" in form.changed_data and not form.cleaned_data.get("is_staff")
    if not off and not shut:
        return []
    held = _open(Q(assigned_to=person.pk))
    tokens = AdapterToken.objects.filter(user=person, revoked_at=None).count()
    said = [
        _("%(person)s can no longer sign in.") % {"person": person.get_username()}
        if off
        else _("%(person)s can no longer enter the console.") % {"person": person.get_username()}
    ]
    if held:
        back = (
            _("%(tasks)s go back to the queue.") if off else _("%(tasks)s stay with this person, who cannot see them.")
        )
        said.append(back % {"tasks": _tasks(held)})
    if off and tokens:
        said.append(ngettext("%(n)d token stops working.", "%(n)d tokens stop working.", tokens) % {"n": tokens})
    if off:
        lead = Q(memberships__role=TeamMembership.Role.LEAD, memberships__user__is_active=True)
        others = Count("memberships", filter=lead & ~Q(memberships__user=person), distinct=True)
        led = Team.objects.filter(memberships__user=person, memberships__role=TeamMembership.Role.LEAD, is_active=True)
        for team in Team.objects.filter(pk__in=led.values("pk")).annotate(others=others).filter(others=0):
            said.append(_("%(team)s has no lead any more.") % {"team": team.name})
    return said


def of_token(token: AdapterToken) -> list[str]:
    """Revoking a token."""
    live = AdapterToken.objects.filter(user=token.user, revoked_at=None).exclude(pk=token.pk).count()
    said = [
        _("Whoever uses %(name)s is refused within seconds, and it never works again.") % {"name": token},
        _("It was never used.")
        if token.last_used_at is None
        else _("It was last used on %(day)s.") % {"day": f"{token.last_used_at:%Y-%m-%d}"},
    ]
    others = ngettext("%(user)s has %(n)d other live token.", "%(user)s has %(n)d other live tokens.", live)
    return [*said, others % {"user": token.user.get_username(), "n": live}]
