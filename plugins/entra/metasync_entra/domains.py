"""The tenant's domains: what a sign-in name may end in, and which of them are federated."""

from __future__ import annotations

from collections.abc import Mapping

from metasync.contract import Values
from metasync_entra import calls
from metasync_entra.session import Session


class Domains:
    """Read once (`GET /organization`, verifiedDomains); where the application may not, nothing is known and Graph itself refuses."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._federated: dict[str, bool] | None = None
        self.tenant: Mapping[str, object] = {}
        self.readable = True

    @property
    def federated(self) -> dict[str, bool]:
        """Domain in lower case -> is it federated?"""
        if self._federated is None:
            self._federated = self._read()
        return self._federated

    def _read(self) -> dict[str, bool]:
        answer = self._session.ask(calls.get("/organization?$select=id,displayName,verifiedDomains"))
        values = answer.fields.get("value")
        if answer.trouble is not None or not isinstance(values, list) or not values or not isinstance(values[0], dict):
            self.readable = False
            return {}
        self.tenant = values[0]
        found: dict[str, bool] = {}
        for one in values[0].get("verifiedDomains") or ():
            if isinstance(one, dict) and isinstance(one.get("name"), str):
                found[one["name"].casefold()] = str(one.get("type") or "").casefold() == "federated"
        return found

    def check_name(self, name: str, before: str | None, immutable: Values | None) -> None:
        """A sign-in name that is to be given. Raises `ValueError` with what is wrong with it."""
        local, at, suffix = name.rpartition("@")
        if not at or not local or not suffix:
            raise ValueError(f"userPrincipalName {name!r} has no @ between a name and a domain; correct it in the mapping")
        wrong = sorted({character for character in local if not (character.isascii() and (character.isalnum() or character in "'.-_!#^~"))})
        if wrong:
            raise ValueError(
                f"userPrincipalName {name!r} holds {' '.join(wrong)}, which Entra ID does not take; replace it with `ascii` or `replace`"
            )
        if not self.federated:
            return
        federated = self.federated.get(suffix.casefold())
        if federated is None:
            known = ", ".join(sorted(self.federated)[:5])
            raise ValueError(
                f"{suffix} is no verified domain of the tenant ({known}); verify it there, or correct userPrincipalName in the mapping"
            )
        was = self.federated.get((before or "").rpartition("@")[2].casefold(), False)
        if before is not None and was and federated and before.rpartition("@")[2].casefold() != suffix.casefold():
            raise ValueError(
                f"Graph does not move somebody from one federated domain to another ({before} to {name}); rename to a managed domain first"
            )
        if before is None and federated and not immutable:
            raise ValueError(f"{suffix} is federated: a new account needs onPremisesImmutableId; add it to the mapping")
