from django.urls import path

from tasks_app.api import lists, metrics, schema, time, views

__all__ = ["schema", "urlpatterns"]  # importing the schema registers it

urlpatterns = [
    path("tasks/", lists.Tasks.as_view(), name="tasks"),
    path("tasks/batch/", lists.TaskBatch.as_view(), name="task-batch"),
    path("tasks/pending/", lists.PendingTasks.as_view(), name="pending-tasks"),
    path("tasks/claim-next/", views.ClaimNextTask.as_view(), name="claim-next"),
    path("tasks/<str:task_id>/", views.GetTask.as_view(), name="task"),
    path("tasks/<str:task_id>/assign/", views.AssignTask.as_view(), name="assign"),
    path("tasks/<str:task_id>/complete/", views.CompleteTask.as_view(), name="complete"),
    path("tasks/<str:task_id>/claim/", views.ClaimTask.as_view(), name="claim"),
    path("tasks/<str:task_id>/start/", views.StartTask.as_view(), name="start"),
    path("tasks/<str:task_id>/hand-over/", views.HandOverTask.as_view(), name="hand-over"),
    path("tasks/<str:task_id>/release/", views.ReleaseTask.as_view(), name="release"),
    path("tasks/<str:task_id>/route/", views.RouteTask.as_view(), name="route"),
    path("tasks/<str:task_id>/hold/", time.HoldTask.as_view(), name="hold"),
    path("tasks/<str:task_id>/resume/", time.ResumeTask.as_view(), name="resume"),
    path("tasks/<str:task_id>/extend/", time.ExtendTask.as_view(), name="extend"),
    path("tasks/<str:task_id>/clock/", time.TaskClock.as_view(), name="clock"),
    path("tasks/<str:task_id>/escalate/", views.EscalateTask.as_view(), name="escalate"),
    path("tasks/<str:task_id>/withdraw/", views.WithdrawTask.as_view(), name="withdraw"),
    path("tasks/<str:task_id>/comment/", views.CommentOnTask.as_view(), name="comment"),
    path("tasks/<str:task_id>/reveal/", views.RevealDetail.as_view(), name="reveal"),
    path("tasks/<str:task_id>/events/", lists.Timeline.as_view(), name="task-events"),
    path("metrics/summary/", metrics.MetricsSummary.as_view(), name="metrics-summary"),
    path("events/", lists.Feed.as_view(), name="feed"),
]
