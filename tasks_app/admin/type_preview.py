"""A task type as its reviewers will see it: the question, the buttons, the instructions, the form of a decision."""

from typing import Any, Final

import orjson
from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tasks_app.admin.modifications import fields_for
from tasks_app.admin.texts import rendered_markdown
from tasks_app.admin.verbs import VERBS
from tasks_app.states import MAY_CARRY_MODIFICATIONS

LONGEST: Final = 50_000


def previewed(*, question: str, instructions: str, resolutions: list[str], schema: Any) -> SafeString:
    """The preview as HTML. `schema`: the JSON Schema of the modifications, or None where it cannot be read."""
    verbs = [verb for verb in VERBS.values() if verb.resolution and verb.resolution in resolutions]
    modified = any(verb.resolution in MAY_CARRY_MODIFICATIONS for verb in verbs)
    form = _sample(schema) if modified and isinstance(schema, dict) and schema else None
    context = {
        "question": question,
        "instructions": rendered_markdown(instructions[:LONGEST]),
        "verbs": verbs,
        "form": form,
        "problem": _("The schema of the modifications is not JSON.") if schema is None else "",
    }
    return render_to_string("console/type_preview.html", context)


def _sample(schema: dict[str, Any]) -> forms.Form:
    """The form that a reviewer would fill in, as a sample: disabled."""
    form = forms.Form(auto_id="sample_%s")
    form.fields.update(fields_for(schema))
    for field in form.fields.values():
        field.disabled = True
    return form


def preview_answer(request: HttpRequest) -> HttpResponse:
    """What the form's fields would look like; read from a POST because they are long."""
    try:
        schema = orjson.loads(request.POST.get("resolution_schema") or "{}")
    except orjson.JSONDecodeError:
        schema = None
    return HttpResponse(
        previewed(
            question=request.POST.get("question", "")[:200],
            instructions=request.POST.get("instructions", ""),
            resolutions=request.POST.getlist("allowed_resolutions"),
            schema=schema,
        )
    )
