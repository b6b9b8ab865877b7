"""Bounds to the times that administrators enter. Nothing changes in the database."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tasks_app', '0015_unread_indexes'),
    ]

    operations = [
        migrations.AlterField(
            model_name='retentionpolicy',
            name='days',
            field=models.PositiveIntegerField(help_text='Counted from the end of a task.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36600)], verbose_name='days'),
        ),
        migrations.AlterField(
            model_name='slapolicy',
            name='assigned_to_resolve_minutes',
            field=models.PositiveIntegerField(blank=True, help_text='Begins anew with each assignment.', null=True, validators=[django.core.validators.MaxValueValidator(527040)], verbose_name='assigned to ended (minutes)'),
        ),
        migrations.AlterField(
            model_name='slapolicy',
            name='to_assign_minutes',
            field=models.PositiveIntegerField(blank=True, help_text='Until somebody first has it.', null=True, validators=[django.core.validators.MaxValueValidator(527040)], verbose_name='opened to assigned (minutes)'),
        ),
        migrations.AlterField(
            model_name='slapolicy',
            name='to_resolve_minutes',
            field=models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(527040)], verbose_name='opened to ended (minutes)'),
        ),
        migrations.AlterField(
            model_name='slastep',
            name='at_percent',
            field=models.PositiveIntegerField(blank=True, help_text='100 is the deadline; 150 half as much later.', null=True, validators=[django.core.validators.MaxValueValidator(1000)], verbose_name='at percent of the target'),
        ),
        migrations.AlterField(
            model_name='tasktype',
            name='expires_after_hours',
            field=models.PositiveIntegerField(blank=True, help_text='Empty: tasks of this type never expire.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(87840)], verbose_name='expires after (hours)'),
        ),
        migrations.AlterField(
            model_name='tasktype',
            name='usual_handling_minutes',
            field=models.PositiveIntegerField(default=15, validators=[django.core.validators.MaxValueValidator(43200)], verbose_name='usual handling time (minutes)'),
        ),
    ]
