"""What every API module builds on: strict JSON in, problem+json and cursor pages out.

The settings name this module's classes as REST framework's defaults, and `rest_framework.views` reads those when it is
imported. So nothing in here may import `rest_framework.views` (or `generics`, `viewsets`) at module level.
"""

from core.api.paging import KeysetPagination
from core.api.parser import BodyTooLarge, MalformedJSON, StrictJSONParser, UnsupportedEncoding, loads
from core.api.problems import ProblemSerializer, problem_handler, problem_page
from core.api.renderer import JSONRenderer
from core.api.serializers import MomentField, StrictQuery, StrictSerializer

__all__ = [
    "BodyTooLarge",
    "JSONRenderer",
    "KeysetPagination",
    "MalformedJSON",
    "MomentField",
    "ProblemSerializer",
    "StrictJSONParser",
    "StrictQuery",
    "StrictSerializer",
    "UnsupportedEncoding",
    "loads",
    "problem_handler",
    "problem_page",
]
