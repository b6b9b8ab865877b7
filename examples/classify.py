"""What to do with a refusal, a creative format or a targeting: pure functions over tables, no network, no state.

The tables know Google Ad Manager's reasons by their error string (`PermissionError.PERMISSION_DENIED`), because that is
all a fault carries. Most fall under a rule for the error's type; those whose type says nothing are named one by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What an adapter does next."""

    ASK = "ask a person"
    RETRY = "retry"
    GIVE_UP = "give up"
    PROCEED = "proceed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An action and, when a person is asked, the task to open."""

    action: Action
    task_type: str = ""
    priority: str = ""


PERMISSION = Verdict(Action.ASK, "permission_exception", "high")
# Without credentials no call of the adapter succeeds; a missing feature blocks only what needs it.
CREDENTIALS = Verdict(Action.ASK, "configuration_required", "urgent")
CONFIGURATION = Verdict(Action.ASK, "configuration_required", "medium")
COMPLIANCE = Verdict(Action.ASK, "compliance_review", "high")
CREATIVE = Verdict(Action.ASK, "creative_approval", "medium")
# A broadcast spot and a billboard have a booked air date, and no placeholder to show instead.
CREATIVE_BOOKED = Verdict(Action.ASK, "creative_approval", "high")
RETRY = Verdict(Action.RETRY)
GIVE_UP = Verdict(Action.GIVE_UP)
PROCEED = Verdict(Action.PROCEED)

BY_TYPE: Mapping[str, Verdict] = {
    "PermissionError": PERMISSION,
    "TeamError": PERMISSION,
    "AuthenticationError": CREDENTIALS,
    "FeatureError": CONFIGURATION,
    "QuotaError": RETRY,
    "ServerError": RETRY,
    "InternalApiError": RETRY,
}

PERMISSIONS_BY_NAME = frozenset(
    {
        "CompanyCreditStatusError.COMPANY_CREDIT_STATUS_CHANGE_NOT_ALLOWED",
        "CreativeTemplateOperationError.NOT_ALLOWED",
        "LineItemCreativeAssociationOperationError.NOT_ALLOWED",
        "LineItemOperationError.NOT_ALLOWED",
        "OrderActionError.PERMISSION_DENIED",
        "OrderError.AGENCY_NOT_ON_ORDERS_TEAMS",
        "OrderError.ORDER_TEAM_NOT_ASSOCIATED_WITH_ADVERTISER",
        "OrderError.USER_NOT_ON_ORDERS_TEAMS",
        "ReconciliationError.USER_CANNOT_RECONCILE_RECONCILIATION_REPORT",
        "ReportError.ATTRIBUTE_VIEW_NOT_ALLOWED",
        "ReportError.COLUMN_VIEW_NOT_ALLOWED",
        "ReportError.DIMENSION_VIEW_NOT_ALLOWED",
        "ReportError.REPORT_ACCESS_NOT_ALLOWED",
        "ReportError.SR_CANNOT_RUN_REPORT_IN_ANOTHER_NETWORK",
        "WorkflowActionError.NOT_ACTION_APPROVER",
    }
)

CONFIGURATION_BY_NAME = frozenset(
    {
        "ActivityError.ACTIVITIES_FEATURE_REQUIRED",
        "ApiVersionError.UPDATE_TO_NEWER_VERSION",
        "AudienceExtensionError.AUDIENCE_EXTENSION_WITHOUT_FEATURE",
        "CompanyCreditStatusError.CANNOT_USE_ADVANCED_CREDIT_STATUS_SETTING",
        "CompanyCreditStatusError.CANNOT_USE_CREDIT_STATUS_SETTING",
        "CreativeError.MISSING_FEATURE",
        "CreativeSetError.ROADBLOCK_FEATURE_REQUIRED",
        "CreativeSetError.VIDEO_FEATURE_REQUIRED",
        "CreativeWrapperError.CANNOT_USE_CREATIVE_WRAPPER_TYPE",
        "CrossSellError.CONTENT_PROVIDER_NETWORK_MISSING_PUBLISHER_FEATURE",
        "CrossSellError.DISTRIBUTOR_NETWORK_MISSING_PUBLISHER_FEATURE",
        "DaiIngestErrorReason.CONTENT_HAS_MIDROLLS_BUT_NO_SPLIT_CONTENT_CONFIG",
        "DaiIngestErrorReason.CONTENT_HAS_MIDROLLS_BUT_SOURCE_HAS_MIDROLLS_DISABLED",
        "DaiIngestErrorReason.COULD_NOT_UPLOAD_SPLIT_MEDIA_AUTHENTICATION_FAILED",
        "DaiIngestErrorReason.NO_CDN_CONFIGURATION_FOUND",
        "InventoryUnitError.ADSENSE_CANNOT_BE_ENABLED",
        "InventoryUnitSizesError.ASPECT_RATIO_NOT_SUPPORTED",
        "InventoryUnitSizesError.VIDEO_FEATURE_MISSING",
        "InventoryUnitSizesError.VIDEO_MOBILE_LINE_ITEM_FEATURE_MISSING",
        "LineItemError.BACKFILL_TYPE_NOT_ALLOWED",
        "NetworkError.MULTI_CURRENCY_NOT_SUPPORTED",
        "ProductActionError.DEALS_LEGAL_AGREEMENT_NOT_ACCEPTED",
        "ProposalError.NON_PROGRAMMATIC_PROPOSAL_NOT_ALLOWED",
        "RateCardError.NOT_ACCEPT_DEALS_SALES_ON_LEGAL_AGREEMENT",
        "RequestError.UNSUPPORTED_VERSION",
        "SetTopBoxLineItemError.FEATURE_NOT_ENABLED",
        "TechnologyTargetingError.DEVICE_CAPABILITY_TARGETING_FEATURE_NOT_ENABLED",
        "TechnologyTargetingError.DEVICE_CATEGORY_TARGETING_FEATURE_NOT_ENABLED",
        "TechnologyTargetingError.MOBILE_CARRIER_TARGETING_FEATURE_NOT_ENABLED",
    }
)

