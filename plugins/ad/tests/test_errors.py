"""Refusals in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from metasync.contract import Change, Kind, NotTrusted, Operation, Outcome, Unavailable
from metasync_ad import errors
from metasync_ad.errors import Refused


@pytest.mark.parametrize(
    ("code", "text", "outcome", "words"),
    [
        (68, "00002071: samldb: Account name (sAMAccountName) 'x' already in use!", Outcome.CONFLICT, "sAMAccountName"),
        (68, "Entry already exists", Outcome.CONFLICT, "already"),
        (19, "0000202F: UPN", Outcome.CONFLICT, "userPrincipalName"),
        (19, "0000052D: Constraint violation - check_password_restrictions", Outcome.REJECTED, "password policy"),
        (50, "00000005: insufficient access rights", Outcome.REJECTED, "delegate"),
        (51, "busy", Outcome.RETRY, "busy"),
        (53, "00002145: SvcErr: DSID-031A120C, problem 5003", Outcome.REJECTED, "choose another groupScope"),
        (66, "00002015: subtree_delete", Outcome.REJECTED, "delete or move those first"),
        (32, "00002030: No such object", Outcome.REJECTED, "container does not exist"),
        (32, "00000525: specified dn doesn't exist", Outcome.CONFLICT, "does not exist"),
        (53, "00002010: SvcErr: DSID-031A1202, problem 5003 (WILL_NOT_PERFORM), data 0", Outcome.RETRY, "RID master"),
        (11, "00002024: SvcErr: DSID-02050BBD, problem 5008 (ADMIN_LIMIT_EXCEEDED), data -1026", Outcome.REJECTED, "values in one"),
        (10, "0000202B: RefErr: DSID-0310082F, data 0, 1 access points", Outcome.REJECTED, "read-only controller"),
        (53, "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0", Outcome.REJECTED, "`new passwords:`"),
        (64, "00002099: NameErr: DSID-0305109C, problem 2005 (NAMING_VIOLATION)", Outcome.REJECTED, "`place:`"),
        (99, "what is this", Outcome.REJECTED, "refused"),
    ],
)
def test_a_refusal_is_classified_by_ldap_and_win32_code(code: int, text: str, outcome: Outcome, words: str) -> None:
    found, said = errors.outcome(Refused(code, "name", text), "creating x")
    assert found is outcome
    assert words in said and said.startswith("creating x: ") and f"LDAP {code}" in said


def test_an_unknown_win32_code_falls_back_to_the_ldap_code() -> None:
    assert errors.outcome(Refused(68, "entryAlreadyExists", "0000ABCD: new in the next Windows"), "x")[0] is Outcome.CONFLICT


@pytest.mark.parametrize(("operation", "said"), [(Operation.DELETE, True), (Operation.MOVE, True), (Operation.UPDATE, False)])
def test_what_is_protected_from_accidental_deletion_is_thought_of(operation: Operation, said: bool) -> None:
    change = Change(id="1", operation=operation, kind=Kind.CONTAINER, anchor="x", label="OU", tag="t")
    found = errors.failed(change, Refused(50, "insufficientAccessRights", "00000005: SecErr: DSID-03152612, problem 4003"))
    assert found.outcome is Outcome.REJECTED and ("accidental deletion" in found.detail) is said


def test_a_retry_says_when() -> None:
    assert errors.result("1", Refused(51, "busy", ""), "x").retry_after == timedelta(seconds=10)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("52e", "password is wrong"),
        ("525", "no such account"),
        ("530", "time of day"),
        ("532", "password has expired"),
        ("533", "disabled"),
        ("701", "account has expired"),
        ("773", "must change"),
        ("775", "locked"),
        ("80090346", "load balancer"),
    ],
)
def test_a_refused_sign_in_says_why(code: str, words: str) -> None:
    text = f"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {code}, v1db1"
    said = str(errors.sign_in(text, "svc@contoso.test", "dc1"))
    assert words in said and "svc@contoso.test" in said and "dc1" in said


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (
            "socket ssl wrapping error: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate",
            NotTrusted,
            "ca file",
        ),
        ("certificate verify failed: certificate has expired", NotTrusted, "has expired"),
        ("certificate verify failed: IP address mismatch, certificate is not valid for '127.0.0.1'.", NotTrusted, "certificate name"),
        ("socket connection error while opening: [Errno 111] Connection refused", Unavailable, "port 636"),
        ("socket connection error while opening: timed out", Unavailable, "connect timeout"),
        ("invalid server address", Unavailable, "is unknown"),
        ("something else", Unavailable, "cannot be reached"),
    ],
)
def test_a_line_that_cannot_be_had_says_what_to_do(text: str, kind: type[Unavailable], words: str) -> None:
    error = errors.connecting(OSError(text), "dc1.contoso.test", 636)
    assert type(error) is kind
    assert words in str(error)
