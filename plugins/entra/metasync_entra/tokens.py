"""Access tokens: asked for once however many threads need one, kept in memory, and renewed when Graph says that one does not hold.

msal keeps them and knows when they end; what it lacks is that of many threads only one asks, and our words for what is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Mapping
from typing import Any

import msal
import requests
from msal.exceptions import MsalServiceError

from metasync.contract import Context, MetasyncError, SignInRefused, Unavailable
from metasync_entra import transport
from metasync_entra.credentials import credential
from metasync_entra.settings import Settings

_WORDS = {
    700016: "there is no such application in the tenant; correct `application` or `tenant`",
    7000215: "the client secret is wrong; make a new one in the app registration, and set the secret again",
    7000222: "the client secret has expired; make a new one in the app registration, and set the secret again",
    700027: "the tenant does not know the certificate, or the machine's clock is wrong; upload the certificate to the app registration",
    700024: "the sign-in came too early or too late; set the machine's clock right",
    70021: "no federated identity of the application fits; correct the app registration",
    90002: "there is no such tenant in this cloud; correct `tenant` or `cloud`",
    900023: "the tenant's name is not valid; correct `tenant`",
    1002012: "the sign-in host serves another cloud than Graph; correct `cloud`",
    500011: "the tenant knows no such Graph; correct `cloud` or `graph`",
    7000229: "the application has no service principal in the tenant; let an administrator consent to it",
    53003: "a Conditional Access policy of the tenant forbids it; exempt the application there",
    7000112: "the application is disabled in the tenant; enable it",
    70003: "the tenant's sign-in service does not take this kind of sign-in",
}
"""By the number of an AADSTS error. Source: https://learn.microsoft.com/entra/identity-platform/reference-error-codes"""


class Tokens:
    """The tokens of one application in one tenant."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self._settings, self._context = settings, context
        self._lock = threading.Lock()
        self._line: transport.Line | None = None
        self._app: Any = None

    def get(self, *, instead_of: str | None = None, claims: str | None = None) -> str:
        """A token. `instead_of`: one that Graph refused, so that another one is asked for. Raises `SignInRefused`, `Unavailable`."""
        with self._lock:
            answer = self._acquire(None)
            if instead_of is not None and answer.get("access_token") == instead_of:
                answer = self._renewed(claims)
        if "access_token" in answer:
            return str(answer["access_token"])
        raise self._refused(answer)

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            if self._line is not None:
                self._line.close()
            self._line = self._app = None

    @property
    def _host(self) -> str:
        return "the machine's identity service" if self._settings.sign_in == "managed identity" else self._settings.cloud.login

    def _acquire(self, claims: str | None) -> Mapping[str, Any]:
        try:
            app = self._application()
            if self._settings.sign_in == "managed identity":
                found: Any = app.acquire_token_for_client(
                    resource=self._settings.cloud.graph, **({"claims_challenge": claims} if claims else {})
                )
            else:
                found = app.acquire_token_for_client([self._settings.cloud.scope], **({"claims_challenge": claims} if claims else {}))
        except MetasyncError:
            raise
        except MsalServiceError:
            raise Unavailable(f"{self._host} is out of order; run again later") from None
        except requests.RequestException as error:
            raise transport.unreachable(error, self._host) from None
        except ValueError as error:
            raise self._unusable(error) from None
        return dict(found or {})

    def _renewed(self, claims: str | None) -> Mapping[str, Any]:
        """By a new client: an old one would hand out the token that it has, and prove itself once more by what it signed before."""
        if self._settings.sign_in != "managed identity":
            self._app = None
        return self._acquire(claims)

    def _application(self) -> Any:
        if self._app is None:
            self._line = self._line or transport.line(self._settings)
            if self._settings.sign_in == "managed identity":
                self._app = msal.ManagedIdentityClient(self._identity(), http_client=self._line)
            else:
                self._app = msal.ConfidentialClientApplication(
                    self._settings.application,
                    authority=f"{self._settings.cloud.login}/{self._settings.tenant}",
                    client_credential=credential(self._settings, self._context),
                    instance_discovery=False if self._settings.own_hosts else None,
                    http_client=self._line,
                )
        return self._app

    def _identity(self) -> Any:
        if self._settings.application:
            return msal.UserAssignedManagedIdentity(client_id=self._settings.application)
        return msal.SystemAssignedManagedIdentity()

    def _unusable(self, error: ValueError) -> MetasyncError:
        """msal says so where the tenant's own description cannot be read, and where a key is of no use."""
        text = str(error)
        if "authority" in text.lower() or "tenant" in text.lower() or "discovery" in text.lower():
            return SignInRefused(f"{self._host} knows no tenant {self._settings.tenant}; correct `tenant` or `cloud`")
        return SignInRefused(f"the sign-in at {self._host} could not be made ({type(error).__name__}); correct `certificate` or `secret`")

    def _refused(self, answer: Mapping[str, Any]) -> MetasyncError:
        codes = [code for code in answer.get("error_codes") or () if isinstance(code, int)]
        words = next((_WORDS[code] for code in codes if code in _WORDS), "")
        name = str(answer.get("error") or "no answer")
        number = f"AADSTS{codes[0]}" if codes else name
        if name in ("temporarily_unavailable", "server_error", "slow_down") or name.startswith("429"):
            return Unavailable(f"{self._host} asks for patience ({number}); run again in a minute")
        who = self._settings.application or "the managed identity"
        words = words or "see to the app registration, its certificate or secret, and its consent"
        return SignInRefused(f"{self._host} refused the sign-in of {who}: {words} ({number})")


def claims_of(token: str) -> Mapping[str, Any]:
    """What a token says of itself. It is our own, got over a trusted line: by it we tell, and refuse, and allow nothing."""
    try:
        middle = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}


def roles_of(claims: Mapping[str, Any]) -> list[str]:
    """The application permissions that a token holds, sorted."""
    given = claims.get("roles")
    return sorted({str(role) for role in given}) if isinstance(given, list) else []


def challenge(header: str | None) -> str | None:
    """The claims that a refusal asks for (continuous access evaluation), as the next request for a token must name them."""
    for part in (header or "").replace("Bearer", "").split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "claims":
            try:
                return base64.b64decode(value.strip().strip('"') + "==").decode()
            except (ValueError, binascii.Error):
                return None
    return None
