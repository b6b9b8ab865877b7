"""Reusable phrases, mentions, and the reader's language and time zone."""

import django.db.models.deletion
import tasks_app.models.people
from django.conf import settings
from django.db import migrations, models


def forget_the_default_zone(apps, schema_editor):
    """Until now everybody had UTC, chosen or not; empty means the browser's zone."""
    apps.get_model("tasks_app", "User").objects.filter(time_zone="UTC").update(time_zone="")


class Migration(migrations.Migration):

    dependencies = [
        ('tasks_app', '0006_deck'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='language',
            field=models.CharField(blank=True, choices=tasks_app.models.people.languages, default='', help_text='Of the console. Empty: the language that the browser asks for.', max_length=10, verbose_name='language'),
        ),
        migrations.AlterField(
            model_name='user',
            name='time_zone',
            field=models.CharField(blank=True, default='', help_text='Times are shown in it. Empty: the zone of the browser.', max_length=64, validators=[tasks_app.models.people.validate_time_zone], verbose_name='time zone'),
        ),
        migrations.CreateModel(
            name='Phrase',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resolution', models.CharField(blank=True, choices=[('approved', 'Approved'), ('rejected', 'Rejected'), ('completed', 'Completed'), ('cannot_complete', 'Cannot complete')], help_text='Empty: offered with every decision.', max_length=20, verbose_name='decision')),
                ('text', models.TextField(max_length=1000, verbose_name='text')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('task_type', models.ForeignKey(blank=True, help_text='Empty: offered for every type that the team works on.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tasks_app.tasktype', verbose_name='task type')),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='phrases', to='tasks_app.team', verbose_name='team')),
            ],
            options={
                'verbose_name': 'phrase',
                'verbose_name_plural': 'phrases',
                'ordering': ['team', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='Mention',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(verbose_name='when')),
                ('read_at', models.DateTimeField(blank=True, null=True, verbose_name='read')),
                ('event', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='mentions', to='tasks_app.taskevent', verbose_name='event')),
                ('person', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='mentions', to=settings.AUTH_USER_MODEL, verbose_name='person')),
                ('task', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tasks_app.humantask', verbose_name='task')),
            ],
            options={
                'verbose_name': 'mention',
                'verbose_name_plural': 'mentions',
                'indexes': [models.Index(fields=['person', '-at'], name='mention_recent'), models.Index(condition=models.Q(('read_at__isnull', True)), fields=['person', 'task'], name='mention_unread')],
                'constraints': [models.UniqueConstraint(fields=('event', 'person'), name='mention_once')],
            },
        ),
        migrations.RunPython(forget_the_default_zone, migrations.RunPython.noop),
    ]
