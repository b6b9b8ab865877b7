from django.urls import include, path
from rest_framework.routers import DefaultRouter
from work.views import EventViewSet, TaskViewSet

router = DefaultRouter()
router.register("tasks", TaskViewSet)
router.register("events", EventViewSet)

urlpatterns = [path("api/", include(router.urls))]
