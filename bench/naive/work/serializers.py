from rest_framework import serializers

from .models import Event, Task


class TaskSerializer(serializers.ModelSerializer):
    class Meta:
        model = Task
        fields = "__all__"
        read_only_fields = [
            "status",
            "assigned_to",
            "assigned_at",
            "completed_at",
            "resolution",
            "resolution_detail",
            "resolved_by",
        ]


class EventSerializer(serializers.ModelSerializer):
    class Meta:
        model = Event
        fields = "__all__"
