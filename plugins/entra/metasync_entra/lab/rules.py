"""Every rule that the lab tenant enforces, with its source. What refuses names one of these; what merely behaves is tagged with `follows`.

docs: github.com/microsoftgraph/microsoft-graph-docs-contrib (docs21: microsoft-graph-docs of July 2021); repository#n: an issue there, a
bare #n one of microsoft-graph-docs; csdl: msgraph-metadata, schemas/v1.0-Prod.csdl. `inferred` marks what was concluded, or worded, without
reading it anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule: what it says, where that is read, and whether status or wording are our conclusion."""

    says: str
    source: str
    inferred: bool = False


def follows(*rules: Rule) -> Callable[[F], F]:
    """Say of a function that it behaves by these rules."""
    assert all(isinstance(one, Rule) for one in rules)

    def tag(function: F) -> F:
        return function

    return tag


def every() -> Mapping[str, Rule]:
    """All rules by name."""
    return {name: value for name, value in globals().items() if isinstance(value, Rule)}


def name_of(rule: Rule) -> str:
    """Its name, which refusals carry in the header x-lab-rule."""
    return next(name for name, value in every().items() if value is rule)


# --- signing in -------------------------------------------------------------------------------------------------------------------------
_CODES = "learn.microsoft.com/entra/identity-platform/reference-error-codes"
_TROUBLE = "learn.microsoft.com/azure/developer/java/sdk/troubleshooting-authentication-service-principal"

TOKEN_SHAPE = Rule(
    says="The token service answers errors with error, error_description, error_codes, timestamp, trace_id and correlation_id.",
    source=f"{_CODES}: handling error codes in your application",
)
TOKEN_TENANT = Rule(says="An unknown tenant is AADSTS90002.", source=_CODES)
TOKEN_GRANT = Rule(says="Only the client credentials grant is known: AADSTS70003.", source=_CODES)
TOKEN_APP = Rule(says="An app that the tenant does not have is AADSTS700016.", source=f"{_CODES}; {_TROUBLE}")
TOKEN_SCOPE = Rule(says="The scope of an app is RESOURCE/.default, else AADSTS1002012.", source=_CODES)
TOKEN_SECRET = Rule(says="A wrong secret is AADSTS7000215.", source=f"{_CODES}; {_TROUBLE}")
TOKEN_SECRET_EXPIRED = Rule(says="An expired secret is AADSTS7000222.", source=f"{_CODES}; {_TROUBLE}")
TOKEN_CREDENTIAL = Rule(says="Neither secret nor assertion is AADSTS7000216 or 7000218.", source=_CODES)
TOKEN_ASSERTION = Rule(
    says="A client assertion is signed by PS256 or RS256 with the certificate that x5t or x5t#S256 names, else AADSTS700027.",
    source=f"learn.microsoft.com/entra/identity-platform/certificate-credentials; {_TROUBLE}",
)
TOKEN_SUBJECT = Rule(says="iss and sub of an assertion are the client id, else AADSTS700021.", source=_TROUBLE)
TOKEN_AUDIENCE = Rule(says="aud of an assertion is the token endpoint, else AADSTS700023.", source=_TROUBLE)
TOKEN_TIME = Rule(says="An assertion outside of its time is AADSTS700024.", source=_CODES)
TOKEN_ONCE = Rule(
    says="The jti of an assertion is used once.",
    source="learn.microsoft.com/entra/identity-platform/certificate-credentials: jti; the refusal is stricter than the real one",
    inferred=True,
)
MANAGED_IDENTITY = Rule(
    says="A managed identity's token comes from IMDS with the header Metadata: true, or from App Service with X-IDENTITY-HEADER.",
    source=(
        "learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token;"
        " learn.microsoft.com/azure/app-service/overview-managed-identity"
    ),
)

