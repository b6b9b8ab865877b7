"""The console's pages of endpoints and of what was sent to them, for administrators."""

from notifications.admin import channels, deliveries, endpoints

__all__ = ["channels", "deliveries", "endpoints"]
