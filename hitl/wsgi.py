"""The WSGI entry point, served by gunicorn."""

import codecs
import os
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from django.utils.http import parse_header_parameters

from hitl.overload import shedding

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")

_django = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018  (imports all views before the first request, which would wait for it)


def readable(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Django, with a content type that it can read.

    Django parses the header before any middleware or handler of errors stands; one with a charset that nobody knows
    would end there as a 500. As an unknown type it is answered like any other (415).
    """
    try:
        _content_type, parameters = parse_header_parameters(environ.get("CONTENT_TYPE", ""))
        codecs.lookup(parameters.get("charset", "utf-8"))
    except (LookupError, ValueError):
        environ["CONTENT_TYPE"] = "application/octet-stream"
    answer: Iterable[bytes] = _django(environ, start_response)
    return answer


application = shedding(readable)
