"""Which rights a directory needs, as the document uses it, and which of them are missing, or more than that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from metasync.contract import Check, Kind, Purpose
from metasync.engagement.model import Action, Engagement, Place, Profile
from metasync.expressions import texts_in

EXPORTERS = {"passwords": Purpose.PASSWORDS, "sid history": Purpose.SID_HISTORY, "sidhistory": Purpose.SID_HISTORY}
"""Names of exporters -> what they take from, or give to, both of their directories."""


def purposes(engagement: Engagement, directory: str) -> frozenset[Purpose]:
    """What the document uses a directory for. Every directory is imported, targets to compare and to confirm."""
    used = {Purpose.IMPORT}
    if written(engagement, directory):
        used.add(Purpose.EXPORT)
    used |= {EXPORTERS[one.name] for one in engagement.exporters if directory in (one.source, one.target) and one.name in EXPORTERS}
    return frozenset(used)


def written(engagement: Engagement, directory: str) -> frozenset[Kind]:
    """The kinds that profiles write there."""
    return frozenset(one.target_kind for one in _profiles(engagement, directory))


def places(engagement: Engagement, directory: str) -> Mapping[Kind, tuple[str, ...]]:
    """Those of them that profiles make or move there, and what the document writes out of where. See `DirectorySettings`."""
    found: dict[Kind, dict[str, None]] = {}
    for profile in _profiles(engagement, directory):
        makes = profile.action is not Action.UPDATE_ONLY
        place = profile.place if profile.place and (makes or profile.place.move_existing) else Place()
        texts = [place.expression, *(step.place for steps in profile.leaving.values() for step in steps)]
        paths = [*place.mirror.values(), *(path for text in texts if text for path in texts_in(text, engagement.roots))]
        if makes or paths:
            found.setdefault(profile.target_kind, {}).update(dict.fromkeys(paths))
    return {kind: tuple(paths) for kind, paths in found.items()}


def judged(check: Check, used: frozenset[Purpose]) -> Check:
    """What the connector found, and what that means for these purposes: a right that they cannot do without is missing where it is not
    granted. What the account may write where nothing is written is more than is needed, and so is all that another purpose takes."""
    lacking = [one for one in check.rights if one.purpose in used and not one.granted and not one.optional]
    excessive = []
    for purpose in sorted({one.purpose for one in check.rights} - used):
        granted = [one for one in check.rights if one.purpose is purpose and one.granted]
        whole = all(one.granted or one.optional for one in check.rights if one.purpose is purpose)
        if granted and (whole or purpose is Purpose.EXPORT):
            excessive.append(f"{purpose}, for which the document does not use it: {'; '.join(one.right for one in granted)}")
    return replace(
        check,
        missing=(*check.missing, *(f"{one.purpose}: {one.right}" for one in lacking)),
        excessive=(*check.excessive, *excessive),
    )


def _profiles(engagement: Engagement, directory: str) -> Iterator[Profile]:
    return (one for one in engagement.profiles.values() if one.target == directory)
