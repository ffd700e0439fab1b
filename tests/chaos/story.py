"""One small story that comes to every fault point: what `test_points` goes through, failing once at each of them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .site import CANARY, RUN, Site
from .size import sized


@dataclass
class Moment:
    """One command of the story, the folder as it was before it, and how often it reaches each point."""

    command: tuple[str, ...]
    folder: Path
    people: dict[str, dict[str, str]]
    reached: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One time that one command reaches one point."""

    moment: Moment
    point: str
    nth: int

    def __str__(self) -> str:
        return f"{' '.join(self.moment.command)} with {self.point}:{self.nth}"


class Story:
    """Load, first day, a day with edits, an export that was killed, the way back, new keys."""

    def __init__(self, site: Site, copies: Path) -> None:
        self.site, self.copies = site, copies
        self.moments: list[Moment] = []
        self._tell()

    def _tell(self) -> None:
        site = self.site
        site.write_document()
        for number in range(1, 8):
            site.hire(number, manager="1" if number > 1 else "")
        site.save()
        self._do("load")
        self._do("secrets", "set", "spare")
        self._do(*RUN)
        site.people["2"]["mail"] = "new@example.com"
        site.people["3"]["manager"] = "2"
        site.leave("7")
        site.hire(8, manager="2")
        site.save()
        self._do("import")
        self._do("approve", plan := self._planned(), "--reason", "a test")
        assert site.ask("export", plan, fault="export.before_target_write:kill9").code == -9
        self._do("export", plan)
        site.hire(9)
        site.save()
        self._do("run")
        plan = self._planned()
        site("approve", plan, "--reason", "a test")
        assert site.ask("export", plan, fault="export.after_target_write:kill9").code == -9
        self._do(*RUN)
        exported = next(one["id"] for one in site("runs")["runs"] if one["kind"] == "run")
        self._do("undo", str(exported))
        self._do("secrets", "rotate")

    def _planned(self) -> str:
        [plan] = [one for one in self.site("plan")["plans"] if one["changes"]]
        return str(plan["plan"])

    def _do(self, *command: str) -> None:
        copy = self.copies / str(len(self.moments))
        shutil.copytree(self.site.folder, copy)
        moment = Moment(command=command, folder=copy, people={key: dict(one) for key, one in self.site.people.items()})
        self.moments.append(moment)
        with self.site.start(*command, typed=f"{CANARY}\n") as program:
            answer = self.site.heard(program)
            assert answer.code in (0, 3), answer
            moment.reached = Counter(program.reached())

    def back_to(self, moment: Moment) -> Site:
        """The site as it was before that command. The database stays the same file: from a copy of it nothing would be exported."""
        database = self.site.folder / "metasync.db"
        for path in self.site.folder.iterdir():
            if path != database:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in moment.folder.iterdir():
            if path.is_dir():
                shutil.copytree(path, self.site.folder / path.name)
            else:
                shutil.copy(path, self.site.folder / path.name)
        if not (moment.folder / database.name).exists():
            database.write_bytes(b"")  # as good as none
        self.site.people = {key: dict(one) for key, one in moment.people.items()}
        return self.site

    def places(self) -> Iterator[Place]:
        """Every point in every command that reaches it: every time, or the first, second, third, middle and last."""
        for moment in self.moments:
            for name, times in sorted(moment.reached.items()):
                for nth in sized(sorted({n for n in (1, 2, 3, (times + 1) // 2, times) if n <= times}), list(range(1, times + 1))):
                    yield Place(moment=moment, point=name, nth=nth)

    def busiest(self) -> list[Place]:
        """Those of the command that reaches each point most often."""
        every = list(self.places())
        most = {one.point: max(self.moments, key=lambda moment: moment.reached[one.point]) for one in every}
        return [one for one in every if one.moment is most[one.point]]
