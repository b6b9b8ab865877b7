"""Ad servers' error codes in plain words, and what a person can do about each. Unknown codes are simply shown.

The codes are those of Google Ad Manager's SOAP API (error type and reason), of the Google Ads API and of the Ad Context
Protocol (adcontextprotocol/adcp, error-code.json); the words are our own, written from their published descriptions.
A reason without its type counts for any type that has no entry of its own.
"""

import re
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise


@dataclass(frozen=True)
class Known:
    """One code: what it means, and what to do."""

    means: Text
    helps: Text


_TEAMS: Final = Known(
    _("The account that the adapter uses is in no team of the ad server that may touch this object."),
    _("Add the adapter's user to the order's or advertiser's team in the ad server, then complete the task."),
)
_CREDENTIALS: Final = Known(
    _("The ad server did not accept who the adapter says it is: the login is missing, wrong or expired."),
    _("Renew the adapter's credentials in its own configuration, never in this task; then complete it."),
)
_FEATURE: Final = Known(
    _("The account lacks a feature that the request uses."),
    _("Have the feature switched on for the account, or close the task and say what the account cannot do."),
)
_BUSY: Final = Known(
    _("The ad server is busy or away for a moment; nothing is wrong with the request."),
    _("Usually no person is needed: complete the task, and the adapter tries again."),
)
_ARCHIVED: Final = Known(
    _("The object is archived or cancelled in the ad server and can no longer be changed."),
    _("Copy it into a new one by hand, or close the task as 'cannot complete' and name the object."),
)
_APPROVAL: Final = Known(
    _("The object waits for its approval in the ad server and is locked until then."),
    _("Approve or retract it there first, then complete the task."),
)

