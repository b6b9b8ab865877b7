"""Roles: a table of rights to tick; a change says whom it concerns, is asked about, audited and told."""

from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, Permission

from tasks_app.admin.roles import RIGHTS
from tasks_app.models import User
from tests.admin.conftest import ClientFor, text_of
from tests.admin.test_configuration import change, confirm


def url_of(role: Group) -> str:
    return f"/admin/auth/group/{role.pk}/change/"


def codenames(role: Group) -> set[str]:
    return set(role.permissions.values_list("codename", flat=True))


@pytest.mark.django_db
def test_every_box_stands_for_permissions_that_exist() -> None:
    names = {name for right in RIGHTS.values() for name in right.codenames}
    found = Permission.objects.filter(content_type__app_label="tasks_app", codename__in=names)
    assert set(found.values_list("codename", flat=True)) == names


def test_it_asks_whom_a_change_concerns_and_keeps_what_has_no_box(
    client_for: ClientFor, people: dict[str, User]
) -> None:
    role, client = Group.objects.get(name="Auditor"), client_for("root")
    people["zoe"].groups.add(role)
    other = Permission.objects.get(codename="view_humantask")
    assert other in role.permissions.all()
    before = codenames(role)
    page = client.get(url_of(role))
    given: Any = page.context["adminform"].form["rights"].value()
    assert "view_team" in given
    rights = [*(name for name in given if name != "view_adaptertoken"), "change_team"]

    asked = change(client, url_of(role), rights=rights)
    assert "1 person may from now on: Teams: change." in text_of(asked)
    assert "1 person may no longer: Tokens: see." in text_of(asked)
    assert codenames(role) == before
    assert confirm(client, url_of(role), asked).status_code == 302
    gained, lost = {"change_team", "change_teammembership"}, {"view_adaptertoken"}
    assert codenames(role) == (before | gained) - lost

    entries = LogEntry.objects.get_for_object(role)
    assert {entry.actor for entry in entries} == {people["root"]}
    told = text_of(client.get(f"/admin/auth/group/{role.pk}/history/"))
    assert "with Can change team, Can change team member" in told
    assert "without Can view" in told


def test_it_makes_a_role_and_leaves_one_alone_that_is_saved_as_it_is(client_for: ClientFor) -> None:
    client = client_for("root")
    sent = {"name": "Phrases and teams", "rights": ["view_team"]}
    assert client.post("/admin/auth/group/add/", sent).status_code == 302
    role = Group.objects.get(name="Phrases and teams")
    assert codenames(role) == {"view_team", "view_teammembership"}
    standing = Group.objects.get(name="Administrator")
    before = codenames(standing)
    assert change(client, url_of(standing)).status_code == 302
    assert codenames(standing) == before
    assert change(client, url_of(standing), rights=["delete_everything"]).status_code == 200


def test_roles_are_for_superusers(client_for: ClientFor) -> None:
    role = Group.objects.get(name="Auditor")
    assert "/admin/auth/group/" in client_for("root").get("/admin/").content.decode()
    assert "/admin/auth/group/" not in client_for("sam").get("/admin/").content.decode()
    assert client_for("sam").get(url_of(role)).status_code == 403
