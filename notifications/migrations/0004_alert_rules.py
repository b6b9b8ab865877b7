"""The rules of the watch that come with the product. They are changed in the console."""

from django.db import migrations

RULES = [
    # slug, name, kind, priority at least, minutes, number
    ("high-priority", "A task of high priority waits", "high_priority", 3, 0, 1),
    ("overdue", "A task is overdue", "overdue", 1, 0, 1),
    ("failures", "Operations fail in a burst", "failures", 1, 15, 5),
    ("endpoint-failing", "A receiver fails", "endpoint", 1, 10, 1),
    ("outbox-growing", "Messages pile up", "outbox", 1, 5, 50),
    ("timers-silent", "The timers are silent", "silence", 1, 2, 1),
]


def fill(apps, schema_editor):
    AlertRule = apps.get_model("notifications", "AlertRule")
    for slug, name, kind, priority, minutes, number in RULES:
        AlertRule.objects.create(
            slug=slug, name=name, kind=kind, min_priority=priority, minutes=minutes, threshold=number
        )


class Migration(migrations.Migration):
    dependencies = [("notifications", "0003_people_and_alerts")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