# --- every call -------------------------------------------------------------------------------------------------------------------------
ACCESS_TOKEN = Rule(
    says="A token that is missing, expired, or for another resource or tenant is 401.",
    source="docs/concepts/errors.md; docs/concepts/resolve-auth-errors.md",
)
PERMISSION = Rule(
    says="A call whose permission the app was not granted is 403 Authorization_RequestDenied.",
    source="microsoft-graph-devx-content permissions/new/permissions.json; docs/concepts/json-batching.md@028b8e3 (the text)",
)
QUERY_OPTION = Rule(
    says="A query option that is not known is 400.", source="docs/concepts/query-parameters.md; the wording is ours", inferred=True
)
SEGMENT = Rule(says="A path that leads nowhere is 400.", source="the wording is ours", inferred=True)
METHOD = Rule(
    says="A method that a path does not know is 405 Request_BadRequest.",
    source="docs/concepts/json-batching.md@028b8e3: request 4 of the example",
)
NOT_REACHED = Rule(
    says="What the lab tenant does not do is 501 with a text that says so.", source="the lab tenant's own; docs/lab-entra.md"
)
BODY = Rule(says="A body is one JSON object.", source="docs/concepts/errors.md; the wording is ours", inferred=True)
FAULT = Rule(
    says="A fault that a test armed.", source="the lab tenant's own; shapes in docs/concepts/throttling.md and docs/concepts/errors.md"
)
NOT_FOUND = Rule(
    says="An object that is not there, or not visible yet, is 404 Request_ResourceNotFound.",
    source="docs-contrib#5090, #3919: the text",
)
LAG = Rule(
    says="A read need not see the write before it: new objects may be 404, updated ones stale, each replica for itself.",
    source="devblogs.microsoft.com/identity, 24 Mar 2026, Designing for Eventual Consistency; msgraph-sdk-java#2575",
)
REFERENCE_LAG = Rule(says="A reference to a young object may be 404.", source="msgraph-bicep-types#193; msgraph-sdk-dotnet#2772")

# --- reading ----------------------------------------------------------------------------------------------------------------------------
DEFAULT_PROPERTIES = Rule(
    says="Without $select a user has its eleven default properties; a created object is answered with those alone.",
    source="docs21/user-list.md; docs/user-post-users.md@03c7b71",
)
SELECT = Rule(
    says="$select of a property that the type does not have is 400.",
    source="docs/concepts/query-parameters.md; the wording is ours",
    inferred=True,
)
PAGES = Rule(
    says="A page has 100 objects, $top up to 999; the whole nextLink is followed, and repeats the request's own options.",
    source="#21132; docs21/paging.md",
)
PAGE_SIZE = Rule(says="$top outside 1 to 999 is 400.", source="#21132; the wording is ours", inferred=True)
SIGN_IN_ACTIVITY = Rule(says="Selecting signInActivity caps a page at 120.", source="msgraph-sdk-powershell#1898")
SKIP_TOKEN = Rule(says="A $skiptoken that is not ours is 400.", source="docs21/paging.md: opaque; the wording is ours", inferred=True)
FILTER = Rule(
    says="A $filter that cannot be read is 400.", source="docs/concepts/filter-query-parameter.md; the wording is ours", inferred=True
)
FILTER_ADVANCED = Rule(
    says="ne, not, endsWith and $filter with $orderby need ConsistencyLevel: eventual and $count=true.",
    source="docs/aad-advanced-queries.md@01a9057",
)
FILTER_REFERENCES = Rule(
    says="Members are filtered with ConsistencyLevel: eventual and $count=true alone.",
    source="docs/group-list-members.md: optional query parameters; the text without them as reported in issues",
    inferred=True,
)
EXPAND = Rule(
    says="$expand=manager, with a $select of its own, puts the manager into a user; a user without one has no such property.",
    source="docs/user-list-manager.md; docs21/query-parameters.md: expand; other expansions are not reached here",
)
SEARCH = Rule(says="$search needs ConsistencyLevel: eventual.", source="docs/aad-advanced-queries.md@01a9057")
COUNT = Rule(
    says="/$count needs ConsistencyLevel: eventual; without it $count=true is silently ignored. @odata.count is on the first page alone.",
    source="docs/aad-advanced-queries.md@01a9057; docs21/paging.md",
)
INDEX = Rule(
    says="Advanced queries read a separate index, which lags for itself.", source="docs/aad-advanced-queries.md@01a9057", inferred=True
)

