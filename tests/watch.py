"""What a change of a task left behind, through whichever door it came."""

from auditlog.models import LogEntry

from tasks_app.models import EventOutbox, TaskEvent, User


class Watch:
    """What a block left behind: its new events, each with its one outbox row and its one audit entry."""

    def __enter__(self) -> "Watch":
        self._before = set(TaskEvent.objects.values_list("pk", flat=True))
        self._audited = LogEntry.objects.filter(object_pk__startswith="task_").count()
        return self

    def __exit__(self, *_error: object) -> None:
        self.events = list(TaskEvent.objects.exclude(pk__in=self._before).order_by("task_id", "seq"))
        entries = LogEntry.objects.filter(object_pk__startswith="task_")
        self.added = entries.count() - self._audited
        self.entries = {entry.additional_data["event_id"]: entry for entry in entries}

    def check(self, user: User, *, address: str | None, correlation_id: str | None) -> None:
        assert self.events, "it left no event"
        assert self.added == len(self.events)
        assert EventOutbox.objects.filter(event__in=self.events).count() == len(self.events)
        for event in self.events:
            entry = self.entries[event.pk]
            assert event.actor_id == entry.actor_id == user.pk
            assert (entry.object_pk, entry.timestamp) == (event.task_id, event.at)
            assert entry.additional_data == {"event_id": event.pk, "type": event.type, "reason": event.reason}
            assert entry.remote_addr == address
            assert entry.cid == correlation_id if correlation_id else entry.cid
