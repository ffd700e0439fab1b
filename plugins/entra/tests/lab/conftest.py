"""A lab tenant for each test, and a client of it that shows what stands in an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from metasync_entra.lab import Lab, tenant
from metasync_entra.lab.rules import Rule, name_of


class Client:
    """Calls Graph with a token of its own."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(lab.ca_file)
        self.base = f"{lab.graph_url}/v1.0"
        self.sign_in()

    def sign_in(self, **form: str) -> None:
        answer = self.token(**form)
        assert answer.status_code == 200, answer.text
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def token(self, **form: str) -> requests.Response:
        whole = {
            "grant_type": "client_credentials",
            "client_id": self.lab.client_id,
            "client_secret": self.lab.client_secret,
            "scope": self.lab.scope,
            **form,
        }
        whole = {name: value for name, value in whole.items() if value}
        return self.session.post(f"{self.lab.authority}/oauth2/v2.0/token", data=whole, timeout=30)

    def call(self, method: str, path: str, json: Any = None, headers: dict[str, str] | None = None, **query: str) -> requests.Response:
        url = path if path.startswith("https:") else self.base + path
        named = {f"${name}": value for name, value in query.items()}
        return self.session.request(method, url, params=named, json=json, headers=headers, timeout=30)

    def get(self, path: str, headers: dict[str, str] | None = None, **query: str) -> requests.Response:
        return self.call("GET", path, headers=headers, **query)

    def rows(self, path: str, headers: dict[str, str] | None = None, **query: str) -> list[dict[str, Any]]:
        """All pages."""
        found: list[dict[str, Any]] = []
        answer = self.get(path, headers, **query)
        while True:
            assert answer.status_code == 200, answer.text
            found += answer.json()["value"]
            if "@odata.nextLink" not in answer.json():
                return found
            answer = self.get(answer.json()["@odata.nextLink"], headers)

    def round(self, link: str, headers: dict[str, str] | None = None, **query: str) -> tuple[list[dict[str, Any]], str]:
        """A whole delta round: (rows, deltaLink)."""
        found: list[dict[str, Any]] = []
        answer = self.get(link, headers, **query)
        while True:
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert ("@odata.nextLink" in page) != ("@odata.deltaLink" in page)
            found += page["value"]
            if "@odata.deltaLink" in page:
                return found, page["@odata.deltaLink"]
            answer = self.get(page["@odata.nextLink"], headers)

    def batch(self, *parts: dict[str, Any], status: int = 200) -> dict[str, dict[str, Any]]:
        """The answers of a batch, by id."""
        requests_ = [{"id": str(number), **part} for number, part in enumerate(parts, 1)]
        for part in requests_:
            if "body" in part:
                part.setdefault("headers", {"Content-Type": "application/json"})
        answer = self.call("POST", "/$batch", json={"requests": requests_})
        assert answer.status_code == status, answer.text
        return {one["id"]: one for one in answer.json()["responses"]}

    def user(self, name: str = "ada", **further: Any) -> str:
        """Make a user; its id."""
        answer = self.call("POST", "/users", json={**new_user(name), **further})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def group(self, name: str = "team", **further: Any) -> str:
        """Make a security group; its id."""
        body = {"displayName": name, "mailNickname": name, "mailEnabled": False, "securityEnabled": True, "groupTypes": [], **further}
        answer = self.call("POST", "/groups", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def ref(self, id_: str) -> dict[str, str]:
        """The body of a reference."""
        return {"@odata.id": f"{self.base}/directoryObjects/{id_}"}


def new_user(name: str = "ada") -> dict[str, Any]:
    return {
        "accountEnabled": True,
        "displayName": name,
        "mailNickname": name,
        "userPrincipalName": f"{name}@contoso.com",
        "passwordProfile": {"password": "correct horse"},
    }


class Refusals:
    """What a refusal looks like."""

    new_user = staticmethod(new_user)

    def __call__(self, answer: requests.Response, rule: Rule, status: int, code: str | None = None, text: str | None = None) -> None:
        assert answer.status_code == status, answer.text
        assert answer.headers["x-lab-rule"] == name_of(rule)
        error = answer.json()["error"]
        if isinstance(error, dict):
            assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
            assert code is None or error["code"] == code
            assert text is None or text in error["message"]
        else:
            assert code is None or error == code
            assert text is None or text in answer.json()["error_description"]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with tenant() as running:
        yield running


@pytest.fixture
def graph(lab: Lab) -> Client:
    return Client(lab)


@pytest.fixture
def refused() -> Refusals:
    return Refusals()
