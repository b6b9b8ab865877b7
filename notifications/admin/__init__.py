"""The console's pages of endpoints and of what was sent to them, for administrators."""

from notifications.admin import alerts, channels, deliveries, endpoints

__all__ = ["alerts", "channels", "deliveries", "endpoints"]
