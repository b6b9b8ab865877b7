"""The domain: human tasks."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _


class TasksAppConfig(AppConfig):
    name = "tasks_app"
    verbose_name = _("Human tasks")

    def ready(self) -> None:
        from auditlog.registry import auditlog
        from django.contrib.auth.models import Group

        from core import guards, revised
        from tasks_app import models

        guards.register("tasks_app.TaskEvent")
        guards.register("tasks_app.Checkpoint")
        guards.register("auditlog.LogEntry")
        post_migrate.connect(guards.install_all, dispatch_uid="core.guards")

        # Everything that core/recent.py remembers is read from these.
        revised.keep_in("tasks_app.CatalogueRevision")
        for label in (
            *("TaskType", "Team", "Team_task_types", "Team_principals", "Principal", "TeamMembership"),
            *("User_groups", "User_user_permissions", "AdapterToken_principals"),
        ):
            revised.watch(f"tasks_app.{label}")
        for label in ("auth.Group", "auth.Group_permissions", "auth.Permission", "contenttypes.ContentType"):
            revised.watch(label)
        revised.watch("tasks_app.User", ignoring=["last_login"])
        revised.watch("tasks_app.AdapterToken", ignoring=["last_used_at"])
        pre_migrate.connect(revised.remove_all, dispatch_uid="core.revised")
        post_migrate.connect(revised.install_all, dispatch_uid="core.revised")

        # Tasks write their own entries in `events.record()`; auditlog's signals serve the configuration.
        for model in (models.TaskType, models.TeamMembership, models.Principal, models.Phrase):
            auditlog.register(model)
        auditlog.register(models.Team, m2m_fields={"task_types", "principals"})
        for promise in (models.BusinessCalendar, models.SLAPolicy, models.SLAStep):
            auditlog.register(promise)
        auditlog.register(models.RetentionPolicy, exclude_fields=["reached"])
        auditlog.register(models.AdapterToken, exclude_fields=["digest", "last_used_at"], m2m_fields={"principals"})
        auditlog.register(Group, m2m_fields={"permissions"})
        auditlog.register(models.User, exclude_fields=["password", "last_login"], m2m_fields={"groups"})
