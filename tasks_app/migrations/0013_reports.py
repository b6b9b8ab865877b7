"""Value at risk; quarters of an hour for the reports; the figures so far are added up anew from the feed by the next roll-up."""

from typing import Any

from django.db import migrations, models

import core.fields


def add_up_anew(apps: Any, schema_editor: Any) -> None:
    apps.get_model("tasks_app", "HourSummary").objects.all().delete()
    apps.get_model("tasks_app", "SummaryHead").objects.update(position=0)


class Migration(migrations.Migration):

    dependencies = [
        ("tasks_app", "0012_alike_covering"),
    ]

    operations = [
        migrations.CreateModel(
            name='Quarter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(verbose_name='from')),
                ('what', core.fields.KeyField(max_length=30, verbose_name='what')),
                ('task_type', core.fields.KeyField(blank=True, max_length=50, verbose_name='type')),
                ('team', core.fields.KeyField(blank=True, max_length=50, verbose_name='team')),
                ('principal', core.fields.KeyField(blank=True, max_length=64, verbose_name='principal')),
                ('adapter_name', core.fields.KeyField(blank=True, max_length=64, verbose_name='adapter')),
                ('number', models.PositiveIntegerField(default=0, verbose_name='number')),
                ('missed', models.PositiveIntegerField(default=0, verbose_name='deadline missed')),
                ('seconds', models.FloatField(default=0, verbose_name='seconds in all')),
                ('buckets', models.JSONField(blank=True, default=dict, verbose_name='by duration')),
            ],
            options={
                'verbose_name': 'quarter of an hour',
                'verbose_name_plural': 'quarters of an hour',
                'default_permissions': ('view',),
            },
        ),
        migrations.RemoveConstraint(
            model_name='hoursummary',
            name='hour_once',
        ),
        migrations.AddField(
            model_name='hoursummary',
            name='team',
            field=core.fields.KeyField(blank=True, max_length=50, verbose_name='team'),
        ),
        migrations.AddConstraint(
            model_name='hoursummary',
            constraint=models.UniqueConstraint(fields=('hour', 'what', 'task_type', 'adapter_name', 'operation', 'policy', 'person', 'team'), name='hour_once'),
        ),
        migrations.AddConstraint(
            model_name='quarter',
            constraint=models.UniqueConstraint(fields=('at', 'what', 'task_type', 'team', 'principal', 'adapter_name'), name='quarter_once'),
        ),
        migrations.AddField(
            model_name='humantask',
            name='value_at_risk',
            field=models.PositiveBigIntegerField(blank=True, help_text='As the adapter told it; it moves the task up a little.', null=True, verbose_name='value at risk'),
        ),
        migrations.RunPython(add_up_anew, migrations.RunPython.noop),
    ]