# --- delta ------------------------------------------------------------------------------------------------------------------------------
_DELTA = "docs/concepts/delta-query-overview.md@01a9057"

DELTA_ROUND = Rule(
    says="A round is pages with nextLink up to one with deltaLink; never both. Its end covers changes made during the round.",
    source=f"{_DELTA}; docs/concepts/delta-query-users.md",
)
DELTA_LATEST = Rule(says="$deltatoken=latest answers a deltaLink and no data.", source=_DELTA)
DELTA_SELECT = Rule(says="$select decides what is tracked; it may name manager, members and owners.", source=_DELTA)
DELTA_OPTIONS = Rule(says="$expand and $orderby are not supported in a delta query; $top is ignored.", source=f"{_DELTA}; #17516, #7160")
DELTA_FILTER = Rule(says="$filter of a delta query is id eq alone, at most 50 objects.", source=f"{_DELTA}; docs/user-delta.md@08c59b8")
DELTA_SHAPE = Rule(
    says="A changed object has its id and all selected properties that were ever set: never set is absent, cleared is null.",
    source="docs/user-delta.md@08c59b8; docs/group-delta.md@0761301",
)
NO_CHANGE = Rule(says="A write that changes nothing surfaces nowhere.", source="our conclusion; to be checked live", inferred=True)
DELTA_MINIMAL = Rule(says="Prefer: return=minimal leaves what changed alone.", source="docs/user-delta.md@08c59b8")
DELTA_MEMBERS = Rule(
    says="members@delta holds type and id; a big group recurs over pages with other members. Without $select it is there.",
    source="docs/concepts/delta-query-groups.md@007852a",
)
DELTA_REMOVED = Rule(says="@removed is changed in the recycle bin, deleted for good.", source="docs/concepts/delta-query-users.md@135d001")
DELTA_PAGE = Rule(says="A page of users has 200; pages of groups shrink with their members.", source="microsoft-graph-explorer-v4#1157")
DELTA_TOKEN = Rule(says="A delta token that is not ours is 400.", source=f"{_DELTA}: opaque; the wording is ours", inferred=True)
DELTA_EXPIRED = Rule(
    says="A token older than seven days is 400 syncStateNotFound, or 410 by a setting.",
    source="devblogs.microsoft.com, 3 Jul 2020; docs-contrib#9003; #2350 (410)",
)
DELTA_RESYNC = Rule(says="A resync is 410 with a Location whose $deltatoken is empty.", source=f"{_DELTA}: synchronization reset")
DELTA_OUTSIDE = Rule(says="Selecting what is stored outside of the directory is 501 in a collection.", source=_DELTA)

# --- writing ----------------------------------------------------------------------------------------------------------------------------
_USER = "docs/user-post-users.md@03c7b71; docs/resources/user.md@0061138"

