"""One lab tenant: its clock, directory, settings and what was seen of its clients. Handlers are given this and a request."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metasync_entra.lab.clock import Clock
from metasync_entra.lab.cursors import Cursors
from metasync_entra.lab.state import Directory

if TYPE_CHECKING:
    from metasync_entra.lab.apps import App
    from metasync_entra.lab.faults import Faults
    from metasync_entra.lab.throttle import Throttle

GRAPH_APP = "00000003-0000-0000-c000-000000000000"


def _setting(default: Any, says: str) -> Any:
    return field(default=default, metadata={"help": says})


@dataclass(kw_only=True, slots=True)
class Settings:
    """What tests set. Times are in seconds of the tenant's clock."""

    lag_get: list[float] = field(
        default_factory=lambda: [0.0],
        metadata={"help": "How far each replica is behind that reads of one object go to, by chance. One number is one replica."},
    )
    lag_list: float = _setting(0.0, "How far lists are behind.")
    lag_delta: float = _setting(0.0, "How far delta queries are behind.")
    lag_index: float = _setting(0.0, "How far advanced queries are behind.")
    lag_reference: float = _setting(0.0, "How old an object must be before a reference to it is taken.")
    page: int = _setting(100, "Objects on a page where the request does not say.")
    delta_users: int = _setting(200, "Objects on a delta page of users and contacts.")
    delta_groups: int = _setting(200, "Groups on a delta page.")
    delta_members: int = _setting(1_000, "Members and owners on a delta page, all its groups together.")
    throttle: bool = _setting(False, "Whether quotas hold.")
    size: str = _setting("", "S, M or L; empty: by the number of users.")
    replay: float = _setting(0.0, "The chance that a delta page shows one of its objects twice, first as it was before.")
    delta_days: float = _setting(7.0, "How many days a delta token is taken.")
    expired_status: int = _setting(400, "What an old delta token is answered with: 400 or 410.")
    keep_immutable_id: bool = _setting(False, "Whether clearing onPremisesImmutableId is refused.")
    restore_memberships: bool = _setting(False, "Whether a restored object is again in its groups.")
    token_life: int = _setting(3_599, "How long an access token lives.")
    token_skew: float = _setting(0.0, "How far the token service's clock is ahead of this machine's, for assertions.")
    quota: int = _setting(300_000, "How many objects the tenant holds.")
    exchange_lag: float = _setting(0.0, "How long it takes until Graph shows what Exchange wrote.")

    def lags(self) -> bool:
        """Whether any read may see an old state."""
        return any((*self.lag_get, self.lag_list, self.lag_delta, self.lag_index, self.replay))


class Tenant:
    """The tenant. One lock guards all of it: a request is served whole."""

    def __init__(self, domains: Sequence[str], *, seed: int = 0, tenant_id: str | None = None) -> None:
        self.id = tenant_id or str(uuid.uuid4())
        self.clock = Clock()
        self.directory = Directory(self.clock, domains)
        self.settings = Settings()
        self.cursors = Cursors()
        self.random = random.Random(seed)  # noqa: S311  it picks replicas and faults, again alike for one seed
        self.lock = threading.RLock()
        self.apps: dict[str, App] = {}
        self.calls: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.trace: deque[dict[str, Any]] = deque(maxlen=20_000)
        self.tracing = False
        self.login_url = ""
        self.graph_url = ""
        self.exchange_url = ""
        self.found: dict[tuple[Any, ...], list[str]] = {}
        """Results of queries that do not go by id, kept while the directory stays."""
        self.settle: Callable[[], None] = lambda: None
        """Lets what Exchange wrote reach the directory, once it is due."""
        self.throttle: Throttle
        self.faults: Faults

    @property
    def base(self) -> str:
        """What links begin with."""
        return f"{self.graph_url}/v1.0"
