"""`check`: which tenant this is, and what the application may do there."""

from __future__ import annotations

from metasync.contract import Allow, Check, Context, Kind, OptionsError, SignInRefused, Type
from metasync_entra import permissions, security
from metasync_entra.codec import Codec
from metasync_entra.domains import Domains
from metasync_entra.session import Session
from metasync_entra.tokens import claims_of, roles_of

CONTACTS = "contacts are read only: Graph cannot write them, Exchange can. Guests (kind: guest) can stand in for contacts as a target"
MARK = (
    "the directory has no `mark:`, so users made by Metasync are not known as such once the database is lost; "
    "extensionAttribute15 or a directory extension is a good one"
)


def check(session: Session, context: Context, domains: Domains, codec: Codec) -> Check:
    """Raises `Unavailable`, and `OptionsError` where the directory's mark cannot be one."""
    if context.settings.mark is not None:
        _check_mark(codec, context.settings.mark)
    claims = claims_of(session.tokens.get())
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not tenant:
        raise SignInRefused(f"{session.settings.cloud.login} gave a token that names no tenant; see who answers there")
    roles = roles_of(claims)
    application = str(claims.get("appid") or session.settings.application or "<application>")
    warnings = [CONTACTS]
    secured = bool(session.settings.security_attributes)
    session.read("/users?$select=id&$top=1", doing="reading users") if any(role in roles for role in _READS) else None
    verified = domains.federated
    if not domains.readable:
        warnings.append("the tenant's domains cannot be read (Organization.Read.All), so that sign-in names are not checked against them")
    if context.settings.mark is None:
        warnings.append(MARK)
    if not roles:
        warnings.append("the application has no permission at all; grant them in the app registration, and let an administrator consent")
    shown = domains.tenant.get("displayName")
    software = f"Microsoft Entra ID{f' of {shown}' if shown else ''}" + (f", {len(verified)} verified domains" if verified else "")
    return Check(
        identity=tenant.lower(),
        software=software,
        granted=tuple(roles),
        excessive=tuple(permissions.excessive(roles, security=secured)),
        warnings=tuple(warnings),
        rights=tuple(permissions.rights(roles, _command(application), security=secured)),
    )


def _check_mark(codec: Codec, mark: str) -> None:
    """Raises `OptionsError` for a mark that no create could carry."""
    better = "name extensionAttribute15 instead, or a directory extension of `extensions`"
    found = [known for kind in (Kind.USER, Kind.GUEST, Kind.GROUP) if (known := codec.tables[kind].get(mark)) is not None]
    if not found:
        raise OptionsError(f"`mark: {mark}` is no attribute that is known of users or groups; {better}")
    for known in found:
        if known.select == security.SELECT:
            raise OptionsError(f"`mark: {mark}` is a custom security attribute, which Graph does not take with a create; {better}")
        if known.schema.multi or known.schema.type is not Type.STRING or Allow.CREATE not in known.schema.allow:
            raise OptionsError(f"`mark: {mark}` is no text that a new object can be given; {better}")


_READS = ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All")
_GRAPH = "00000003-0000-0000-c000-000000000000"


def _command(application: str) -> str:
    """For the Microsoft Graph PowerShell module, signed in as an administrator who may consent."""
    return (
        f"$g = Get-MgServicePrincipal -Filter \"appId eq '{_GRAPH}'\"; $a = Get-MgServicePrincipal -Filter \"appId eq '{application}'\"; "
        "New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $a.Id -PrincipalId $a.Id -ResourceId $g.Id "
        "-AppRoleId ($g.AppRoles | Where-Object Value -eq '{}').Id"
    )