PROPERTY = Rule(says="A property that the type does not have is 400.", source="csdl; the wording is ours", inferred=True)
PROPERTY_TYPE = Rule(says="A value of another type than the property's is 400.", source="csdl; the wording is ours", inferred=True)
REQUIRED = Rule(says="What an object cannot do without is asked for at its creation.", source=f"{_USER}; docs/group-post-groups.md")
READ_ONLY = Rule(
    says="A read-only property is not written.",
    source="docs/resources/user.md@0061138; docs/resources/group.md; the wording is ours",
    inferred=True,
)
TOO_LONG = Rule(says="Each property has a greatest length.", source=f"{_USER}; the wording is ours", inferred=True)
UPN_CHARACTERS = Rule(says="A userPrincipalName has A-Z a-z 0-9 ' . - _ ! # ^ ~ and one @.", source=_USER)
UPN_DOMAIN = Rule(says="The domain of a userPrincipalName is a verified one of the tenant.", source=_USER)
UNIQUE = Rule(
    says="userPrincipalName, proxyAddresses, mail, onPremisesImmutableId and a group's mailNickname are unique, without regard to case.",
    source="#1508: the text and the details, of userPrincipalName; the others by analogy",
)
IMMUTABLE_ID = Rule(says="onPremisesImmutableId has no $ or _, and is written while the object is not synchronised.", source=_USER)
IMMUTABLE_ID_CLEAR = Rule(says="Clearing onPremisesImmutableId is refused, by a setting.", source="msgraph-sdk-powershell#2819")
FEDERATED = Rule(says="In a federated domain a user is made with an onPremisesImmutableId.", source=_USER)
NOT_CLEARED = Rule(says="displayName and the other required properties cannot be cleared.", source=_USER)
ONE_PHONE = Rule(says="businessPhones holds one value.", source=_USER)
USAGE_LOCATION = Rule(says="usageLocation is a country's two letters.", source=_USER)
PASSWORD = Rule(
    says="A user's password is changed by an app that holds User-PasswordProfile.ReadWrite.All.",
    source="permissions.json; docs/user-update.md",
)
SMTP = Rule(
    says="Setting mail writes the primary SMTP: entry of proxyAddresses.", source="docs/resources/user.md@0061138: proxyAddresses, mail"
)
MASTERED = Rule(
    says="An object mastered on premises is changed there, until its source of authority is moved.",
    source="docs-contrib#3919; learn.microsoft.com/entra/identity/hybrid/concept-source-of-authority-overview: the text",
)
SOURCE_OF_AUTHORITY = Rule(
    says="onPremisesSyncBehavior isCloudManaged moves the source of authority.",
    source="csdl v1.0: onPremisesSyncBehavior; the status is ours",
    inferred=True,
)
GROUP_KIND = Rule(
    says="Security and Microsoft 365 groups are made here; distribution lists and mail-enabled security groups are read-only.",
    source="docs/groups-overview.md; pnp/cli-microsoft365#5476: the text",
)
MAIL_NICKNAME = Rule(
    says="A group's mailNickname has at most 64 characters, none of @()\\[]\";:.<>, and no space.", source="docs/group-post-groups.md"
)
EXCHANGE_ONLY = Rule(
    says="Properties kept by Exchange are written in a request of their own, answered 200.",
    source="docs/group-update.md; docs/groups-overview.md",
)
UPSERT = Rule(
    says="PATCH /groups(uniqueName='..') makes the group with Prefer: create-if-missing: 201, else 204.",
    source="csdl: UpdateRestrictions/Upsertable; docs/group-upsert.md",
    inferred=True,
)
CONTACT_READ_ONLY = Rule(
    says="Contacts are read-only in Graph.", source="docs/resources/orgcontact.md@028b8e3; the status is ours", inferred=True
)
INVITATION = Rule(says="An invitation makes a guest: 201 with invitedUser.id.", source="docs/invitation-post.md; docs/resources/user.md")
INVITED_ADDRESS = Rule(
    says='An address that is invited has none of ~!#$%^&*()+=[]{}\\|/;:"<>?, and before the @ no dot or hyphen at either end.',
    source="docs/resources/invitation.md: invitedUserEmailAddress; the wording is ours",
    inferred=True,
)
EXTENSION = Rule(
    says="A directory extension is written once it is defined, as extension_APPID_NAME.", source="docs/extensibility-overview.md@01c158c"
)
_SECURITY = "docs/concepts/custom-security-attributes-examples.md@0060461"
SECURITY_PERMISSION = Rule(
    says="Custom security attributes are assigned by a permission of their own: 403 without.",
    source=f"{_SECURITY}: Prerequisites; the status is ours",
    inferred=True,
)
SECURITY_HIDDEN = Rule(
    says="To whoever lacks the permission to read them, custom security attributes are null, as where there are none.",
    source=f"{_SECURITY}: get, list",
)
SECURITY_VALUES = Rule(
    says="A user's custom security attributes are assigned by PATCH, in sets with @odata.type; integers and collections say their type. "
    "Others stay as they are; null or [] removes one.",
    source=f"{_SECURITY}: assign, update, remove",
)
SECURITY_DEFINED = Rule(
    says="Only what was defined can be assigned, and only as its type.",
    source="learn.microsoft.com/graph/api/resources/custom-security-attributes-overview; status and wording are ours",
    inferred=True,
)

