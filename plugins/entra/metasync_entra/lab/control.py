"""The control plane: what a test does to the tenant behind its clients' back. The same verbs in this process and over HTTPS."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from metasync_entra.lab import objects, seeding
from metasync_entra.lab.apps import App
from metasync_entra.lab.faults import Fault
from metasync_entra.lab.messages import Answer, Request
from metasync_entra.lab.state import Thing
from metasync_entra.lab.tenant import Settings, Tenant
from metasync_entra.lab.throttle import Throttle
from metasync_entra.lab.writing import couple_mail


class Control:
    """The verbs. Each takes and gives what JSON can say."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._kept: dict[str, bytes] = {}

    # --- the directory ------------------------------------------------------------------------------------------------------------------

    def seed(
        self,
        *,
        users: int = 0,
        groups: int = 0,
        contacts: int = 0,
        members: int = 0,
        owners: int = 0,
        managers: bool = False,
        unified: int = 0,
        number: int = 0,
    ) -> dict[str, list[str]]:
        """Make people, groups (with so many members each) and contacts; their ids by collection."""
        with self._tenant.lock:
            return seeding.seed(
                self._tenant.directory,
                users=users,
                groups=groups,
                contacts=contacts,
                members=members,
                owners=owners,
                managers=managers,
                unified=unified,
                number=number,
            )

    def create(self, kind: str, fields: Mapping[str, Any]) -> str:
        """Make a user, group or orgContact with any properties, also read-only ones such as onPremisesSyncEnabled; its id."""
        with self._tenant.lock:
            whole = {name: value for name, value in fields.items() if value is not None}
            if "proxyAddresses" not in whole:
                couple_mail({}, whole)
            return self._tenant.directory.create(kind, whole).id

    def change(self, id: str, fields: Mapping[str, Any]) -> None:  # noqa: A002  the field's own name
        """Change any properties of an object."""
        with self._tenant.lock:
            changes = dict(fields)
            thing = self._find(id)
            if "proxyAddresses" not in changes:
                couple_mail(thing.fields, changes)
            self._tenant.directory.update(thing, changes)

    def delete(self, id: str) -> None:  # noqa: A002
        """Delete an object as its kind is deleted."""
        with self._tenant.lock:
            self._tenant.directory.delete(self._find(id))

    def purge(self, id: str) -> None:  # noqa: A002
        """Delete for good what is in the recycle bin."""
        with self._tenant.lock:
            self._tenant.directory.purge(self._tenant.directory.bin[id])

    def relate(self, name: str, source: str, targets: Sequence[str]) -> None:
        """Add members, owners or a manager."""
        with self._tenant.lock:
            for target in targets:
                self._tenant.directory.relate(name, self._find(source), self._find(target))

    def unrelate(self, name: str, source: str, targets: Sequence[str]) -> None:
        """Take members, owners or a manager away."""
        with self._tenant.lock:
            for target in targets:
                there = self._find(target)
                self._tenant.directory.unrelate(name, self._find(source).kind, source, there.kind, target)

    def read(self, id: str) -> dict[str, Any] | None:  # noqa: A002
        """All that was ever set of an object, live or deleted, with its references; None where it is not there."""
        with self._tenant.lock:
            directory = self._tenant.directory
            thing = directory.live.get(id) or directory.bin.get(id)
            if thing is None:
                return None
            related = {name: list(relation.targets(id)) for name, relation in directory.relations.items() if relation.count(id)}
            return {"kind": thing.kind, "deleted": thing.deleted is not None, "fields": copy.deepcopy(thing.fields), **related}

    def find(self, name: str) -> str | None:
        """The id of the user of this userPrincipalName."""
        with self._tenant.lock:
            thing = self._tenant.directory.user_named(name)
            return thing.id if thing else None

    def ids(self, kind: str) -> list[str]:
        """All live objects of a kind."""
        with self._tenant.lock:
            return [thing.id for thing in self._tenant.directory.of_kind(kind)]

    def domain(self, name: str, *, verified: bool = True, federated: bool = False) -> None:
        """Add a domain, or change it."""
        with self._tenant.lock:
            before = self._tenant.directory.domains.get(name, {"isDefault": False, "isInitial": False})
            kind = "Federated" if federated else "Managed"
            self._tenant.directory.domains[name] = {"id": name, **before, "isVerified": verified, "authenticationType": kind}

    def extension(self, name: str, *, type: str = "String", targets: Sequence[str] = ("User",)) -> str:  # noqa: A002
        """Define a directory extension of the first app; its whole name."""
        with self._tenant.lock:
            app = next(iter(self._tenant.apps))
            return str(objects.define(self._tenant, app, name, type, list(targets))["name"])

    def security_attribute(self, of_set: str, name: str, *, type: str = "String", many: bool = False) -> None:  # noqa: A002
        """Define a custom security attribute: String, Integer or Boolean, with one value or with several."""
        with self._tenant.lock:
            self._tenant.directory.schema.security[of_set, name] = (type, many)

    # --- apps ---------------------------------------------------------------------------------------------------------------------------

    def grant(self, roles: Sequence[str], client_id: str | None = None) -> None:
        """What the app is granted from its next token on, in place of all it had."""
        with self._tenant.lock:
            self._app(client_id).roles = list(roles)

    def secret(self, *, expired: bool = False, client_id: str | None = None) -> None:
        """Let the app's secret be expired or not."""
        with self._tenant.lock:
            self._app(client_id).secret_expired = expired

    def add_app(self, roles: Sequence[str]) -> dict[str, str]:
        """Register a further app: client_id and secret."""
        with self._tenant.lock:
            app = App(roles=list(roles))
            self._tenant.apps[app.client_id] = app
            return {"client_id": app.client_id, "secret": app.secret}

    # --- behaviour ----------------------------------------------------------------------------------------------------------------------

    def set(self, **settings: Any) -> None:
        """Change settings: lags, page sizes, throttle, size, replay and the like (`Settings`)."""
        with self._tenant.lock:
            for name, value in settings.items():
                if name not in Settings.__slots__:
                    raise ValueError(f"{name} is no setting: {', '.join(Settings.__slots__)}")
                setattr(self._tenant.settings, name, [value] if name == "lag_get" and not isinstance(value, list) else value)
            self._tenant.directory.remember = self._tenant.settings.lags()

    def settings(self) -> dict[str, Any]:
        """As they are."""
        return {name: getattr(self._tenant.settings, name) for name in Settings.__slots__}

    def clock(self, *, advance: float = 0.0, freeze: bool | None = None) -> float:
        """Move the tenant's clock, let it stand or run; what it shows."""
        with self._tenant.lock:
            if freeze is not None:
                (self._tenant.clock.freeze if freeze else self._tenant.clock.thaw)()
            self._tenant.clock.advance(advance)
            return self._tenant.clock.now()

    def reset_delta(self) -> None:
        """Make every delta token one that leads to 410 and a resync."""
        with self._tenant.lock:
            self._tenant.directory.epoch += 1

    def fault(self, action: str, **how: Any) -> str:
        """Arm a fault (`Fault`); its id."""
        with self._tenant.lock:
            return self._tenant.faults.arm(Fault(action=action, **how))

    def clear_faults(self) -> None:
        """Disarm all."""
        with self._tenant.lock:
            self._tenant.faults.clear()

    # --- what was seen ------------------------------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Calls by route (parts of batches each for themselves), answers by status, objects, faults met."""
        with self._tenant.lock:
            directory = self._tenant.directory
            return {
                "calls": dict(self._tenant.calls),
                "statuses": {str(status): number for status, number in self._tenant.statuses.items()},
                "objects": {kind: directory.count(kind) for kind in directory.order},
                "deleted": len(directory.bin),
                "journal": directory.journal.last,
                "faults": {fault.id: fault.met for fault in self._tenant.faults.armed},
            }

    def clear_stats(self) -> None:
        """Count from none again."""
        with self._tenant.lock:
            self._tenant.calls.clear()
            self._tenant.statuses.clear()

    def trace(self, *, on: bool | None = None) -> list[dict[str, Any]]:
        """What was called and answered since tracing was turned on, the parts of batches each for themselves."""
        with self._tenant.lock:
            found = list(self._tenant.trace)
            if on is not None:
                self._tenant.tracing = on
                self._tenant.trace.clear()
            return found

    # --- all of it ----------------------------------------------------------------------------------------------------------------------

    def snapshot(self, name: str = "snapshot") -> None:
        """Keep the directory under a name."""
        with self._tenant.lock:
            self._kept[name] = pickle.dumps(self._tenant.directory)

    def restore(self, name: str = "snapshot") -> None:
        """Let the directory be as it was kept. Delta tokens of what came after lead nowhere: they are reset."""
        with self._tenant.lock:
            before = self._tenant.directory
            self._tenant.directory = pickle.loads(self._kept[name])  # noqa: S301  made by us, in this process
            self._tenant.directory.clock = self._tenant.clock
            self._tenant.directory.epoch = before.epoch + 1
            self._tenant.found.clear()

    def reset(self) -> None:
        """Default settings, no faults, full buckets, counting from none. The directory stays."""
        with self._tenant.lock:
            self._tenant.settings = Settings()
            self._tenant.faults.clear()
            self._tenant.throttle = Throttle(self._tenant)
            self.clear_stats()
            self._tenant.tracing = False
            self._tenant.trace.clear()

    def _find(self, id_: str) -> Thing:
        return self._tenant.directory.live[id_]

    def _app(self, client_id: str | None) -> App:
        return self._tenant.apps[client_id] if client_id else next(iter(self._tenant.apps.values()))


VERBS = sorted(name for name, _ in inspect.getmembers(Control, inspect.isfunction) if not name.startswith("_"))


class ControlPlane:
    """POST /_lab/VERB with the arguments as JSON, and the tenant's key as `Authorization: Lab KEY`."""

    def __init__(self, control: Control, key: str) -> None:
        self._control = control
        self._key = key

    def serve(self, request: Request) -> Answer:
        """Answer one request."""
        if request.headers.get("authorization") != f"Lab {self._key}":
            return Answer(
                status=401, content={"error": "the control plane wants the key that the tenant was started with"}, kind="application/json"
            )
        verb = request.path.removeprefix("/_lab/")
        if request.method != "POST" or verb not in VERBS:
            return Answer(status=404, content={"error": f"no such verb; there are {', '.join(VERBS)}"}, kind="application/json")
        try:
            arguments = orjson.loads(request.body or b"{}")
            result = getattr(self._control, verb)(**arguments)
        except (TypeError, ValueError, KeyError) as error:
            return Answer(status=400, content={"error": f"{type(error).__name__}: {error}"}, kind="application/json")
        return Answer(status=200, content={"result": result}, kind="application/json")
