"""What the first migration puts into the catalogue: teams, types, roles. Later changes are made in the console.

The texts are marked for translation and stored as they stand; `shown` says them in the reader's language.
"""

from typing import Any, Final

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _


def shown(text: str) -> str:
    """A label, question or instruction in the reader's language; one that somebody has changed since, as it is."""
    return gettext(text) if text else ""


TEAMS: Final = {
    "creative-review": _("Creative review"),
    "ad-operations": _("Ad operations"),
    "technical-operations": _("Technical operations"),
    "compliance": _("Compliance"),
    "leads": _("Operations leads"),
}

_MODIFICATIONS: Final = {"type": "object", "description": "an object of the fields to change and their new values"}

TASK_TYPES: Final[list[dict[str, Any]]] = [
    {
        "slug": "creative_approval",
        "label": _("Creative approval"),
        "question": _("May this creative run?"),
        "team": "creative-review",
        "default_priority": 2,
        "allowed_resolutions": ["approved", "rejected", "cannot_complete"],
        "usual_handling_minutes": 5,
        "safe_fields": ["format_id", "creative_id", "media_buy_id"],
        "instructions": _(
            "Approve if the creative\n\n"
            "- shows what the advertiser sells, without a misleading claim,\n"
            "- loads over https from the advertiser's own hosts,\n"
            "- fits its format: size, length, weight, no sound without a click.\n\n"
            "**Reject** with feedback that the advertiser can act on: name the rule, the place in the creative, "
            "and what would pass.\n\n"
            "**Cannot complete** if the creative does not load or the material is missing."
        ),
        "resolution_schema": _MODIFICATIONS,
    },
    {
        "slug": "permission_exception",
        "label": _("Permission exception"),
        "question": _("The ad server refused. Can you grant the permission, or carry it out by hand?"),
        "team": "ad-operations",
        "default_priority": 3,
        "allowed_resolutions": ["completed", "cannot_complete"],
        "usual_handling_minutes": 20,
        "safe_fields": ["network_code", "order_id", "line_item_id", "advertiser_id"],
        "instructions": _(
            "1. Read the ad server's answer and the operation that was refused.\n"
            "2. Grant the service account the missing permission, or carry the operation out by hand.\n"
            "3. **Complete**: the adapter is told and tries again.\n\n"
            "**Cannot complete** if the permission must not be given; say why, the buyer will read it."
        ),
    },
    {
        "slug": "configuration_required",
        "label": _("Configuration required"),
        "question": _("The adapter lacks configuration or credentials. Can you supply them?"),
        "team": "technical-operations",
        "default_priority": 3,
        "allowed_resolutions": ["completed", "cannot_complete"],
        "usual_handling_minutes": 30,
        "safe_fields": ["network_code", "missing", "setting"],
        "instructions": _(
            "1. The error names what is missing: credentials, a network code, a feature of the account.\n"
            "2. Put it into the adapter's configuration. Never write a secret into this task.\n"
            "3. **Complete**: the adapter is told and tries again."
        ),
    },
    {
        "slug": "compliance_review",
        "label": _("Compliance review"),
        "question": _("Targeting or creative was flagged. May it run, and with what changes?"),
        "team": "compliance",
        "default_priority": 3,
        "allowed_resolutions": ["approved", "rejected", "cannot_complete"],
        "usual_handling_minutes": 15,
        "safe_fields": ["policy_id", "rule"],
        "instructions": _(
            "Check the flagged part against the policy that is named.\n\n"
            "- **Approve** as it is, or with modifications that make it comply.\n"
            "- **Reject** with the policy, the part at fault, and modifications that would pass.\n\n"
            "Housing, employment and credit may not be targeted by age, gender or postal code; alcohol, gambling "
            "and pharmaceuticals need the market's own rules."
        ),
        "resolution_schema": _MODIFICATIONS,
    },
    {
        "slug": "manual_approval",
        "label": _("Manual approval"),
        "question": _("May this operation go ahead?"),
        "team": "ad-operations",
        "default_priority": 2,
        "allowed_resolutions": ["approved", "rejected", "cannot_complete"],
        "usual_handling_minutes": 10,
        "instructions": _(
            "Approve if the operation is wanted and the values are right; otherwise reject it and say what to change."
        ),
        "resolution_schema": _MODIFICATIONS,
    },
]

_CATALOGUE: Final = ("principal", "team", "teammembership", "tasktype", "adaptertoken", "user")

ROLES: Final = {
    "Auditor": ["view_humantask", "view_every_task", *(f"view_{model}" for model in _CATALOGUE)],
    "Administrator": [
        "view_humantask",
        "view_every_task",
        "manage_every_task",
        "reveal_detail",
        *(f"{verb}_{model}" for verb in ("view", "add", "change") for model in _CATALOGUE),
    ],
    "Reviewer": ["view_humantask"],
    "Reveal masked values": ["reveal_detail"],
}
