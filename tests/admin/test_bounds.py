"""No time that an administrator may enter puts a date out of reach.

Two milliards of hours, which the column holds, made every task of the type a server error when it was opened; two
milliards of days the page of the policy; two milliards of minutes stopped the watch for all rules.
"""

import re
from datetime import timedelta
from typing import Any, Final

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db.models import IntegerField

from core import clock
from notifications import alerts
from notifications.models import AlertRule
from tasks_app import retention, timers
from tasks_app.actors import Actor
from tasks_app.models import RetentionPolicy, SLAPolicy, TaskType, Team
from tasks_app.services import Decision, StepSpec, claim_task, decide_task, save_policy
from tests.admin.conftest import ClientFor, page_of
from tests.cast import NewTaskFactory

OUT_OF_REACH: Final = 2**31 - 1


def times() -> list[tuple[Any, str]]:
    """Every column that holds a time and that a form offers."""
    return [
        (model, field.name)
        for app in ("tasks_app", "notifications")
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.get_fields()
        if isinstance(field, IntegerField) and field.editable and re.search(r"minutes|hours|days|percent", field.name)
    ]


def longest(model: Any, name: str) -> int:
    """What the column's own bounds allow; the database's range has none of ours."""
    return int(min(v.limit_value for v in model._meta.get_field(name).validators if isinstance(v, MaxValueValidator)))


def test_there_are_times_to_look_at() -> None:
    assert len(times()) >= 10


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "name"), times(), ids=lambda value: getattr(value, "__name__", value))
def test_it_refuses_what_is_out_of_reach(model: Any, name: str) -> None:
    row = model(**{name: OUT_OF_REACH})
    with pytest.raises(ValidationError) as refusal:
        row.full_clean(validate_unique=False, validate_constraints=False)
    assert name in refusal.value.message_dict


@pytest.mark.django_db
def test_the_longest_times_are_no_trouble(
    make_task: NewTaskFactory, ana: Actor, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = TaskType.objects.filter(pk="creative_approval")
    kind.update(**{name: longest(TaskType, name) for name in ("usual_handling_minutes", "expires_after_hours")})
    Team.objects.update(return_after_minutes=longest(Team, "return_after_minutes"))
    targets = {name: longest(SLAPolicy, name) for model, name in times() if model is SLAPolicy}
    save_policy(SLAPolicy(name="Ever so long", **targets), [StepSpec("escalate", at_percent=1_000)])
    policy = RetentionPolicy.objects.create(task_type=kind.get(), days=longest(RetentionPolicy, "days"), is_active=True)
    AlertRule.objects.update(minutes=longest(AlertRule, "minutes"), enabled=True)
    task, other = make_task(), make_task()
    claim_task(task.pk, ana)
    decide_task(other.pk, ana, Decision("approved"))
    client = client_for("root")
    for url in (page_of(task), "/admin/", f"/admin/tasks_app/retentionpolicy/{policy.pk}/change/"):
        assert client.get(url).status_code == 200
    with clock.at(clock.now() + timedelta(days=3650)):
        timers.sweep()
        alerts.watch()
        assert retention.preview(policy, clock.now()).number == 0
