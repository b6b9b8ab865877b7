"""Bounds to the times that administrators enter. Nothing changes in the database."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0004_alert_rules'),
    ]

    operations = [
        migrations.AlterField(
            model_name='alertrule',
            name='minutes',
            field=models.PositiveIntegerField(default=0, help_text='Tasks: how long one may wait, or be overdue, before the alert. Failures: how far to look back. Receiver, messages, timers: for how long it has to be so.', validators=[django.core.validators.MaxValueValidator(527040)], verbose_name='minutes'),
        ),
    ]
