from django.db import models
from django.db.models import Q

OPEN = ("pending", "assigned", "in_progress", "escalated")
WAITING = ("pending", "escalated")


class Task(models.Model):
    class Type(models.TextChoices):
        CREATIVE_APPROVAL = "creative_approval"
        PERMISSION_EXCEPTION = "permission_exception"
        CONFIGURATION_REQUIRED = "configuration_required"
        COMPLIANCE_REVIEW = "compliance_review"
        MANUAL_APPROVAL = "manual_approval"

    class Status(models.TextChoices):
        PENDING = "pending"
        ASSIGNED = "assigned"
        IN_PROGRESS = "in_progress"
        COMPLETED = "completed"
        FAILED = "failed"
        ESCALATED = "escalated"

    class Priority(models.IntegerChoices):
        LOW = 0
        MEDIUM = 1
        HIGH = 2
        URGENT = 3

    task_type = models.CharField(max_length=50, choices=Type)
    principal_id = models.CharField(max_length=100)
    adapter_name = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    priority = models.SmallIntegerField(choices=Priority, default=Priority.MEDIUM)
    media_buy_id = models.CharField(max_length=100, blank=True)
    creative_id = models.CharField(max_length=100, blank=True)
    operation = models.CharField(max_length=100, blank=True)
    error_detail = models.TextField(blank=True)
    context_data = models.JSONField(default=dict)
    assigned_to = models.CharField(max_length=150, blank=True)
    assigned_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    due_by = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=20, blank=True)
    resolution_detail = models.TextField(blank=True)
    resolved_by = models.CharField(max_length=150, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["-priority", "created_at"], name="task_open", condition=Q(status__in=OPEN)),
            models.Index(fields=["-priority", "created_at"], name="task_waiting", condition=Q(status__in=WAITING)),
        ]

    def __str__(self):
        return f"{self.task_type} {self.pk}"


class Event(models.Model):
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="events")
    type = models.CharField(max_length=50)
    actor = models.CharField(max_length=150)
    from_status = models.CharField(max_length=20, blank=True)
    to_status = models.CharField(max_length=20)
    snapshot = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return f"{self.type} of {self.task_id}"


class Outbox(models.Model):
    event = models.OneToOneField(Event, on_delete=models.CASCADE)
    created_at = models.DateTimeField(auto_now_add=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)

    def __str__(self):
        return f"event {self.event_id}"
