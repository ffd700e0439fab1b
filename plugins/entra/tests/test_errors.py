"""What answers mean."""

from __future__ import annotations

from datetime import timedelta

import pytest

from metasync.contract import Change, Kind, Operation, Outcome
from metasync_entra import errors
from metasync_entra.errors import Sense, Trouble, sense

ALREADY = "One or more added object references already exist for the following modified properties: 'members'."
MASTERED = (
    "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration."
)
NOWHERE = "Resource 'x' does not exist or one of its queried reference-property objects are not present."


@pytest.mark.parametrize(
    ("status", "code", "text", "meant"),
    [
        (200, "", "", Sense.FINE),
        (204, "", "", Sense.FINE),
        (400, "Request_BadRequest", ALREADY, Sense.ALREADY),
        (404, "Request_ResourceNotFound", NOWHERE, Sense.MISSING),
        (400, "Request_ResourceNotFound", "", Sense.MISSING),
        (400, "Request_BadRequest", "One or more removed object references do not exist for 'members'.", Sense.MISSING),
        (400, "", "The source resource object or one of the objects being referenced do not exist.", Sense.MISSING),
        (400, "Request_BadRequest", "Another object with the same value for property userPrincipalName already exists.", Sense.TAKEN),
        (409, "", "", Sense.TAKEN),
        (409, "Directory_ConcurrencyViolation", "", Sense.BUSY),
        (503, "Directory_ConcurrencyViolation", "", Sense.BROKEN),
        (400, "Request_BadRequest", MASTERED, Sense.MASTERED),
        (403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.", Sense.FORBIDDEN),
        (401, "InvalidAuthenticationToken", "", Sense.SIGN_IN),
        (400, "syncStateNotFound", "", Sense.EXPIRED),
        (410, "SyncStateNotFound", "", Sense.EXPIRED),
        (410, "", "", Sense.EXPIRED),
        (429, "TooManyRequests", "", Sense.BUSY),
        (500, "", "", Sense.BROKEN),
        (503, "", "", Sense.BROKEN),
        (504, "", "", Sense.BROKEN),
        (0, "", "", Sense.LOST),
        (400, "Request_BadRequest", "Invalid value specified for property 'usageLocation' of resource 'User'.", Sense.REFUSED),
        (405, "", "", Sense.REFUSED),
    ],
)
def test_an_answer_has_one_meaning(status: int, code: str, text: str, meant: Sense) -> None:
    assert sense(status, code, text) is meant
    assert sense(status, code.upper(), text) is meant


@pytest.mark.parametrize("meant", Sense)
def test_every_meaning_has_an_outcome(meant: Sense) -> None:
    assert meant in errors._WORDS


@pytest.mark.parametrize(
    ("trouble", "outcome", "words"),
    [
        (Trouble(status=400, text=MASTERED), Outcome.REJECTED, "source of authority|authority to the cloud"),
        (Trouble(status=409), Outcome.CONFLICT, "another object"),
        (Trouble(status=403), Outcome.REJECTED, "permission"),
        (Trouble(status=404), Outcome.CONFLICT, "import again"),
        (Trouble(status=429, wait=timedelta(seconds=3)), Outcome.RETRY, "patience"),
        (Trouble(status=504), Outcome.UNKNOWN, "not known"),
        (Trouble(status=0), Outcome.UNKNOWN, "not known"),
        (
            Trouble(status=400, text="Invalid value specified for property 'usageLocation' of resource 'User'."),
            Outcome.REJECTED,
            "usageLocation",
        ),
        (
            Trouble(status=400, text="The specified password does not comply with password complexity requirements."),
            Outcome.REJECTED,
            "new passwords",
        ),
    ],
)
def test_a_refused_change_says_what_to_do(trouble: Trouble, outcome: Outcome, words: str) -> None:
    change = Change(id="1", operation=Operation.UPDATE, kind=Kind.USER, anchor="x", label="Ann")
    result = errors.failed(change, trouble)
    assert result.outcome is outcome
    assert result.detail.startswith("Ann: update: ")
    import re

    assert re.search(words, result.detail)


def test_a_pause_is_handed_on() -> None:
    change = Change(id="1", operation=Operation.UPDATE, kind=Kind.USER, anchor="x", label="Ann")
    assert errors.failed(change, Trouble(status=429, wait=timedelta(seconds=2.5))).retry_after == timedelta(seconds=2.5)
    assert errors.failed(change, ValueError("too long")).outcome is Outcome.REJECTED
