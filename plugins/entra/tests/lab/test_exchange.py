"""Mail contacts by Exchange's admin endpoint, and when Graph shows them."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from metasync_entra.lab import Lab, rules


@pytest.fixture
def invoke(lab: Lab, graph: Any) -> Any:
    token = graph.token(scope=f"{lab.exchange_url}/.default").json()["access_token"]

    def call(name: str, headers: dict[str, str] | None = None, url: str | None = None, **parameters: Any) -> requests.Response:
        body = {"CmdletInput": {"CmdletName": name, "Parameters": parameters}}
        whole = {"Authorization": f"Bearer {token}", **(headers or {})}
        answer: requests.Response = graph.session.post(
            url or f"{lab.exchange_url}/adminapi/beta/{lab.tenant_id}/InvokeCommand", json=body, headers=whole
        )
        return answer

    return call


def test_a_contact_is_made_changed_and_removed_and_graph_follows_after_a_while(lab: Lab, graph: Any, invoke: Any) -> None:
    lab.control.clock(freeze=True)
    lab.control.set(exchange_lag=60.0)
    _, link = graph.round("/contacts/delta", select="displayName,mail")
    made = invoke("New-MailContact", Name="Eve", ExternalEmailAddress="eve@partner.example", FirstName="Eve")
    assert made.status_code == 200, made.text
    assert made.json()["@adminapi.warnings"] == [], rules.INVOKE_COMMAND
    id_ = made.json()["value"][0]["ExternalDirectoryObjectId"]
    assert graph.rows("/contacts") == []
    lab.control.clock(advance=61)
    rows, link = graph.round(link)
    assert rows == [{"id": id_, "displayName": "Eve", "mail": "eve@partner.example"}]
    assert graph.get(f"/contacts/{id_}").json()["proxyAddresses"] == ["SMTP:eve@partner.example"]
    assert invoke("Set-MailContact", Identity=id_, DisplayName="Eve of Partner").status_code == 200
    assert invoke("Get-MailContact", Identity="Eve").json()["value"][0]["DisplayName"] == "Eve of Partner"
    lab.control.clock(advance=61)
    assert [row["displayName"] for row in graph.rows("/contacts")] == ["Eve of Partner"]
    assert invoke("Remove-MailContact", Identity="Eve").status_code == 200
    lab.control.clock(advance=61)
    assert [row["@removed"] for row in graph.round(link)[0]] == [{"reason": "deleted"}]


def test_pages(invoke: Any) -> None:
    for number in range(5):
        invoke("New-MailContact", Name=f"c{number}", ExternalEmailAddress=f"c{number}@partner.example")
    prefer = {"Prefer": "odata.maxpagesize=2"}
    answer, found = invoke("Get-MailContact", prefer), []
    while True:
        found += [row["Name"] for row in answer.json()["value"]]
        if "@odata.nextLink" not in answer.json():
            break
        answer = invoke("Get-MailContact", prefer, answer.json()["@odata.nextLink"])
    assert sorted(found) == [f"c{number}" for number in range(5)]


def test_refusals(lab: Lab, graph: Any, invoke: Any, refused: Any) -> None:
    graph.user(mail="taken@contoso.com")
    refused(invoke("New-MailContact", Name="x"), rules.INVOKE_COMMAND, 400)
    refused(
        invoke("New-MailContact", Name="x", ExternalEmailAddress="taken@contoso.com"), rules.INVOKE_COMMAND, 400, text="already being used"
    )
    refused(invoke("Get-MailContact", Identity="nobody"), rules.INVOKE_COMMAND, 404)
    refused(invoke("Get-Mailbox"), rules.NOT_REACHED, 501)
    refused(invoke("Get-MailContact", {"Authorization": graph.session.headers["Authorization"]}), rules.ACCESS_TOKEN, 401)
    lab.control.grant(["OrgContact.Read.All"])
    token = graph.token(scope="https://outlook.office365.com/.default").json()["access_token"]
    refused(invoke("Get-MailContact", {"Authorization": f"Bearer {token}"}), rules.PERMISSION, 403)
