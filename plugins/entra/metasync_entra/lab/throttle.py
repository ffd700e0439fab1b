"""Throttling as the identity service publishes it: token buckets on the tenant's clock, the cost of each call, the headers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from metasync_entra.lab.messages import Refused, Request
from metasync_entra.lab.options import system
from metasync_entra.lab.rules import COST, THROTTLE, follows
from metasync_entra.lab.tenant import Tenant

SIZES: Mapping[str, int] = {"S": 3_500, "M": 5_000, "L": 8_000}
CATEGORIES: Mapping[str, str] = {"S": "small", "M": "medium", "L": "large"}


@dataclass(slots=True)
class Bucket:
    """So many in so many seconds."""

    most: float
    seconds: float
    level: float = -1.0
    at: float = 0.0

    def refill(self, now: float) -> None:
        """What came in since it was last looked at."""
        if self.level < 0:
            self.level = self.most
        else:
            self.level = min(self.most, self.level + max(0.0, now - self.at) * self.most / self.seconds)
        self.at = now

    def wait(self, amount: float) -> float:
        """How long until so much is in it."""
        return max(0.0, (amount - self.level) * self.seconds / self.most)

    @property
    def used(self) -> float:
        """The part that is used up."""
        return 1 - self.level / self.most


class Throttle:
    """The buckets of one tenant. They run full at first."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._units: dict[str, Bucket] = {}
        self._writes: dict[str, Bucket] = {}
        self._all_writes = Bucket(18_000, 300)

    def size(self) -> str:
        """S below 50 users, M up to 500, L above."""
        users = self._tenant.directory.count("user")
        return self._tenant.settings.size or ("S" if users < 50 else "M" if users <= 500 else "L")

    @follows(COST)
    def cost(self, request: Request, base: int) -> int:
        """Resource units of one call."""
        named = system(request.query)
        cost = base
        if "select" in named:
            cost -= 1
        if "expand" in named:
            cost += 1
        if named.get("top", "").isdigit() and int(named["top"]) < 20:
            cost -= 1
        return max(1, cost)

    def take(self, request: Request, cost: int, *, write: bool) -> dict[str, str]:
        """Charge one call; the headers of its answer. Raises the 429. A rejected call empties the bucket further: it counts."""
        headers = {"x-ms-resource-unit": str(cost)}
        if not self._tenant.settings.throttle:
            return headers
        now = self._tenant.clock.now()
        app = str(request.claims.get("appid", ""))
        units = self._units.setdefault(app, Bucket(SIZES[self.size()], 10))
        units.most = SIZES[self.size()]
        buckets = [(units, float(cost), "ResourceUnit", "Tenant_Application")]
        if write:
            buckets.append((self._writes.setdefault(app, Bucket(3_000, 150)), 1.0, "Write", "Tenant_Application"))
            buckets.append((self._all_writes, 1.0, "Write", "Tenant"))
        for bucket, _, _, _ in buckets:
            bucket.refill(now)
        for bucket, amount, what, scope in buckets:
            if bucket.level + 1e-9 < amount:
                wait = bucket.wait(amount)
                for one, charge, _, _ in buckets:
                    one.level = max(0.0, one.level - charge)
                raise self._refused(app, wait, what, scope)
        for bucket, amount, _, _ in buckets:
            bucket.level = max(0.0, bucket.level - amount)
        used = max(bucket.used for bucket, _, _, _ in buckets)
        if used >= 0.8:
            headers["x-ms-throttle-limit-percentage"] = f"{used:.2f}"
        return headers

    @follows(THROTTLE)
    def _refused(self, app: str, wait: float, what: str, scope: str) -> Refused:
        headers = {
            "Retry-After": str(max(1, math.ceil(wait))),
            "x-ms-throttle-scope": f"{scope}/{what}/{app}/{self._tenant.id}",
            "x-ms-throttle-information": f"{what}LimitExceeded",
            "x-ms-throttle-limit-percentage": "1.00",
        }
        category = f"aadgraph.app.tenant_{CATEGORIES[self.size()]}"
        message = f"Too many requests. Please retry after the time given. category:{category}"
        return Refused(THROTTLE, 429, "TooManyRequests", message, headers=headers)