# --- references -------------------------------------------------------------------------------------------------------------------------
MEMBER_THERE = Rule(says="Adding who is a member is 400.", source="docs-contrib#5090; group-membership-management: the text")
MEMBER_TWICE = Rule(says="One reference stands once in a request.", source="group-membership-management: the text")
MEMBER_PACK = Rule(says="members@odata.bind takes 20 at most, all or nothing.", source="docs/group-post-members.md@0060461")
MEMBER_MISSING = Rule(says="Removing who is no member is 404.", source="#3919; the status is to be checked live", inferred=True)
MEMBER_ID = Rule(says="A member is removed by object id, never by name.", source="docs/group-delete-members.md")
REFERENCE = Rule(
    says="A reference is an @odata.id that leads to an object of a kind that may stand there.",
    source="docs/group-post-members.md@0060461; docs/user-post-manager.md",
)
LAST_OWNER = Rule(
    says="The last owner who is a user cannot be removed: 400.",
    source="docs/group-delete-owners.md; status and text: Azure/azure-sdk-for-python, tests of graphrbac",
)
UNIFIED_MEMBERS = Rule(
    says="The members of a Microsoft 365 group are users.",
    source="docs/group-post-members.md@0060461: the table of what can be a member; status and text are ours",
    inferred=True,
)
MANAGER = Rule(says="A manager is a user or a contact.", source="docs/user-post-manager.md")

# --- deleting ---------------------------------------------------------------------------------------------------------------------------
RECYCLE_BIN = Rule(
    says="Users and Microsoft 365 groups stay 30 days in the bin, security groups do not. A user in it has its id before its name.",
    source="docs/directory-deleteditems-restore.md@05c1078; learn.microsoft.com/entra/fundamentals/users-restore",
)
RESTORE_CONFLICT = Rule(
    says="Restoring onto a name that is taken again is 400.",
    source="Restore-MgDirectoryDeletedItem: -NewUserPrincipalName; the wording is ours",
    inferred=True,
)
MEMBERSHIPS_DROP = Rule(
    says="Deletion drops memberships; a restored object comes without, but for a setting.", source="to be checked live", inferred=True
)
QUOTA = Rule(
    says="A tenant holds 300,000 objects, deleted ones too.",
    source="#7055; learn.microsoft.com/entra/identity/users/directory-service-limits-restrictions",
)

# --- batches and throttling -------------------------------------------------------------------------------------------------------------
_BATCH = "docs/concepts/json-batching.md@028b8e3"

BATCH = Rule(says="A batch that cannot be read is 400; one that can is 200, and each part has its own status.", source=_BATCH)
BATCH_SIZE = Rule(says="A batch has 20 requests at most.", source=_BATCH)
BATCH_ID = Rule(says="Each id is there once, without regard to case.", source=_BATCH)
BATCH_BODY = Rule(says="A body needs a Content-Type inside of its part.", source=_BATCH)
BATCH_DEPENDS = Rule(says="What depends on a failed part is 424.", source=_BATCH)
BATCH_NESTED = Rule(says="A batch holds no batch.", source="docs21/known-issues.md: JSON batching", inferred=True)
_LIMITS = "docs/concepts/throttling-limits.md@0135174"
THROTTLE = Rule(
    says="Token buckets per app and tenant and per tenant: resource units and writes; 429 beyond, and rejected calls count.", source=_LIMITS
)
COST = Rule(
    says="Each call costs resource units: $select one less, $expand one more, $top below 20 one less, never below 1.", source=_LIMITS
)

# --- Exchange ---------------------------------------------------------------------------------------------------------------------------
INVOKE_COMMAND = Rule(
    says="Get-, New-, Set- and Remove-MailContact by InvokeCommand reach the contacts of Graph after a while.",
    source="KelvinTegelaar/CIPP-API New-ExoRequest.ps1@04e8180; undocumented by Microsoft",
    inferred=True,
)
