"""What a caller sees when no view answered: a problem document under /api/, Django's plain page elsewhere."""

from django.http import HttpRequest, HttpResponseBase
from django.views import defaults

from core.api import problem_page

API_PREFIX = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if request.path_info.startswith(API_PREFIX):
        return problem_page(400, "invalid", "The request could not be read. Check the Host header and the address.")
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if request.path_info.startswith(API_PREFIX):
        return problem_page(
            404, "not_found", "There is nothing at this address. The addresses are listed at /api/docs/."
        )
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    if request.path_info.startswith(API_PREFIX):
        detail = "The fault is ours. Try again; if it stays, give the operator the X-Correlation-ID of this answer."
        return problem_page(500, "server_error", detail)
    return defaults.server_error(request)
