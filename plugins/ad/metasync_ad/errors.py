"""What a domain controller's refusals mean: one table from LDAP result and Win32 code to an outcome and words.

Codes were observed on Samba; those of Windows that differ fall back to the row of the LDAP result alone.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from metasync.contract import Change, MetasyncError, NotTrusted, Operation, Outcome, Result, SignInRefused, Unavailable

PAUSE = timedelta(seconds=10)
"""How long to leave a controller alone that asks for it."""
_WIN32 = re.compile(r"\b([0-9A-Fa-f]{8})\b: ")
_SIGN_IN = re.compile(r"\bdata ([0-9a-fA-F]{3,8})\b")


class Refused(MetasyncError):
    """The directory refused the request."""

    def __init__(self, code: int, description: str, text: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.description = description
        self.text = (text or "").replace("\0", "").strip()
        found = _WIN32.search(self.text)
        self.win32 = int(found[1], 16) if found else None


NO_NUMBERS = "the domain controller has no account numbers left until the RID master gives it new ones; see to that controller"
_TABLE: dict[tuple[int, int | None], tuple[Outcome, str]] = {
    (68, 0x2071): (Outcome.CONFLICT, "another object has this sAMAccountName; free it there, or let `unique:` find another"),
    (68, 0x524): (Outcome.CONFLICT, "another account has this sAMAccountName; free it there, or let `unique:` find another"),
    (68, 0x21C8): (Outcome.CONFLICT, "another object has this userPrincipalName; free it there, or let `unique:` find another"),
    (68, None): (Outcome.CONFLICT, "another object is there already; rename one of them, or let `unique:` find another name"),
    (19, 0x202F): (Outcome.CONFLICT, "another object has this userPrincipalName or another value that may exist only once; free it there"),
    (19, 0x21C7): (Outcome.CONFLICT, "another object has this servicePrincipalName; free it there"),
    (19, 0x21C8): (Outcome.CONFLICT, "another object has this userPrincipalName; free it there, or let `unique:` find another"),
    (19, 0x52D): (Outcome.REJECTED, "the domain's password policy refused the new password; raise the length in `new passwords:`"),
    (53, 0x52D): (
        Outcome.REJECTED,
        "the domain's password policy refused the new password, or the account has none yet; raise the length in `new passwords:`, or set "
        "one, then enable it",
    ),
    (19, None): (Outcome.REJECTED, "a value breaks a rule of the directory"),
    (16, None): (
        Outcome.CONFLICT,
        "an attribute or value is not there as expected; import again, or remove an attribute that the directory does not have",
    ),
    (17, None): (Outcome.REJECTED, "the directory's schema does not have this attribute; remove it from the mapping"),
    (20, 0x200D): (Outcome.REJECTED, "several values for an attribute that holds one"),
    (20, None): (Outcome.CONFLICT, "the value is there already, perhaps in another case"),
    (21, None): (Outcome.REJECTED, "a value is too long or has the wrong form; shorten or correct it in the mapping"),
    (32, 0x525): (Outcome.CONFLICT, "an object that it refers to does not exist; import again"),
    (32, 0x2030): (Outcome.REJECTED, "its container does not exist; create that first, or correct `place:`"),
    (32, None): (Outcome.CONFLICT, "the object or its container does not exist any more; import again"),
    (34, None): (Outcome.REJECTED, "the name is not a valid distinguished name; correct it in the mapping"),
    (48, None): (Outcome.REJECTED, "the directory does not allow this sign-in method for the account"),
    (49, None): (Outcome.REJECTED, "the directory refused the sign-in"),
    (50, None): (Outcome.REJECTED, "the account lacks the right to do this; delegate it on the container"),
    (51, None): (Outcome.RETRY, "the domain controller is busy"),
    (52, None): (Outcome.RETRY, "the domain controller is not available now"),
    (3, None): (Outcome.RETRY, "the domain controller's time limit was exceeded"),
    (4, None): (Outcome.RETRY, "a size limit of the domain controller was exceeded"),
    (10, None): (
        Outcome.REJECTED,
        "the domain controller refers to another one: what it is about lies in another domain, or this is a read-only controller and it "
        "was to be changed; name one in `servers` that holds it and can be written",
    ),
    (11, None): (Outcome.REJECTED, "a limit of the directory was exceeded, such as that of values in one attribute; take some away"),
    (1, 0x2010): (Outcome.RETRY, NO_NUMBERS),
    (53, 0x2010): (Outcome.RETRY, NO_NUMBERS),
    (80, 0x2010): (Outcome.RETRY, NO_NUMBERS),
    (1, None): (Outcome.REJECTED, "the domain controller reported an operations error"),
    (53, 0x2035): (Outcome.REJECTED, "the directory computes or protects this attribute or object; remove it from the mapping"),
    (53, 0x2141): (Outcome.REJECTED, "the group cannot have this scope; Global and DomainLocal change into each other by way of Universal"),
    (53, 0x2144): (Outcome.REJECTED, "a Global group cannot hold a DomainLocal one; take that member out, or choose another groupScope"),
    (53, 0x2145): (Outcome.REJECTED, "a Global group cannot hold a Universal one; take that member out, or choose another groupScope"),
    (53, 0x2146): (Outcome.REJECTED, "a Universal group cannot hold a DomainLocal one; take that member out, or choose another groupScope"),
    (53, 0x2147): (Outcome.REJECTED, "a Global group cannot hold members of another domain; take them out, or choose another groupScope"),
    (53, 0x2148): (Outcome.REJECTED, "a DomainLocal group of another domain cannot be a member; take it out, or choose another groupScope"),
    (53, 0x2149): (Outcome.REJECTED, "it is the primary group of an account; give that another one first"),
    (53, None): (Outcome.REJECTED, "the directory will not do this"),
    (64, None): (
        Outcome.REJECTED,
        "the name is not allowed for this kind of object, or the kind not in this container; correct the mapping of the name, or `place:`",
    ),
    (65, None): (Outcome.REJECTED, "the object lacks a required attribute, or has one that its class does not allow"),
    (66, None): (Outcome.REJECTED, "it holds other objects; delete or move those first"),
    (67, None): (Outcome.REJECTED, "the attribute is part of the name; rename the object instead"),
    (69, None): (Outcome.REJECTED, "the class of an object cannot be changed so"),
    (71, None): (Outcome.REJECTED, "the new place lies in another domain; objects cannot be moved there"),
    (80, 0x2095): (Outcome.REJECTED, "its new container does not exist; create that first, or correct `place:`"),
    (80, None): (Outcome.REJECTED, "the domain controller reported an internal error"),
}

NO_RIGHT = 50
"""insufficientAccessRights (RFC 4511, A.2)."""
NO_PLACE = 0x208D
"""ERROR_DS_OBJ_NOT_FOUND: with a create it may be the container, or whom a value names."""

_SIGN_IN_WORDS = {
    0x525: "there is no such account",
    0x52E: "the name or the password is wrong",
    0x530: "the account may not sign in at this time of day",
    0x531: "the account may not sign in from this machine",
    0x532: "the account's password has expired",
    0x533: "the account is disabled",
    0x568: "the account is in too many groups",
    0x701: "the account has expired",
    0x773: "the account must change its password first",
    0x775: "the account is locked",
    0x80090346: "what encrypts the line is not the controller itself (channel binding)",
}


def outcome(refused: Refused, doing: str) -> tuple[Outcome, str]:
    """What a refusal means for a change, and a sentence that says what to do. `doing`: "creating", "renaming"."""
    row = _TABLE.get((refused.code, refused.win32)) or _TABLE.get((refused.code, None))
    kind, words = row or (Outcome.REJECTED, "the directory refused it")
    code = f"LDAP {refused.code} {refused.description}" + (f", {refused.win32:08X}" if refused.win32 is not None else "")
    return kind, f"{doing}: {words} ({code})"


def result(change_id: str, refused: Refused, doing: str) -> Result:
    """A refusal as the result of a change."""
    kind, detail = outcome(refused, doing)
    return Result(id=change_id, outcome=kind, detail=detail, retry_after=PAUSE if kind is Outcome.RETRY else None)


def failed(change: Change, error: Refused | ValueError) -> Result:
    """What came of a change that was refused, by the directory or before it was asked."""
    doing = f"{change.label}: {change.operation.value}"
    if isinstance(error, Refused):
        found = result(change.id, error, doing)
        if error.code == NO_RIGHT and change.operation in (Operation.DELETE, Operation.MOVE):
            return replace(found, detail=f"{found.detail}; where it is protected from accidental deletion, take that away first")
        return found
    return Result(id=change.id, outcome=Outcome.REJECTED, detail=f"{doing}: {error}")


def sign_in(text: str, who: str, server: str) -> SignInRefused:
    """The error for a refused bind."""
    found = _SIGN_IN.search(text or "")
    code = int(found[1], 16) if found else None
    words = (
        _SIGN_IN_WORDS.get(code, "the name or the password is wrong, or the account is locked")
        if code is not None
        else "the name or the password is wrong"
    )
    what = {
        0x52E: "correct `bind` or set the secret again",
        0x525: "correct `bind`",
        0x775: "unlock it",
        0x533: "enable it",
        0x80090346: "connect to the controller itself, and to no proxy or load balancer that ends TLS before it",
    }.get(code or 0, "see to the account")
    return SignInRefused(f"{server} refused the sign-in of {who}: {words}; {what}, then run again")


LATER = frozenset({51, 52})
"""Busy, unavailable (RFC 4511, A.2): whatever was asked can be asked again."""


def is_later(error: Refused | ValueError) -> bool:
    """Whether the controller was busy or unavailable: whatever else it is asked at this moment, it would say the same."""
    return isinstance(error, Refused) and error.code in LATER


def later(server: str, words: str) -> Unavailable:
    """The error for a controller that cannot answer now."""
    return Unavailable(f"{server}: {words}; run again later")


def connecting(error: BaseException, server: str, port: int, name: str | None = None) -> Unavailable:
    """The error for a connection that did not come about. `name`: what the certificate must carry, where it is not the server's."""
    text = str(error)
    low = text.lower()
    if "mismatch" in low or "doesn't match" in low:
        return NotTrusted(
            f"the certificate of {server} does not carry the name {name or server}; connect by the name that it carries, or say which in "
            "`certificate name`"
        )
    if "certificate" in low and ("verify" in low or "expired" in low or "self" in low):
        why = "has expired" if "expired" in low else "was issued by an authority that is not trusted"
        return NotTrusted(f"the certificate of {server} {why}; name the right authority's PEM file in `ca file`, or renew the certificate")
    if any(
        word in low
        for word in ("name or service not known", "getaddrinfo", "nodename", "invalid server address", "temporary failure in name")
    ):
        return Unavailable(f"the name {server} is unknown; correct `servers`, or the machine's name resolution")
    if "refused" in low:
        return Unavailable(f"{server} does not answer on port {port}; check that it runs, the port and `tls`")
    if "timed out" in low or "timeout" in low:
        return Unavailable(f"{server} did not answer on port {port} in time; check the network, or raise `connect timeout`")
    if "ssl" in low or "tls" in low or "wrap" in low:
        return Unavailable(f"{server} port {port} does not speak TLS as expected; check `tls` and `port`")
    return Unavailable(f"{server} port {port} cannot be reached ({type(error).__name__}); check `servers` and the network")
