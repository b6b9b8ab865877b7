"""The WSGI entry point, served by gunicorn."""

import codecs
import ctypes
import io
import os
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver
from django.utils.http import parse_header_parameters

from hitl.overload import shedding

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")

_django = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018  (imports all views before the first request, which would wait for it)


def readable(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Django, with a content type and a body that it can read.

    Django parses the header before any middleware or handler of errors stands; one with a charset that nobody knows
    would end there as a 500. As an unknown type it is answered like any other (415). And it takes a body without a
    length, sent in chunks, for an empty one: what the caller said would be lost, and the call succeed.
    """
    if "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated"):
        _measure(environ)
    try:
        _content_type, parameters = parse_header_parameters(environ.get("CONTENT_TYPE", ""))
        codecs.lookup(parameters.get("charset", "utf-8"))
    except (LookupError, ValueError):
        environ["CONTENT_TYPE"] = "application/octet-stream"
    answer: Iterable[bytes] = _django(environ, start_response)
    return answer


def _measure(environ: dict[str, Any]) -> None:
    """Read a body of unknown length, up to what is too large in any case, and say how long it is."""
    try:
        body: bytes = environ["wsgi.input"].read((settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) + 1)
    except OSError:  # the sender has gone
        environ |= {"wsgi.input": _CutOff(), "CONTENT_LENGTH": "1"}
    else:
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}


class _CutOff(io.RawIOBase):
    """A body that did not arrive whole; Django and the API answer that with a 400."""

    def read(self, size: int = -1) -> bytes:
        raise OSError("the connection ended before the body did")


def _keep_freed_memory() -> None:
    """Let glibc keep 4 MB that an answer gave back for the next one, where there is a glibc.

    A page of the feed is a piece of 750 kB. Given back to the system and asked for again with every page, its memory
    cost 160 page faults, a tenth of the page's time.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    trim_threshold, mmap_threshold = -1, -3  # malloc.h
    set_option(trim_threshold, 4 << 20)
    set_option(mmap_threshold, 2 << 20)


_keep_freed_memory()
application = shedding(readable)
