"""Advertising policies that an adapter may name, in plain words.

The ids are those of the Ad Context Protocol's registry (adcontextprotocol/adcp, policies), and the addresses are the
registry's; the words are our own. What an adapter itself says of a policy in `context_data` goes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise


@dataclass(frozen=True)
class Policy:
    """A policy: its id, its name, what it asks for, and where it is written."""

    policy_id: str
    name: Text
    says: Text = ""
    where: str = ""


_REGISTRY: Final = (
    "https://docs.adcontextprotocol.org/docs/governance/creative/policy-backed-rejections#initial-registry-policies"
)


def _policies(*rows: Policy) -> dict[str, Policy]:
    return {row.policy_id: row for row in rows}


POLICIES: Final = _policies(
    Policy(
        "creative_content_baseline_safety",
        _("Content safety of creatives"),
        _("Nothing hateful, graphic or shocking may be shown."),
        _REGISTRY,
    ),
    Policy(
        "creative_measurement_approved_collectors",
        _("Approved data collectors"),
        _("A creative may send data only to collectors that the seller has accepted."),
        _REGISTRY,
    ),
    Policy(
        "creative_measurement_tracker_limits",
        _("Limits on trackers"),
        _("The number of trackers and the length of their redirects stay within the seller's limits."),
        _REGISTRY,
    ),
    Policy(
        "creative_resource_limits",
        _("Limits on weight and load"),
        _("A creative must not use more of the device and the network than the seller allows."),
        _REGISTRY,
    ),
    Policy(
        "creative_security_auto_redirect",
        _("No redirect without a click"),
        _("A creative must not leave the page, open an app or catch clicks by itself."),
        _REGISTRY,
    ),
    Policy(
        "creative_security_credential_harvest",
        _("No collecting of passwords"),
        _("A creative must not lure people into giving logins, cards or other secrets."),
        _REGISTRY,
    ),
    Policy(
        "creative_security_deceptive_destination",
        _("No deceptive landing page"),
        _("The page behind the click must be what the creative promises: no fake download, no borrowed name."),
        _REGISTRY,
    ),
    Policy(
        "creative_security_https_only",
        _("HTTPS only"),
        _("Every part of the creative is loaded over https."),
        _REGISTRY,
    ),
    Policy(
        "creative_security_impression_manipulation",
        _("No inflated impressions"),
        _("Creatives must not be stacked, hidden or rendered twice to count more views."),
        _REGISTRY,
    ),
    Policy(
        "creative_security_malicious_code",
        _("No malicious code"),
        _("No malware, no exploits, no mining on the viewer's device."),
        _REGISTRY,
    ),
    Policy(
        "creative_security_risky_network_origin",
        _("No risky origins"),
        _("Hosts that a creative loads from pass the seller's checks."),
        _REGISTRY,
    ),
    Policy(
        "creative_ux_non_intrusive",
        _("Not intrusive"),
        _("A creative must not cover or change the page unless that was agreed."),
        _REGISTRY,
    ),
    Policy(
        "eu_ai_act_annex_iii",
        _("EU AI Act: credit, insurance, housing, jobs"),
        _("Decisions about access to these need a person; a system alone must not make them."),
        "https://eur-lex.europa.eu/eli/reg/2024/1689/oj",
    ),
    Policy(
        "eu_dsa_political_targeting",
        _("EU: political advertising"),
        _("Political ads must not be targeted by origin, belief, health, sexuality or other special data."),
        "https://eur-lex.europa.eu/legal-content/EN/TXT/?uri=CELEX:32022R2065",
    ),
    Policy(
        "eu_gdpr_special_category_targeting",
        _("EU GDPR: special categories"),
        _("No targeting by health, belief, origin, politics or sexuality without the person's explicit consent."),
        "https://eur-lex.europa.eu/legal-content/EN/TXT/?uri=CELEX:32016R0679",
    ),
    Policy(
        "eu_rx_dtc_ban",
        _("EU: prescription medicine"),
        _("Prescription medicine must not be advertised to the public."),
        "https://eur-lex.europa.eu/legal-content/EN/TXT/?uri=CELEX:32001L0083",
    ),
    Policy(
        "platform_firearms_restrictions",
        _("Firearms and weapons"),
        _("Most platforms forbid or narrow advertising for weapons; check the platform's own rule."),
        "https://support.google.com/adspolicy/answer/6014299",
    ),
    Policy(
        "platform_special_ad_categories",
        _("Housing, jobs and credit on platforms"),
        _("No targeting by age, gender or postal code, and no lookalike audiences, for these three."),
        "https://www.justice.gov/crt/case-document/file/1648091/download",
    ),
    Policy(
        "us_coppa_data_collection",
        _("US COPPA: children under 13"),
        _("Data of children under 13 must not be collected or used for advertising without their parents' consent."),
        "https://www.law.cornell.edu/uscode/text/15/6502",
    ),
    Policy(
        "us_ecoa_targeting",
        _("US: equal credit opportunity"),
        _("Credit must not be offered or withheld by race, sex, age, marital status or income from assistance."),
        "https://www.law.cornell.edu/uscode/text/15/1691",
    ),
    Policy(
        "us_eeoc_employment_targeting",
        _("US: equal employment opportunity"),
        _("Job ads must not include or leave out people by race, sex, age, disability or origin."),
        "https://www.eeoc.gov/laws/guidance/cm-604-theories-discrimination",
    ),
    Policy(
        "us_fda_dtc_fair_balance",
        _("US FDA: fair balance"),
        _("An ad for a medicine that names a benefit names the risks as clearly."),
        "https://www.fda.gov/drugs/prescription-drug-advertising/prescription-drug-advertising-questions-and-answers",
    ),
    Policy(
        "us_fha_targeting",
        _("US: fair housing"),
        _(
            "Housing ads must not include or leave out people by origin, belief, sex, family or disability, "
            "nor by a stand-in for these such as postal codes."
        ),
        "https://www.law.cornell.edu/uscode/text/42/3604",
    ),
    Policy(
        "us_ftc_health_claims",
        _("US FTC: health claims"),
        _("A claim about health needs reliable scientific evidence, at hand before the ad runs."),
        "https://www.ftc.gov/business-guidance/resources/health-products-compliance-guidance",
    ),
    Policy(
        "us_state_gambling_geofencing",
        _("US: gambling by state"),
        _("Gambling ads reach only states where it is legal, and only adults of that state's age."),
        "https://www.americangaming.org/resources/responsible-marketing-code-for-sports-wagering/",
    ),
    Policy(
        "us_ttb_alcohol_audience",
        _("US: alcohol"),
        _("Alcohol ads are aimed at people of legal drinking age, who must be most of the audience."),
        "https://www.ttb.gov/advertising/beverage-alcohol-advertising",
    ),
)
_MOST: Final = 6


def policies_in(context: Mapping[str, Any]) -> list[Policy]:
    """The policies that `context_data` names, in its own words where it gives some, else in ours; six at most."""
    named: list[Any] = []
    for key in ("policy", "policies", "policy_id", "policy_ids", "violations"):
        value = context.get(key)
        named += value if isinstance(value, list) else [value]
    for key in ("flagged", "flags"):
        flags = context.get(key)
        named += [flag for flag in flags if isinstance(flag, dict)] if isinstance(flags, list) else []
    found: dict[str, Policy] = {}
    for one in named:
        policy = _policy(one)
        if policy is not None and (policy.policy_id not in found or not found[policy.policy_id].says):
            found[policy.policy_id] = policy
    return list(found.values())[:_MOST]


def _policy(named: Any) -> Policy | None:
    given: Mapping[str, Any] = named if isinstance(named, dict) else {"policy_id": named}
    policy_id = given.get("policy_id") or given.get("id") or given.get("rule")
    if not isinstance(policy_id, str) or not policy_id.strip():
        return None
    known = POLICIES.get(policy_id)
    words = next(
        (w for w in map(given.get, ("description", "explanation", "policy", "text")) if isinstance(w, str)), ""
    )
    name = given.get("name") if isinstance(given.get("name"), str) else ""
    if known is None:
        return Policy(policy_id[:100], str(name)[:200], words[:1_000])
    return Policy(policy_id, str(name)[:200] or known.name, words[:1_000] or known.says, known.where)
