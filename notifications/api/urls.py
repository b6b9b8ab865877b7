from django.urls import path

from notifications.api import views

urlpatterns = [
    path("webhook-endpoints/", views.WebhookEndpoints.as_view(), name="webhook-endpoints"),
    path("webhook-endpoints/<str:endpoint_id>/", views.WebhookEndpoint.as_view(), name="webhook-endpoint"),
    path("webhook-endpoints/<str:endpoint_id>/test/", views.EndpointTest.as_view(), name="webhook-test"),
    path("webhook-endpoints/<str:endpoint_id>/rotate-secret/", views.EndpointSecret.as_view(), name="webhook-secret"),
    path("webhook-endpoints/<str:endpoint_id>/enable/", views.EndpointEnable.as_view(), name="webhook-enable"),
    path("webhook-endpoints/<str:endpoint_id>/recover/", views.EndpointRecover.as_view(), name="webhook-recover"),
    path("deliveries/", views.DeliveryList.as_view(), name="deliveries"),
    path("deliveries/<str:delivery_id>/", views.DeliveryDetail.as_view(), name="delivery"),
    path("deliveries/<str:delivery_id>/redeliver/", views.Redeliver.as_view(), name="redeliver"),
]
