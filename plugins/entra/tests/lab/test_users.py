"""Writing users: every rule of what Graph takes, and what it answers."""

from __future__ import annotations

from typing import Any

import pytest

from metasync_entra.lab import Lab, rules
from metasync_entra.lab.rules import Rule

MASTERED = (
    "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration."
)


def test_creation_answers_default_properties_alone(graph: Any, refused: Any) -> None:
    answer = graph.call("POST", "/users", json={**refused.new_user(), "department": "Research", "employeeId": "7"})
    assert answer.status_code == 201
    assert answer.headers["Location"]
    content = answer.json()
    assert content["@odata.context"].endswith("/$metadata#users/$entity")
    assert "department" not in content
    assert "passwordProfile" not in content
    shown = graph.get(f"/users/{content['id']}", select="department,employeeId,userType,accountEnabled,createdDateTime").json()
    assert (shown["department"], shown["employeeId"], shown["userType"], shown["accountEnabled"]) == ("Research", "7", "Member", True)
    assert shown["createdDateTime"].endswith("Z")


@pytest.mark.parametrize("name", ["accountEnabled", "displayName", "mailNickname", "passwordProfile", "userPrincipalName"])
def test_what_a_user_cannot_do_without(graph: Any, refused: Any, name: str) -> None:
    body = refused.new_user()
    del body[name]
    refused(graph.call("POST", "/users", json=body), rules.REQUIRED, 400, "Request_BadRequest", name)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"userPrincipalName": "a b@contoso.com"}, rules.UPN_CHARACTERS),
        ({"userPrincipalName": "müller@contoso.com"}, rules.UPN_CHARACTERS),
        ({"userPrincipalName": "ada"}, rules.UPN_CHARACTERS),
        ({"userPrincipalName": "ada@elsewhere.example"}, rules.UPN_DOMAIN),
        ({"displayName": None}, rules.NOT_CLEARED),
        ({"displayName": "x" * 257}, rules.TOO_LONG),
        ({"employeeId": "x" * 17}, rules.TOO_LONG),
        ({"givenName": "x" * 65}, rules.TOO_LONG),
        ({"businessPhones": ["1", "2"]}, rules.ONE_PHONE),
        ({"usageLocation": "Germany"}, rules.USAGE_LOCATION),
        ({"onPremisesImmutableId": "a_b"}, rules.IMMUTABLE_ID),
        ({"onPremisesImmutableId": "a$b"}, rules.IMMUTABLE_ID),
        ({"proxyAddresses": ["smtp:x@contoso.com"]}, rules.READ_ONLY),
        ({"id": "x"}, rules.READ_ONLY),
        ({"onPremisesSyncEnabled": True}, rules.READ_ONLY),
        ({"nothing": 1}, rules.PROPERTY),
        ({"accountEnabled": "yes"}, rules.PROPERTY_TYPE),
        ({"givenName": 5}, rules.PROPERTY_TYPE),
        ({"employeeHireDate": "tomorrow"}, rules.PROPERTY_TYPE),
        ({"otherMails": "a@b.example"}, rules.PROPERTY_TYPE),
        ({"extension_abc_x": "1"}, rules.EXTENSION),
    ],
)
def test_values_that_are_refused(graph: Any, refused: Any, change: dict[str, Any], rule: Rule) -> None:
    id_ = graph.user()
    refused(graph.call("PATCH", f"/users/{id_}", json=change), rule, 400, "Request_BadRequest")
    if None not in change.values():
        refused(graph.call("POST", "/users", json={**refused.new_user("bob"), **change}), rule, 400, "Request_BadRequest")


def test_names_and_addresses_are_unique_without_regard_to_case(graph: Any, refused: Any) -> None:
    first = graph.user("ada", mail="ada@mail.example", onPremisesImmutableId="AAAA")
    answer = graph.call("POST", "/users", json={**refused.new_user("ADA")})
    refused(answer, rules.UNIQUE, 400, "Request_BadRequest")
    assert answer.json()["error"]["message"] == "Another object with the same value for property userPrincipalName already exists."
    assert answer.json()["error"]["details"] == [{"target": "userPrincipalName", "code": "ObjectConflict"}]
    refused(
        graph.call("POST", "/users", json={**refused.new_user("bob"), "mail": "Ada@Mail.example"}), rules.UNIQUE, 400, text="proxyAddresses"
    )
    refused(graph.call("POST", "/users", json={**refused.new_user("bob"), "onPremisesImmutableId": "AAAA"}), rules.UNIQUE, 400)
    bob = graph.user("bob")
    refused(graph.call("PATCH", f"/users/{bob}", json={"userPrincipalName": "ada@contoso.com"}), rules.UNIQUE, 400)
    assert graph.get(f"/users/{bob}").json()["userPrincipalName"] == "bob@contoso.com"
    assert graph.call("PATCH", f"/users/{first}", json={"userPrincipalName": "ADA@contoso.com"}).status_code == 204