RETRY_BY_NAME = frozenset(
    {
        "AdSenseAccountError.GET_BULK_ACCOUNT_STATUSES_API_ERROR",
        "AdSenseAccountError.RESEND_VERIFICATION_EMAIL_ERROR",
        "AdSenseAccountError.UNEXPECTED_API_RESPONSE_ERROR",
        "AuthenticationError.CONNECTION_ERROR",  # Google could not reach its own sign-in: nothing for a person to mend
        "CommonError.CONCURRENT_MODIFICATION",
        "DaiIngestErrorReason.COULD_NOT_UPLOAD_SPLIT_MEDIA_CONNECTION_FAILED",
        "DaiIngestErrorReason.INTERNAL_ERROR",
        "ForecastError.EXCEEDED_QUOTA",
        "ForecastError.INTERNAL_ERROR",
        "ForecastError.SERVER_NOT_AVAILABLE",
        "ImageError.SYSTEM_ERROR",
        "ReconciliationImportError.IMPORT_INTERNAL_ERROR",
        "ReportError.TOO_MANY_CONCURRENT_REPORTS",
        "RichMediaStudioCreativeError.STUDIO_CONNECTION_ERROR",
        "SwiffyConversionError.SERVER_ERROR",
    }
)

# "Mutate succeeded but server was unable to build response. Client should not retry mutate."
NEVER_REPEATED = frozenset({"InternalApiError.ERROR_GENERATING_RESPONSE"})

BY_NAME: Mapping[str, Verdict] = {
    **dict.fromkeys(PERMISSIONS_BY_NAME, PERMISSION),
    **dict.fromkeys(CONFIGURATION_BY_NAME, CONFIGURATION),
    **dict.fromkeys(RETRY_BY_NAME, RETRY),
    **dict.fromkeys(NEVER_REPEATED, GIVE_UP),
}

# 500, 502 and 504 are absent: after them nobody knows whether the change was made, and repeating could make it twice.
BY_STATUS: Mapping[int, Verdict] = {401: CREDENTIALS, 403: PERMISSION, 429: RETRY, 503: RETRY}


def classify_refusal(error_string: str, status: int) -> Verdict:
    """Say what to do with a refusal, from its error string if the server sent one, else from its HTTP status.

    Everything unknown is `GIVE_UP`: a mistake in the request is the caller's to mend, and no task would help.
    """
    if error_string:
        error_type = error_string.partition(".")[0]
        return BY_NAME.get(error_string) or BY_TYPE.get(error_type, GIVE_UP)
    return BY_STATUS.get(status, GIVE_UP)


def classify_format(creative_format: Mapping[str, Any]) -> Verdict:
    """Say whether a creative format may run unseen: only a plain display image with a click address may.

    Whatever carries code (HTML, JavaScript, VAST), sound, film, generated content or the publisher's own look is seen
    by a person first.
    """
    required = {asset.get("asset_type") for asset in creative_format.get("assets", []) if asset.get("required")}
    if creative_format.get("type") == "display" and "image" in required and required <= {"image", "url"}:
        return PROCEED
    booked = creative_format.get("type") == "dooh" or creative_format["format_id"]["id"].startswith("broadcast_")
    return CREATIVE_BOOKED if booked else CREATIVE


SENSITIVE_SEGMENTS: Mapping[str, str] = {
    "ethnicity": "racial or ethnic origin",
    "health": "health",
    "political": "political opinion",
    "religion": "religious belief",
    "sexuality": "sexual orientation",
    "union": "trade union membership",
}
SPECIAL_CATEGORIES = frozenset({"credit", "employment", "housing"})
NARROWING_KEYS = ("age_min", "age_max", "genders", "postal_codes")


def targeting_flags(targeting: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why a targeting needs a compliance review, in words for the reviewer; empty if it does not.

    After the special categories of GDPR article 9 and the special ad categories that the large platforms restrict.
    """
    flags = [
        f"segment {segment!r} is about {SENSITIVE_SEGMENTS[family]}"
        for segment in targeting.get("segments", [])
        if (family := re.split(r"[./:]", segment)[0]) in SENSITIVE_SEGMENTS
    ]
    if targeting.get("age_min", 18) < 18:
        flags.append(f"age_min {targeting['age_min']} includes minors")
    category = targeting.get("special_category")
    if category in SPECIAL_CATEGORIES:
        flags += [f"{key} narrows an audience for {category}" for key in NARROWING_KEYS if targeting.get(key)]
    return tuple(flags)
