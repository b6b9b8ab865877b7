from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response

from .models import OPEN, WAITING, Event, Outbox, Task
from .serializers import EventSerializer, TaskSerializer


def record(task, type, actor, from_status=""):
    """One event and its outbox row, in the caller's transaction."""
    snapshot = {"status": task.status, "priority": task.priority, "assigned_to": task.assigned_to}
    event = Event.objects.create(
        task=task,
        type=type,
        actor=actor.get_username(),
        from_status=from_status,
        to_status=task.status,
        snapshot=snapshot,
    )
    Outbox.objects.create(event=event)


class TaskViewSet(viewsets.ModelViewSet):
    queryset = Task.objects.all()
    serializer_class = TaskSerializer

    def get_queryset(self):
        queryset = super().get_queryset()
        if self.action == "list":
            queryset = queryset.filter(status__in=OPEN).order_by("-priority", "created_at")
        return queryset

    @transaction.atomic
    def perform_create(self, serializer):
        task = serializer.save()
        record(task, "task.created", self.request.user)

    @action(detail=False, methods=["post"], url_path="claim-next")
    def claim_next(self, request):
        with transaction.atomic():
            task = (
                Task.objects.select_for_update(skip_locked=True)
                .filter(status__in=WAITING)
                .order_by("-priority", "created_at")
                .first()
            )
            if task is None:
                return Response(status=status.HTTP_204_NO_CONTENT)
            before = task.status
            task.status = Task.Status.ASSIGNED
            task.assigned_to = request.user.get_username()
            task.assigned_at = timezone.now()
            task.save(update_fields=["status", "assigned_to", "assigned_at", "updated_at"])
            record(task, "task.claimed", request.user, before)
        return Response(self.get_serializer(task).data)

    @action(detail=True, methods=["post"])
    def complete(self, request, pk=None):
        with transaction.atomic():
            task = get_object_or_404(Task.objects.select_for_update(), pk=pk)
            if task.status not in OPEN:
                return Response({"detail": "This task is closed."}, status=status.HTTP_409_CONFLICT)
            before = task.status
            now = timezone.now()
            task.status = Task.Status.COMPLETED
            task.assigned_to = request.user.get_username()
            task.assigned_at = task.assigned_at or now
            task.completed_at = now
            task.resolution = request.data.get("resolution", "completed")
            task.resolution_detail = request.data.get("resolution_detail", "")
            task.resolved_by = request.user.get_username()
            task.save(
                update_fields=[
                    "status",
                    "assigned_to",
                    "assigned_at",
                    "completed_at",
                    "resolution",
                    "resolution_detail",
                    "resolved_by",
                    "updated_at",
                ]
            )
            record(task, "task.completed", request.user, before)
        return Response(self.get_serializer(task).data)


class EventPages(PageNumberPagination):
    page_size = 500


class EventViewSet(viewsets.ReadOnlyModelViewSet):
    """The feed, read forward from the last id seen."""

    queryset = Event.objects.order_by("id")
    serializer_class = EventSerializer
    pagination_class = EventPages

    def get_queryset(self):
        queryset = super().get_queryset()
        after = self.request.query_params.get("after", "")
        return queryset.filter(id__gt=int(after)) if after.isdigit() else queryset
