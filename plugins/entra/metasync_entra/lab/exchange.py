"""Exchange Online's admin endpoint, as far as mail contacts go: InvokeCommand with four cmdlets. Graph shows later what they did."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from metasync_entra.lab.messages import Answer, Refused, Request
from metasync_entra.lab.rules import ACCESS_TOKEN, INVOKE_COMMAND, NOT_REACHED, PERMISSION
from metasync_entra.lab.state import Conflict
from metasync_entra.lab.tenant import Tenant
from metasync_entra.lab.tokens import TokenService

ROLE = "Exchange.ManageAsApp"
_PATH = re.compile(r"/adminapi/beta/([^/]+)/InvokeCommand", re.IGNORECASE)
_WRITABLE = ("Name", "DisplayName", "FirstName", "LastName", "Alias", "ExternalEmailAddress", "Company", "Department", "Title")
_GRAPH: Mapping[str, str] = {
    "DisplayName": "displayName",
    "FirstName": "givenName",
    "LastName": "surname",
    "Alias": "mailNickname",
    "Company": "companyName",
    "Department": "department",
    "Title": "jobTitle",
}


@dataclass(slots=True)
class Exchange:
    """The mail contacts, and what of them is on its way to the directory."""

    tenant: Tenant
    tokens: TokenService
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """By the id that the directory has them under, once it has."""
    waiting: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def settle(self) -> None:
        """Let what is due reach the directory."""
        now = self.tenant.clock.now()
        due = [id_ for moment, id_ in self.waiting if moment <= now]
        self.waiting = [(moment, id_) for moment, id_ in self.waiting if moment > now]
        for id_ in due:
            self._bring(id_)

    def serve(self, request: Request) -> Answer:
        """Answer one request."""
        with self.tenant.lock:
            try:
                answer = self._invoke(request)
            except Refused as refused:
                answer = refused.answer(self.tenant.clock.now())
            self.settle()
            self.tenant.calls["POST InvokeCommand"] += 1
            return answer

    def _invoke(self, request: Request) -> Answer:
        found = _PATH.fullmatch(request.path)
        if found is None or request.method != "POST" or found[1].casefold() not in {self.tenant.id, *self.tenant.directory.domains}:
            raise Refused(INVOKE_COMMAND, 404, "NotFound", "There is no such resource.")
        self._authorise(request)
        name, parameters = _cmdlet(request)
        cmdlets: Mapping[str, Callable[[Mapping[str, Any], Request], Answer]] = {
            "get-mailcontact": self._get,
            "new-mailcontact": self._new,
            "set-mailcontact": self._set,
            "remove-mailcontact": self._remove,
        }
        cmdlet = cmdlets.get(name.casefold())
        if cmdlet is None:
            raise Refused(NOT_REACHED, 501, "NotImplemented", f"The lab tenant does not know the cmdlet {name}.")
        return cmdlet(parameters, request)

    def _authorise(self, request: Request) -> None:
        claims = self.tokens.claims(request.headers.get("authorization", "").removeprefix("Bearer ").strip())
        now = self.tenant.clock.now()
        audiences = ("https://outlook.office365.com", self.tenant.exchange_url)
        if claims is None or claims["aud"].rstrip("/") not in audiences or claims["tid"] != self.tenant.id or now >= claims["exp"]:
            raise Refused(ACCESS_TOKEN, 401, "Unauthorized", "The access token is missing, expired or for another resource.")
        if ROLE not in claims["roles"]:
            raise Refused(PERMISSION, 403, "Forbidden", "The role assigned to the application isn't supported in this scenario.")

    # --- the cmdlets --------------------------------------------------------------------------------------------------------------------

    def _get(self, parameters: Mapping[str, Any], request: Request) -> Answer:
        if "Identity" in parameters:
            return self._shown([self._find(parameters)])
        rows = [row for _, row in sorted(self.contacts.items())]
        asked = re.search(r"odata\.maxpagesize=(\d+)", request.headers.get("prefer", ""))
        size, start = int(asked[1]) if asked else 1_000, int(request.query.get("$skiptoken", "0"))
        return self._shown(rows[start : start + size], start + size if start + size < len(rows) else None)

    def _new(self, parameters: Mapping[str, Any], request: Request) -> Answer:
        name, address = parameters.get("Name"), _address(parameters)
        if not isinstance(name, str) or address is None:
            raise _wrong("New-MailContact needs Name and ExternalEmailAddress.")
        if any(row["Name"].casefold() == name.casefold() for row in self.contacts.values()):
            raise _wrong(f"The object '{name}' already exists.")
        if self._taken(address, None):
            raise _wrong(f"The proxy address SMTP:{address} is already being used.")
        id_ = str(uuid.uuid4())
        row = {one: parameters[one] for one in _WRITABLE if one in parameters}
        row |= {"ExternalEmailAddress": f"SMTP:{address}", "ExternalDirectoryObjectId": id_, "Guid": str(uuid.uuid4()), "Identity": name}
        row.setdefault("DisplayName", name)
        row.setdefault("Alias", re.sub(r"[^A-Za-z0-9._-]", "", name) or "contact")
        self.contacts[id_] = row
        self._wait(id_)
        return self._shown([row])

    def _set(self, parameters: Mapping[str, Any], request: Request) -> Answer:
        row = self._find(parameters)
        changes = {one: parameters[one] for one in _WRITABLE if one in parameters}
        if "ExternalEmailAddress" in changes:
            address = _address(parameters)
            if address is None or self._taken(address, row["ExternalDirectoryObjectId"]):
                raise _wrong(f"The address {parameters['ExternalEmailAddress']} cannot be used.")
            changes["ExternalEmailAddress"] = f"SMTP:{address}"
        row.update(changes)
        self._wait(row["ExternalDirectoryObjectId"])
        return self._shown([])

    def _remove(self, parameters: Mapping[str, Any], request: Request) -> Answer:
        id_ = self._find(parameters)["ExternalDirectoryObjectId"]
        del self.contacts[id_]
        self._wait(id_)
        return self._shown([])

    # --- beneath ------------------------------------------------------------------------------------------------------------------------

    def _find(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        wanted = str(parameters.get("Identity", "")).casefold()
        for row in self.contacts.values():
            names = (
                row["Name"],
                row["Alias"],
                row["Guid"],
                row["ExternalDirectoryObjectId"],
                row["ExternalEmailAddress"].partition(":")[2],
            )
            if wanted in (str(one).casefold() for one in names):
                return row
        message = f"The operation couldn't be performed because object '{parameters.get('Identity')}' couldn't be found."
        raise Refused(INVOKE_COMMAND, 404, "NotFound", message)

    def _taken(self, address: str, but: str | None) -> bool:
        if any(row["ExternalEmailAddress"].casefold() == f"smtp:{address}".casefold() for id_, row in self.contacts.items() if id_ != but):
            return True
        return self.tenant.directory.holder("orgContact", {"mail": address}, but) is not None

    def _wait(self, id_: str) -> None:
        self.waiting.append((self.tenant.clock.now() + self.tenant.settings.exchange_lag, id_))

    def _bring(self, id_: str) -> None:
        """Make, change or delete the contact in the directory as Exchange has it now."""
        directory, row = self.tenant.directory, self.contacts.get(id_)
        thing = directory.live.get(id_)
        if row is None:
            if thing is not None:
                directory.delete(thing)
            return
        fields = {graph: row[name] for name, graph in _GRAPH.items() if row.get(name)}
        address = row["ExternalEmailAddress"].partition(":")[2]
        fields |= {"mail": address, "proxyAddresses": [f"SMTP:{address}"]}
        try:
            if thing is None:
                directory.create("orgContact", fields, id_)
            else:
                directory.update(thing, fields)
        except Conflict:
            # The address was taken meanwhile: the service keeps such a contact out of the directory, too.
            return

    def _shown(self, rows: list[dict[str, Any]], following: int | None = None) -> Answer:
        base = f"{self.tenant.exchange_url}/adminapi/beta/{self.tenant.id}"
        content: dict[str, Any] = {"@odata.context": f"{base}/$metadata#Collection(Exchange.GenericHashTable)", "@adminapi.warnings": []}
        if following is not None:
            content["@odata.nextLink"] = f"{base}/InvokeCommand?$skiptoken={following}"
        return Answer(status=200, content={**content, "value": rows}, kind="application/json")


def _cmdlet(request: Request) -> tuple[str, dict[str, Any]]:
    try:
        wanted = orjson.loads(request.body)["CmdletInput"]
        name, parameters = wanted["CmdletName"], wanted.get("Parameters") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _wrong("The body has no CmdletInput with a CmdletName.") from None
    if not isinstance(name, str) or not isinstance(parameters, dict):
        raise _wrong("The body has no CmdletInput with a CmdletName.")
    return name, parameters


def _address(parameters: Mapping[str, Any]) -> str | None:
    value = parameters.get("ExternalEmailAddress")
    if not isinstance(value, str):
        return None
    address = value.removeprefix("SMTP:")
    return address if re.fullmatch(r"[^@\s]+@[^@\s]+", address) else None


def _wrong(message: str) -> Refused:
    return Refused(INVOKE_COMMAND, 400, "BadRequest", message)
