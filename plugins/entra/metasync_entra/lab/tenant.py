"""One lab tenant: its clock, directory, settings and what was seen of its clients. Handlers are given this and a request."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter, deque
from collections.abc import Sequence
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


@dataclass(kw_only=True, slots=True)
class Settings:
    """What tests set. Times are in seconds of the tenant's clock."""

    lag_get: list[float] = field(default_factory=lambda: [0.0])
    """How far each replica is behind; reads of one object go to one of them by chance."""
    lag_list: float = 0.0
    lag_delta: float = 0.0
    lag_index: float = 0.0
    lag_reference: float = 0.0
    page: int = 100
    delta_users: int = 200
    delta_groups: int = 200
    delta_members: int = 1_000
    throttle: bool = False
    size: str = ""
    """S, M or L; empty: by the number of users."""
    replay: float = 0.0
    """The chance that a delta page repeats one of its objects, and shows first what it was before."""
    delta_days: float = 7.0
    expired_status: int = 400
    keep_immutable_id: bool = False
    restore_memberships: bool = False
    token_life: int = 3_599
    token_skew: float = 0.0
    """How far the token service's clock is ahead of this machine's."""
    quota: int = 300_000
    exchange_lag: float = 0.0

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
        self.throttle: Throttle
        self.faults: Faults

    @property
    def base(self) -> str:
        """What links begin with."""
        return f"{self.graph_url}/v1.0"
