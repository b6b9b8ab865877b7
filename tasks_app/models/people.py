"""Who acts: people, adapters' service users and the one system user for timers."""

import zoneinfo
from typing import ClassVar, Final

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

SYSTEM_USERNAME: Final = "system"


def validate_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(_("%(name)s is not a time zone; give one like Europe/Berlin."), params={"name": name})


def languages() -> list[tuple[str, str]]:
    """The languages that the console speaks."""
    return list(settings.LANGUAGES)


class HitlUserManager(UserManager["User"]):
    def system(self) -> "User":
        """The user under whom timers act. Comes with a migration and cannot log in."""
        return self.get(username=SYSTEM_USERNAME)


class User(AbstractUser):
    """A person, a service user (an adapter's) or the system. Never deleted: deactivated, or anonymised."""

    class Kind(models.TextChoices):
        PERSON = "person", _("Person")
        SERVICE = "service", _("Adapter")
        SYSTEM = "system", _("System")

    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.PERSON)
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        default="",
        validators=[validate_time_zone],
        help_text=_("Times are shown in it. Empty: the zone of the browser."),
    )
    language = models.CharField(
        _("language"),
        max_length=10,
        blank=True,
        default="",
        choices=languages,
        help_text=_("Of the console. Empty: the language that the browser asks for."),
    )

    objects: ClassVar[HitlUserManager] = HitlUserManager()

    class Meta(AbstractUser.Meta):
        permissions = [
            ("view_every_task", "Can see the tasks of every team (auditor)"),
            ("manage_every_task", "Can act as a lead of every team (administrator)"),
            ("reveal_detail", "Can reveal masked values of the tasks that he or she works"),
        ]
