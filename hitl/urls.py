"""Addresses: the console, the API and its documentation. /livez and /readyz are answered by hitl.health."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from notifications.admin.channels import my_notifications
from tasks_app.admin.creative import creative_frame
from tasks_app.api.metrics import prometheus
from tasks_app.api.schema import Documentation, Schema

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    # Beside the admin of channels, so that the sidebar tells the two apart.
    path("admin/my-notifications/", admin.site.admin_view(my_notifications), name="console-my-notifications"),
    path("admin/", admin.site.urls),
    path("creative/<str:signed>/", creative_frame, name="creative"),
    path("api/v1/", include("tasks_app.api.urls")),
    path("api/v1/", include("notifications.api.urls")),
    path("metrics", prometheus, name="metrics"),
    path("api/schema/", Schema.as_view(), name="schema"),
    path("api/docs/", Documentation.as_view(url_name="schema"), name="docs"),
]

handler400 = "hitl.errors.bad_request"
handler404 = "hitl.errors.not_found"
handler500 = "hitl.errors.server_error"