def test_mail_is_the_primary_address(lab: Lab, graph: Any) -> None:
    id_ = graph.user(mail="one@contoso.com")
    assert lab.control.read(id_)["fields"]["proxyAddresses"] == ["SMTP:one@contoso.com"], rules.SMTP
    assert graph.call("PATCH", f"/users/{id_}", json={"mail": "two@contoso.com"}).status_code == 204
    assert graph.get(f"/users/{id_}", select="proxyAddresses").json()["proxyAddresses"] == ["SMTP:two@contoso.com", "smtp:one@contoso.com"]


def test_a_patch_answers_nothing_and_clears_by_null(graph: Any) -> None:
    id_ = graph.user(givenName="Ada")
    answer = graph.call("PATCH", f"/users/{id_}", json={"givenName": None, "jobTitle": "Boss", "businessPhones": ["+49 1"]})
    assert (answer.status_code, answer.content) == (204, b"")
    found = graph.get(f"/users/{id_}").json()
    assert (found["givenName"], found["jobTitle"], found["businessPhones"]) == (None, "Boss", ["+49 1"])


def test_extension_attributes_are_changed_one_by_one(graph: Any) -> None:
    id_ = graph.user(onPremisesExtensionAttributes={"extensionAttribute1": "a", "extensionAttribute2": "b"})
    assert graph.call("PATCH", f"/users/{id_}", json={"onPremisesExtensionAttributes": {"extensionAttribute2": "c"}}).status_code == 204
    found = graph.get(f"/users/{id_}", select="onPremisesExtensionAttributes").json()["onPremisesExtensionAttributes"]
    assert (found["extensionAttribute1"], found["extensionAttribute2"]) == ("a", "c")


def test_what_is_mastered_on_premises_is_refused_until_its_authority_moves(lab: Lab, graph: Any, refused: Any) -> None:
    id_ = lab.control.create(
        "user",
        {
            "userPrincipalName": "sync@contoso.com",
            "displayName": "S",
            "mailNickname": "s",
            "accountEnabled": True,
            "onPremisesSyncEnabled": True,
        },
    )
    refused(graph.call("PATCH", f"/users/{id_}", json={"givenName": "x"}), rules.MASTERED, 400, "Request_BadRequest", MASTERED)
    refused(graph.call("DELETE", f"/users/{id_}"), rules.MASTERED, 400)
    assert graph.call("PATCH", f"/users/{id_}", json={"usageLocation": "DE"}).status_code == 204
    behaviour = f"/users/{id_}/onPremisesSyncBehavior"
    assert graph.get(behaviour).json()["isCloudManaged"] is False
    assert graph.call("PATCH", behaviour, json={"isCloudManaged": True}).status_code == 204, rules.SOURCE_OF_AUTHORITY
    assert graph.get(behaviour).json()["isCloudManaged"] is True
    assert graph.call("PATCH", f"/users/{id_}", json={"givenName": "x"}).status_code == 204


def test_clearing_the_immutable_id_is_refused_by_a_setting(lab: Lab, graph: Any, refused: Any) -> None:
    id_ = graph.user(onPremisesImmutableId="AAAA")
    lab.control.set(keep_immutable_id=True)
    refused(graph.call("PATCH", f"/users/{id_}", json={"onPremisesImmutableId": None}), rules.IMMUTABLE_ID_CLEAR, 400)
    lab.control.set(keep_immutable_id=False)
    assert graph.call("PATCH", f"/users/{id_}", json={"onPremisesImmutableId": None}).status_code == 204


def test_a_federated_domain_wants_the_immutable_id(lab: Lab, graph: Any, refused: Any) -> None:
    lab.control.domain("fed.example", federated=True)
    body = {**refused.new_user(), "userPrincipalName": "ada@fed.example"}
    refused(graph.call("POST", "/users", json=body), rules.FEDERATED, 400)
    assert graph.call("POST", "/users", json={**body, "onPremisesImmutableId": "AAAA"}).status_code == 201


def test_a_password_is_no_value_that_is_read_and_needs_a_permission_of_its_own(lab: Lab, graph: Any, refused: Any) -> None:
    id_ = graph.user()
    refused(graph.call("POST", "/users", json={**refused.new_user("bob"), "passwordProfile": {}}), rules.REQUIRED, 400)
    lab.control.clock(advance=60)
    assert graph.call("PATCH", f"/users/{id_}", json={"passwordProfile": {"password": "another one"}}).status_code == 204
    fields = lab.control.read(id_)["fields"]
    assert "passwordProfile" not in fields
    assert fields["lastPasswordChangeDateTime"] > fields["createdDateTime"]
    lab.control.grant(["User.ReadWrite.All"])
    graph.sign_in()
    refused(graph.call("PATCH", f"/users/{id_}", json={"passwordProfile": {"password": "x"}}), rules.PASSWORD, 403)


