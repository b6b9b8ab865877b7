"""Naming people: a username or an e-mail address becomes an entitled person, or an error that says why not."""

from django.utils.translation import gettext as _

from tasks_app import permissions
from tasks_app.actors import Actor
from tasks_app.exceptions import InvalidInput
from tasks_app.models import HumanTask, User


def entitled_person(name: str, task: HumanTask, *, field: str) -> User:
    """The active person called `name` who may work on the task. Raises InvalidInput on `field` otherwise.

    An unknown name and a person without the right answer alike: the API is no directory of the staff.
    """
    matches = list(User.objects.filter(username=name, is_active=True, kind=User.Kind.PERSON)[:1])
    if not matches and "@" in name:
        matches = list(User.objects.filter(email__iexact=name, is_active=True, kind=User.Kind.PERSON)[:2])
    if len(matches) == 1 and permissions.can_work(Actor(user=matches[0]), task):
        return matches[0]
    raise InvalidInput(
        field,
        _("'%(name)s' may not work on this task; name a member of a team that serves it, by username or e-mail.")
        % {"name": name},
    )
