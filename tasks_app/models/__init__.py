"""The models of the domain, from one door."""

from tasks_app.models.access import AdapterToken, Scope
from tasks_app.models.catalog import CatalogueRevision, Principal, TaskType, Team, TeamMembership
from tasks_app.models.checkpoint import Checkpoint
from tasks_app.models.event import EventOutbox, FeedHead, FeedLine, TaskEvent
from tasks_app.models.idempotency import IdempotencyRecord
from tasks_app.models.people import User
from tasks_app.models.presence import TaskPresence
from tasks_app.models.retention import RetentionPolicy
from tasks_app.models.sealed import SealedDetail
from tasks_app.models.sla import BusinessCalendar, FiredStep, SLAPolicy, SLARevision, SLAStep
from tasks_app.models.staged import StagedDecision
from tasks_app.models.summary import HourSummary, Quarter, SummaryHead
from tasks_app.models.task import HumanTask
from tasks_app.models.views import SavedView
from tasks_app.models.words import Mention, Phrase

__all__ = [
    "AdapterToken",
    "BusinessCalendar",
    "CatalogueRevision",
    "Checkpoint",
    "EventOutbox",
    "FeedHead",
    "FeedLine",
    "FiredStep",
    "HourSummary",
    "HumanTask",
    "IdempotencyRecord",
    "Mention",
    "Phrase",
    "Principal",
    "Quarter",
    "RetentionPolicy",
    "SLAPolicy",
    "SLARevision",
    "SLAStep",
    "SavedView",
    "Scope",
    "SealedDetail",
    "StagedDecision",
    "SummaryHead",
    "TaskEvent",
    "TaskPresence",
    "TaskType",
    "Team",
    "TeamMembership",
    "User",
]