def test_managers(lab: Lab, graph: Any, refused: Any) -> None:
    boss, ada, group = graph.user("boss"), graph.user("ada"), graph.group()
    refused(graph.get(f"/users/{ada}/manager"), rules.NOT_FOUND, 404)
    assert graph.call("PUT", f"/users/{ada}/manager/$ref", json={"@odata.id": f"{graph.base}/users/{boss}"}).status_code == 204
    assert graph.get(f"/users/{ada}/manager").json()["id"] == boss
    refused(graph.call("PUT", f"/users/{ada}/manager/$ref", json=graph.ref(group)), rules.MANAGER, 400)
    refused(
        graph.call("PUT", f"/users/{ada}/manager/$ref", json={"@odata.id": "https://elsewhere.example/v1.0/users/" + boss}),
        rules.REFERENCE,
        400,
    )
    (contact,) = lab.control.seed(contacts=1)["contacts"]
    assert graph.call("PUT", f"/users/{ada}/manager/$ref", json=graph.ref(contact)).status_code == 204
    assert lab.control.read(ada)["manager"] == [contact], "it takes the place of the one before"
    assert graph.call("DELETE", f"/users/{ada}/manager/$ref").status_code == 204
    refused(graph.call("DELETE", f"/users/{ada}/manager/$ref"), rules.NOT_FOUND, 404)


def test_guests(lab: Lab, graph: Any, refused: Any) -> None:
    body = {"invitedUserEmailAddress": "eve@partner.example", "inviteRedirectUrl": "https://contoso.com", "sendInvitationMessage": False}
    answer = graph.call("POST", "/invitations", json=body)
    assert answer.status_code == 201, rules.INVITATION
    guest = graph.get(f"/users/{answer.json()['invitedUser']['id']}", select="userPrincipalName,userType,mail,proxyAddresses").json()
    assert guest["userPrincipalName"] == "eve_partner.example#EXT#@contoso.onmicrosoft.com"
    assert (guest["userType"], guest["mail"]) == ("Guest", "eve@partner.example")
    refused(graph.call("POST", "/invitations", json={**body, "invitedUserEmailAddress": "eve"}), rules.INVITATION, 400)
    for address in ("eve+list@partner.example", ".eve@partner.example", "e ve@partner.example"):
        refused(graph.call("POST", "/invitations", json={**body, "invitedUserEmailAddress": address}), rules.INVITED_ADDRESS, 400)
    refused(graph.call("POST", "/invitations", json=body), rules.UNIQUE, 400)


def test_directory_extensions_are_defined_then_written(lab: Lab, graph: Any) -> None:
    app = f"/applications(appId='{lab.client_id}')/extensionProperties"
    made = graph.call("POST", app, json={"name": "anchor", "dataType": "String", "targetObjects": ["User"]})
    assert made.status_code == 201, made.text
    name = made.json()["name"]
    assert name == f"extension_{lab.client_id.replace('-', '')}_anchor"
    assert [one["name"] for one in graph.get(app).json()["value"]] == [name]
    id_ = graph.user(**{name: "guid-1"})
    assert graph.get(f"/users/{id_}", select=f"id,{name}").json()[name] == "guid-1"
    assert [row["id"] for row in graph.rows("/users", filter=f"{name} eq 'guid-1'")] == [id_]


def test_a_tenant_that_is_full(lab: Lab, graph: Any, refused: Any) -> None:
    id_ = graph.user("one")
    lab.control.set(quota=1)
    refused(graph.call("POST", "/users", json=refused.new_user("two")), rules.QUOTA, 403, "Directory_QuotaExceeded")
    graph.call("DELETE", f"/users/{id_}")
    refused(graph.call("POST", "/users", json=refused.new_user("two")), rules.QUOTA, 403)
    graph.call("DELETE", f"/directory/deletedItems/{id_}")
    assert graph.call("POST", "/users", json=refused.new_user("two")).status_code == 201


def test_bindings_of_users_are_not_reached(graph: Any, refused: Any) -> None:
    boss = graph.user("boss")
    body = {**refused.new_user(), "manager@odata.bind": f"{graph.base}/users/{boss}"}
    refused(graph.call("POST", "/users", json=body), rules.NOT_REACHED, 501)


def test_contacts_are_read_only(lab: Lab, graph: Any, refused: Any) -> None:
    (contact,) = lab.control.seed(contacts=1)["contacts"]
    assert graph.get(f"/contacts/{contact}").json()["mail"] == "contact0@partner.example"
    assert len(graph.rows("/contacts", select="id,displayName,mail")) == 1
    for method, path in (("POST", "/contacts"), ("PATCH", f"/contacts/{contact}"), ("DELETE", f"/contacts/{contact}")):
        refused(graph.call(method, path, json={}), rules.CONTACT_READ_ONLY, 405)