ERRORS: Final[dict[str, Known]] = {
    # Google Ad Manager
    "PermissionError.PERMISSION_DENIED": Known(
        _("The adapter's user has no right to do this in the ad server."),
        _("Give its role the missing right, or carry the operation out yourself; then complete the task."),
    ),
    "OrderActionError.PERMISSION_DENIED": Known(
        _("The adapter's user may not approve, pause or archive orders."),
        _("Do it in the ad server yourself, or give the user's role that right; then complete the task."),
    ),
    "TeamError": _TEAMS,
    "OrderError.USER_NOT_ON_ORDERS_TEAMS": _TEAMS,
    "OrderError.AGENCY_NOT_ON_ORDERS_TEAMS": Known(
        _("The order's agency is in none of the order's teams."),
        _("Add the agency to one of the order's teams, then complete the task."),
    ),
    "OrderError.ORDER_TEAM_NOT_ASSOCIATED_WITH_ADVERTISER": Known(
        _("The order's team does not serve its advertiser."),
        _("Add the advertiser to the team, or give the order another team; then complete the task."),
    ),
    "OrderError.UPDATE_ARCHIVED_ORDER_NOT_ALLOWED": _ARCHIVED,
    "OrderError.UPDATE_CANCELED_ORDER_NOT_ALLOWED": _ARCHIVED,
    "OrderError.UPDATE_PENDING_APPROVAL_ORDER_NOT_ALLOWED": _APPROVAL,
    "LineItemError.UPDATE_ARCHIVED_LINE_ITEM_NOT_ALLOWED": _ARCHIVED,
    "LineItemError.UPDATE_CANCELED_LINE_ITEM_NOT_ALLOWED": _ARCHIVED,
    "LineItemError.UPDATE_PENDING_APPROVAL_LINE_ITEM_NOT_ALLOWED": _APPROVAL,
    "LineItemOperationError.NOT_ALLOWED": Known(
        _("The line item's present state does not allow this operation."),
        _("Look at the line item's status in the ad server; change it there, or say why it must stay."),
    ),
    "AuthenticationError.NETWORK_NOT_FOUND": Known(
        _("The network code that the adapter is configured with does not exist."),
        _("Compare the configured network code with the one in the ad server, mend it, then complete the task."),
    ),
    "AuthenticationError.NO_NETWORKS_TO_ACCESS": Known(
        _("The adapter's account belongs to no network."),
        _("Invite the account into the network as a user, then complete the task."),
    ),
    "AuthenticationError.NOT_WHITELISTED_FOR_API_ACCESS": Known(
        _("The network does not allow access by API."),
        _("Switch API access on in the network's global settings, then complete the task."),
    ),
    "AuthenticationError.GOOGLE_ACCOUNT_ALREADY_ASSOCIATED_WITH_NETWORK": Known(
        _("The account is bound to another network already."),
        _("Use an account of this network's own, then complete the task."),
    ),
    "AuthenticationError.UNDER_INVESTIGATION": Known(
        _("The ad server's operator has suspended the account while it is looked into."),
        _("Only the operator can lift this: contact their support, and close the task if the buyer cannot wait."),
    ),
    "AuthenticationError": _CREDENTIALS,
    "FeatureError.MISSING_FEATURE": _FEATURE,
    "CreativeError.MISSING_FEATURE": _FEATURE,
    "CreativeSetError.VIDEO_FEATURE_REQUIRED": _FEATURE,
    "InventoryUnitSizesError.VIDEO_FEATURE_MISSING": _FEATURE,
    "NetworkError.MULTI_CURRENCY_NOT_SUPPORTED": Known(
        _("The network books in one currency, and the order uses another."),
        _("Have the order priced in the network's currency, or have more currencies switched on."),
    ),
    "ApiVersionError.UPDATE_TO_NEWER_VERSION": Known(
        _("The adapter speaks a version of the API that the ad server has retired."),
        _("Update the adapter; until then carry the operation out by hand."),
    ),
    "QuotaError.EXCEEDED_QUOTA": _BUSY,
    "ForecastError.SERVER_NOT_AVAILABLE": _BUSY,
    "ForecastError.EXCEEDED_QUOTA": _BUSY,
    "CommonError.CONCURRENT_MODIFICATION": Known(
        _("Somebody else changed the same object at the same moment."),
        _("Look whether their change is wanted; then complete the task, and the adapter tries again."),
    ),
    "InternalApiError.ERROR_GENERATING_RESPONSE": Known(
        _("The ad server made the change but could not answer: doing it again would make it twice."),
        _("Look in the ad server whether it is there. If so, complete the task and say that it exists."),
    ),
    # Google Ads
    "AuthorizationError.USER_PERMISSION_DENIED": Known(
        _("The login has no access to this customer account."),
        _("Link the account to the manager account that the adapter uses, then complete the task."),
    ),
    "AuthorizationError.CUSTOMER_NOT_ENABLED": Known(
        _("The customer account is not active: it was never finished, or it is closed."),
        _("Finish or reopen the account, then complete the task."),
    ),
    "AuthorizationError.DEVELOPER_TOKEN_NOT_APPROVED": Known(
        _("The adapter's developer token works with test accounts only."),
        _("Apply for access to live accounts; until then carry the operation out by hand."),
    ),
    "PolicyFindingError.POLICY_FINDING": Known(
        _("The platform's own policy check found something in the ad."),
        _("Read which policy is named; have the ad changed, or ask the platform for a review."),
    ),
    # Ad Context Protocol
    "PERMISSION_DENIED": Known(
        _("The other side knows the caller and refuses this operation by its own rules."),
        _("Ask for the right, or carry the operation out by hand; then complete the task."),
    ),
    "AUTH_MISSING": _CREDENTIALS,
    "AUTH_INVALID": _CREDENTIALS,
    "AUTH_REQUIRED": _CREDENTIALS,
    "AUTHORIZATION_REQUIRED": Known(
        _("One more connection must be authorised first, such as that of a page or an identity."),
        _("Complete the connection that the error names, then complete the task."),
    ),
    "SCOPE_INSUFFICIENT": Known(
        _("The credentials are good, but do not cover this operation."),
        _("Have them widened to it, then complete the task."),
    ),
    "CONFIGURATION_ERROR": Known(
        _("The seller's system is not set up completely; neither waiting nor asking again helps."),
        _("Supply what the error names, then complete the task."),
    ),
    "ACCOUNT_SETUP_REQUIRED": Known(
        _("The buyer's account is not set up completely."),
        _("Finish its set-up, then complete the task."),
    ),
    "ACCOUNT_SUSPENDED": Known(
        _("The account is suspended."),
        _("Find out why before anything is booked; close the task if it stays so."),
    ),
    "ACCOUNT_PAYMENT_REQUIRED": Known(
        _("The account owes a payment."),
        _("Have it settled, then complete the task; or close it and say what is owed."),
    ),
    "POLICY_VIOLATION": Known(
        _("The request breaks one of the seller's policies."),
        _("Read which one. Allow it only where the policy does, else reject with what would pass."),
    ),
    "CREATIVE_REJECTED": Known(
        _("The creative failed a review of its content, its safety or its accessibility."),
        _("Tell the advertiser the rule and the place in the creative."),
    ),
    "CREATIVE_INACCESSIBLE": Known(
        _("The creative's files could not be loaded."),
        _("Ask for addresses that open without a login."),
    ),
    "CREATIVE_DEADLINE_EXCEEDED": Known(
        _("The creative came after the deadline for material."),
        _("Ask the publisher for an extension, or close the task and say when the deadline was."),
    ),
    "GOVERNANCE_DENIED": Known(
        _("The buyer's own governance refused the purchase."),
        _("Nobody on this side can allow it: close the task and say so."),
    ),
    "BUDGET_EXCEEDED": Known(
        _("It would cost more than the approved budget."),
        _("Have the budget raised, or reject it with the sum that is left."),
    ),
    "UNSUPPORTED_FEATURE": _FEATURE,
    "RATE_LIMITED": _BUSY,
    "SERVICE_UNAVAILABLE": _BUSY,
    # HTTP, where the ad server says no more
    "401": _CREDENTIALS,
    "403": Known(
        _("The ad server knows the adapter and refuses the operation (403)."),
        _("Give its account or key the missing right, or carry the operation out by hand; then complete the task."),
    ),
    "429": _BUSY,
    "503": _BUSY,
}

_CODE: Final = re.compile(
    r"\b([A-Z][A-Za-z]+Error(?:Reason)?)\.([A-Z][A-Z0-9_]+)\b|\b([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)\b"
)
_STATUS: Final = re.compile(r"\b(?:HTTP[ /]?(?:\d\.\d )?|status(?: code)? ?)?(401|403|429|503)\b")


@dataclass(frozen=True)
class Explanation:
    """A code that was found in an error, in plain words."""

    code: str
    means: Text
    helps: Text


def explain(error: str, status: object = None) -> Explanation | None:
    """The first code in the text that is known; else the HTTP status, in the text or as given; None if none is."""
    head = error[:4_000]
    for kind, reason, bare in _CODE.findall(head):
        for code in (f"{kind}.{reason}", reason, kind) if kind else (bare,):
            if code in ERRORS:
                return _explained(f"{kind}.{reason}" if kind else bare, ERRORS[code])
    found = _STATUS.match(head.strip()) or re.search(r"\bHTTP[ /](401|403|429|503)\b", head)
    code = found[1] if found else str(status) if isinstance(status, int) and not isinstance(status, bool) else ""
    return _explained(code, ERRORS[code]) if code in ERRORS else None


def _explained(code: str, known: Known) -> Explanation:
    return Explanation(code, known.means, known.helps)
