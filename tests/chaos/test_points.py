"""Every fault point is reached by one small story, and a process that is killed at any of them loses nothing and repeats nothing."""

from __future__ import annotations

import io
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from metasync import faults as fault

from .site import CANARY, DOCUMENT, RUN, Site

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX; what it proves does not depend on the platform")


@dataclass
class Moment:
    """One command of the story, the folder as it was before it, and how often it reaches each point."""

    command: tuple[str, ...]
    folder: Path
    people: dict[str, dict[str, str]]
    reached: Counter[str] = field(default_factory=Counter)


class Story:
    """Load, first day, a day with edits, an export that was killed, the way back, new keys."""

    def __init__(self, site: Site, copies: Path) -> None:
        self.site, self.copies = site, copies
        self.moments: list[Moment] = []
        self._tell()

    def _tell(self) -> None:
        site = self.site
        site.product.folder.mkdir(parents=True, exist_ok=True)
        site.product.document.write_text(DOCUMENT, encoding="utf-8")
        for number in range(1, 8):
            site.hire(number, manager="1" if number > 1 else "")
        site.save()
        self._do("load")
        self._do("secrets", "set", "spare")
        self._do(*RUN)
        site.people["2"]["mail"] = "new@example.com"
        site.people["3"]["manager"] = "2"
        del site.people["7"]
        site.hire(8, manager="2")
        site.save()
        self._do("import")
        [plan] = [one for one in site.product.plan_only() if one["changes"]]
        self._do("approve", str(plan["plan"]), "--reason", "a test")
        assert site.shell("export", str(plan["plan"]), fault="export.before_target_write:kill9").code == -9
        self._do("export", str(plan["plan"]))
        site.hire(9)
        site.save()
        self._do("run")
        [plan] = [one for one in site.product.plan_only() if one["changes"]]
        site.product("approve", str(plan["plan"]), "--reason", "a test")
        assert site.shell("export", str(plan["plan"]), fault="export.after_target_write:kill9").code == -9
        self._do(*RUN)
        exported = next(one["id"] for one in site.product("runs")["runs"] if one["kind"] == "run")
        self._do("undo", str(exported))
        self._do("secrets", "rotate")

    def _do(self, *command: str) -> None:
        copy = self.copies / str(len(self.moments))
        shutil.copytree(self.site.product.folder, copy)
        moment = Moment(command=command, folder=copy, people={key: dict(one) for key, one in self.site.people.items()})
        self.moments.append(moment)
        with fault.counted() as reached:
            code = _typed(self.site, command)
        assert code in (0, 3), f"{command}: {code} {self.site.product.answers[-1:]}"
        moment.reached = Counter(reached)


def _typed(site: Site, command: Sequence[str]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(f"{CANARY}\n"))
        return site.product.ask(*command).code


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The story as it goes when nothing fails."""
    folder = tmp_path_factory.mktemp("chaos")
    return Story(Site(folder / "work"), folder / "copies")


def again_from(story: Story, moment: Moment) -> Site:
    """The site as it was before that command."""
    site = story.site
    shutil.rmtree(site.product.folder)
    shutil.copytree(moment.folder, site.product.folder)
    site.people = {key: dict(one) for key, one in moment.people.items()}
    return site


def places(story: Story) -> Iterator[tuple[Moment, str, int]]:
    """Every point in every command that reaches it: at the first, second, third, middle and last time."""
    for moment in story.moments:
        for name, times in sorted(moment.reached.items()):
            for nth in sorted({n for n in (1, 2, 3, (times + 1) // 2, times) if n <= times}):
                yield moment, name, nth


def chosen(story: Story) -> list[tuple[Moment, str, int]]:
    """All places, or of each point its first in the command that reaches it most often, and its last where it is reached more than once."""
    every = list(places(story))
    if os.environ.get("METASYNC_CHAOS_WHOLE"):
        return every
    busiest = {name: max(story.moments, key=lambda one: one.reached[name]) for _, name, _ in every}
    return [one for one in every if one[0] is busiest[one[1]] and one[2] in (1, one[0].reached[one[1]])]


def failed_and_typed_again(story: Story, moment: Moment, spec: str, codes: set[int]) -> list[str]:
    """What is wrong after the command failed at that point, was typed again, and a run and an import followed."""
    site = again_from(story, moment)
    answer = site.shell(*moment.command, fault=spec, typed=f"{CANARY}\n")
    found = [] if answer.code in codes else [f"exit code {answer.code}: {answer}"]
    if CANARY in answer.out + answer.err:
        found.append("canary (I7): in the output")
    code = _typed(site, moment.command)
    found += [] if code in (0, 2, 3) else [f"typed again: {site.product.answers[-1]}"]
    if site.product.ask("release", "--all").code != 0 or site.product.ask(*RUN).code != 0:
        found.append(f"the run behind it: {site.product.answers[-1]}")
    found += site.wrong()
    return found + [f"not settled: {one}" for one in site.pending()]


def test_the_story_reaches_every_point(story: Story) -> None:
    reached = {name for moment in story.moments for name in moment.reached}
    assert reached == set(fault.POINTS)


def test_killed_at_every_point_nothing_is_lost_and_nothing_is_repeated(story: Story) -> None:
    wrong = {}
    for moment, name, nth in chosen(story):
        spec = f"{name}:kill9:{nth}"
        if found := failed_and_typed_again(story, moment, spec, {-9}):
            wrong[f"{' '.join(moment.command)} with {spec}"] = found
    assert wrong == {}


@pytest.mark.parametrize("action", ["raise", "enospc"])
def test_an_error_or_a_full_disk_at_some_points_loses_nothing_and_repeats_nothing(story: Story, action: str) -> None:
    wrong = {}
    for moment, name, nth in chosen(story)[:: 1 if os.environ.get("METASYNC_CHAOS_WHOLE") else 12]:
        spec = f"{name}:{action}:{nth}"
        if found := failed_and_typed_again(story, moment, spec, {0, 1, 2, 3, 4, 5}):
            wrong[f"{' '.join(moment.command)} with {spec}"] = found
    assert wrong == {}
