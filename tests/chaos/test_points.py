"""Every fault point is reached by one small story, and a process that fails at any of them loses nothing and repeats nothing."""

from __future__ import annotations

import pytest

from metasync import faults as fault

from . import judge
from .forks import Stable
from .site import CANARY, RUN
from .sites import CsvSite
from .size import WHOLE, sized
from .story import Place, Story

PARTS = 6
"""The places are shared out, so that several processes try them at once."""
CODES = {"kill9": {-9}, "raise": {0, 1, 2, 3, 4, 5}, "enospc": {0, 1, 2, 3, 4, 5}}


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory, stable: Stable) -> Story:
    """The story as it goes when nothing fails."""
    folder = tmp_path_factory.mktemp("points")
    return Story(CsvSite(folder / "work", stable), folder / "copies")


def failed_and_typed_again(story: Story, place: Place, action: str) -> list[str]:
    """What is wrong after the command failed at that point, was typed again, and a run followed."""
    site = story.back_to(place.moment)
    command = place.moment.command
    answer = site.ask(*command, fault=f"{place.point}:{action}:{place.nth}", typed=f"{CANARY}\n")
    found = [] if answer.code in CODES[action] else [f"exit code {answer.code}: {answer}"]
    again = site.ask(*command, typed=f"{CANARY}\n")
    found += [] if again.code in (0, 2, 3) else [f"typed again: {again}"]
    for rest in (("release", "--all"), RUN):
        if (behind := site.ask(*rest)).code != 0:
            found.append(f"behind it: {behind}")
    found += judge.at_rest(site)
    return found + [f"not settled: {one}" for one in site("plan")["plans"] if one["changes"]]


def test_the_story_reaches_every_point(story: Story) -> None:
    reached = {name for moment in story.moments for name in moment.reached}
    # The queue has a story of its own, of several processes: `test_queue`.
    assert reached == {name for name in fault.POINTS if not name.startswith("queue.")}


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_every_point_nothing_is_lost_and_nothing_is_repeated(story: Story, part: int) -> None:
    places = list(story.places()) if WHOLE else story.busiest()
    wrong = {str(one): found for one in places[part::PARTS] if (found := failed_and_typed_again(story, one, "kill9"))}
    assert wrong == {}


@pytest.mark.parametrize("action", ["raise", "enospc"])
def test_an_error_or_a_full_disk_at_some_points_loses_nothing_and_repeats_nothing(story: Story, action: str) -> None:
    places = list(story.places()) if WHOLE else story.busiest()
    wrong = {str(one): found for one in places[:: sized(12, 1)] if (found := failed_and_typed_again(story, one, action))}
    assert wrong == {}
