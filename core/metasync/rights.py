"""Which rights a directory needs, as the document uses it, and which of them are missing."""

from __future__ import annotations

from dataclasses import replace

from metasync.contract import Check, Purpose
from metasync.engagement.model import Engagement

EXPORTERS = {"passwords": Purpose.PASSWORDS, "sid history": Purpose.SID_HISTORY, "sidhistory": Purpose.SID_HISTORY}
"""Names of exporters -> what they take from, or give to, both of their directories."""


def purposes(engagement: Engagement, directory: str) -> frozenset[Purpose]:
    """What the document uses a directory for. Every directory is imported, targets to compare and to confirm."""
    used = {Purpose.IMPORT}
    if any(profile.target == directory for profile in engagement.profiles.values()):
        used.add(Purpose.EXPORT)
    used |= {EXPORTERS[one.name] for one in engagement.exporters if directory in (one.source, one.target) and one.name in EXPORTERS}
    return frozenset(used)


def judged(check: Check, used: frozenset[Purpose]) -> Check:
    """What the connector found; rights that these purposes cannot do without are among the missing where they are not granted."""
    lacking = [one for one in check.rights if one.purpose in used and not one.granted and not one.optional]
    return replace(check, missing=(*check.missing, *(f"{one.purpose}: {one.right}" for one in lacking)))
