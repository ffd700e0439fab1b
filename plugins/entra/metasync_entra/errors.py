"""What Graph's refusals mean: one table from status, code and text to an outcome and words that say what to do.

Sources: https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/graph/resolve-auth-errors, and the pages of the operations.
Texts are Microsoft's and may change: what is not recognised falls back to the row of its status.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from metasync.contract import Change, Outcome, Result


class Sense(Enum):
    """What an answer is, whatever was asked."""

    FINE = "fine"
    ALREADY = "already there"
    GONE = "already gone"
    MISSING = "does not exist"
    TAKEN = "another object has this value"
    MASTERED = "mastered on premises"
    REFUSED = "refused"
    FORBIDDEN = "permission missing"
    SIGN_IN = "the token does not hold"
    EXPIRED = "the delta token does not hold"
    BUSY = "too many requests"
    BROKEN = "out of order"
    LOST = "no answer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What an answer said is wrong. `text` is Graph's own, and may hold values of the object, never a secret of ours."""

    status: int
    code: str = ""
    text: str = ""
    wait: timedelta | None = None


_ALREADY = re.compile(r"added object references already exist", re.IGNORECASE)
_GONE = re.compile(r"removed object references do not exist|does not exist or one of its queried reference", re.IGNORECASE)
_TWICE = re.compile(r"only be present once", re.IGNORECASE)
_TAKEN = re.compile(r"same value for property|already exists|conflicting object|proxyaddresses? .*already|ObjectConflict", re.IGNORECASE)
_MASTERED = re.compile(r"on-?premises mastered|originated(InExternalService)?|external service|Directory Sync objects", re.IGNORECASE)
_MISSING = re.compile(
    r"one of the objects being referenced do(es)? not exist|references? .* do(es)? not exist|reference-property objects", re.IGNORECASE
)
_RACED = "directory_concurrencyviolation"
"""The code of a 409 where another request writes to the same object: nothing was written, and it may be asked again after a while
(microsoftgraph/group-membership-management, GraphGroupMembershipUpdater). With 503 it says nothing of the kind."""
_PROPERTY = re.compile(r"property:? '?(?P<name>[A-Za-z]\w*)'?", re.IGNORECASE)
_LAST_OWNER = re.compile(r"at least one owner", re.IGNORECASE)
_PASSWORD = re.compile(r"password", re.IGNORECASE)


def sense(status: int, code: str = "", text: str = "") -> Sense:
    """What an answer means. Codes are compared whatever their case."""
    low = code.lower()
    if status and status < 400:
        return Sense.FINE
    if (status in (400, 410) and low == "syncstatenotfound") or status == 410:
        return Sense.EXPIRED
    if status == 401:
        return Sense.SIGN_IN
    if status == 403:
        return Sense.MASTERED if _MASTERED.search(text) else Sense.FORBIDDEN
    if status == 429 or low == "toomanyrequests" or (status == 409 and low == _RACED):
        return Sense.BUSY
    if status in (400, 409) and _ALREADY.search(text):
        return Sense.ALREADY
    if status == 404:
        return Sense.MISSING
    if status == 400 and (_GONE.search(text) or _MISSING.search(text) or low == "request_resourcenotfound"):
        return Sense.MISSING
    if _MASTERED.search(text):
        return Sense.MASTERED
    if status == 409 or (status == 400 and (_TAKEN.search(text) or low == "objectconflict")):
        return Sense.TAKEN
    if status in (500, 502, 503, 504, 509):
        return Sense.BROKEN
    if status == 0:
        return Sense.LOST
    return Sense.REFUSED


_WORDS: dict[Sense, tuple[Outcome, str]] = {
    Sense.MISSING: (Outcome.CONFLICT, "the object, or one that it refers to, does not exist any more; import again"),
    Sense.TAKEN: (Outcome.CONFLICT, "another object of the tenant has this value; free it there, or let `unique:` find another"),
    Sense.MASTERED: (
        Outcome.REJECTED,
        "the object is mastered by an Active Directory through Entra Connect; change it there, or move its authority to the cloud",
    ),
    Sense.FORBIDDEN: (Outcome.REJECTED, "the application lacks the permission for it, or the object belongs to an administrator"),
    Sense.REFUSED: (Outcome.REJECTED, "the tenant refuses it; correct the value in the mapping"),
    Sense.EXPIRED: (Outcome.RETRY, "the tenant has forgotten the state; import again"),
    Sense.SIGN_IN: (Outcome.RETRY, "the tenant does not take the token any more"),
    Sense.BUSY: (Outcome.RETRY, "the tenant asks for patience: too many requests"),
    Sense.BROKEN: (Outcome.UNKNOWN, "Graph was out of order, and whether it was written is not known"),
    Sense.LOST: (Outcome.UNKNOWN, "no answer came, and whether it was written is not known"),
    Sense.GONE: (Outcome.APPLIED, ""),
    Sense.ALREADY: (Outcome.APPLIED, ""),
    Sense.FINE: (Outcome.APPLIED, ""),
}


def outcome(trouble: Trouble, doing: str) -> tuple[Outcome, str]:
    """What a refusal means for a change, and a sentence that says what to do. `doing`: "creating Ann"."""
    found = sense(trouble.status, trouble.code, trouble.text)
    kind, words = _WORDS[found]
    if found is Sense.REFUSED:
        words = _refused_words(trouble)
    if found is Sense.TAKEN and (named := _PROPERTY.search(trouble.text)):
        words = f"another object of the tenant has this {named['name']}; free it there, or let `unique:` find another"
    code = f"HTTP {trouble.status}" if trouble.status else "no answer"
    return kind, f"{doing}: {words} ({code}{f' {trouble.code}' if trouble.code else ''})"


def _refused_words(trouble: Trouble) -> str:
    if _TWICE.search(trouble.text):
        return "one request named the same member twice; report this as a mistake of the connector"
    if _LAST_OWNER.search(trouble.text):
        return "the last owner who is a user cannot be removed; name another one besides, and remove this one then"
    if _PASSWORD.search(trouble.text):
        return "the tenant's password policy refused the new password; raise the length in `new passwords:`"
    named = _PROPERTY.search(trouble.text)
    if trouble.status in (405, 501):
        return "Graph does not offer this for such objects"
    return f"the tenant refuses the value of {named['name']}; correct it in the mapping" if named else _WORDS[Sense.REFUSED][1]


def failed(change: Change, error: Trouble | ValueError) -> Result:
    """What came of a change that was refused, by the tenant or before it was asked."""
    doing = f"{change.label}: {change.operation.value}"
    if isinstance(error, Trouble):
        kind, detail = outcome(error, doing)
        wait = error.wait or timedelta(seconds=10) if kind is Outcome.RETRY else None
        return Result(id=change.id, outcome=kind, detail=detail, retry_after=wait)
    return Result(id=change.id, outcome=Outcome.REJECTED, detail=f"{doing}: {error}")
