"""The catalogue that comes with the product: the system user, five teams, the mission's task types and the roles."""

from django.apps import apps as live_apps
from django.contrib.auth.management import create_permissions
from django.db import migrations

from tasks_app.catalog_data import ROLES, TASK_TYPES, TEAMS


def fill(apps, schema_editor):
    User, Group, Permission = (
        apps.get_model("tasks_app", "User"), apps.get_model("auth", "Group"), apps.get_model("auth", "Permission"),
    )
    Team, TaskType, FeedHead = (apps.get_model("tasks_app", name) for name in ("Team", "TaskType", "FeedHead"))
    FeedHead.objects.create(pk=1)
    User.objects.create(username="system", kind="system", password="!", first_name="Timer")
    for slug, name in TEAMS.items():
        Team.objects.create(slug=slug, name=name)
    Team.objects.exclude(slug="leads").update(escalation_team="leads")
    for kind in TASK_TYPES:
        team = Team.objects.get(slug=kind["team"])
        row = TaskType.objects.create(default_team=team, **{k: v for k, v in kind.items() if k != "team"})
        team.task_types.add(row)
    create_permissions(live_apps.get_app_config("tasks_app"), verbosity=0, using=schema_editor.connection.alias, apps=apps)
    for role, codenames in ROLES.items():
        group = Group.objects.create(name=role)
        group.permissions.set(Permission.objects.filter(content_type__app_label="tasks_app", codename__in=codenames))


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0001_initial"), ("contenttypes", "0002_remove_content_type_name")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
