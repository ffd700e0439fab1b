"""The reference model of `test_machine`: what the source holds, and what the target must therefore hold once everything is at rest.

Plain dictionaries beside the document that they go by. It knows nothing of imports, plans or ledgers; objects go by their numbers, which
no directory gives out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metasync.testing.staff import BASE, DOCUMENT, PEOPLE, profile

Image = dict[str, Any]
"""What one object holds: its attributes, `path`, and `manager` or `members` by number. None: nothing."""

STAFF, SUB, ELSE = f"OU=Staff,{BASE}", f"OU=Sub,OU=Staff,{BASE}", f"OU=Else,{BASE}"
PLACES = {STAFF: PEOPLE, SUB: f"OU=Sub,{PEOPLE}"}
"""Where what lies in scope belongs in the target."""


def document(*, departments: bool) -> str:
    """People and groups below one container, with everything that can be mapped; a revision may map one attribute more."""
    attributes = ["displayName", "employeeID", "mail", "title", "otherTelephone", "manager", "enabled", *(["department"] * departments)]
    name = {"from": "source.displayName", "unique": ["{value}", "{value} ({n})"]}
    common = {
        "scope": {"under": [STAFF]},
        "place": {"mirror": {STAFF: PEOPLE}, "existing": "move"},
        "leaving": {"deleted": "delete", "out of scope": "delete"},
    }
    people = profile(
        match=[{"source": "employeeID", "target": "employeeID"}],
        map={"cn": name, **{one: f"source.{one}" for one in attributes}},
        **common,
    )
    groups = profile(
        "groups",
        kind="group",
        match=[{"source": "description", "target": "description"}],
        map={"cn": name, **{one: f"source.{one}" for one in ("displayName", "description", "members")}},
        **common,
    )
    return DOCUMENT.format(profiles=people + groups)


@dataclass(kw_only=True)
class Gone:
    """What was deleted, as it was, and who pointed at it: the directory brings all of it back."""

    image: Image
    groups: list[str]
    """That it was a member of."""
    workers: list[str]
    """Whose manager it was."""


@dataclass(kw_only=True)
class Model:
    """The source, by number: `p1` is a person, `g2` a group."""

    people: dict[str, Image] = field(default_factory=dict)
    groups: dict[str, Image] = field(default_factory=dict)
    gone: dict[str, Gone] = field(default_factory=dict)
    maps_departments: bool = False
    """The document maps the department, too."""
    let_go: set[str] = field(default_factory=set)
    """Who was deleted, or out of scope, at some time since the last rest: nobody else may be deleted in the target."""
    switched_off: set[str] = field(default_factory=set)
    """Who was disabled at some time since the last rest: nobody else may be disabled in the target."""
    _count: int = 0

    @property
    def everybody(self) -> dict[str, Image]:
        """People and groups."""
        return {**self.people, **self.groups}

    # Edits

    def add_person(self, image: Image) -> str:
        """A newcomer's number."""
        number = self._number("p")
        self.people[number] = {"mail": f"{number}@x.test", "enabled": True, "otherTelephone": None, "manager": None, **image}
        return number

    def add_group(self, image: Image) -> str:
        """A new group's number."""
        number = self._number("g")
        self.groups[number] = {**image, "members": set()}
        return number

    def _number(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"

    def edit(self, number: str, **values: Any) -> None:
        """Other values."""
        self.everybody[number].update(values)
        if values.get("path") == ELSE:
            self.let_go.add(number)
        if values.get("enabled") is False:
            self.switched_off.add(number)

    def delete(self, number: str) -> None:
        """It goes, and with it every membership in it and every reference to it."""
        gone = Gone(
            image=(self.people if number in self.people else self.groups).pop(number),
            groups=[group for group, image in self.groups.items() if number in image["members"]],
            workers=[worker for worker, image in self.people.items() if image["manager"] == number],
        )
        for group in gone.groups:
            self.groups[group]["members"].discard(number)
        for worker in gone.workers:
            self.people[worker]["manager"] = None
        self.gone[number] = gone
        self.let_go.add(number)

    def can_return(self, number: str) -> bool:
        """Nobody has its address meanwhile."""
        mail = self.gone[number].image.get("mail")
        return mail is None or all(one["mail"] != mail for one in self.people.values())

    def restore(self, number: str) -> None:
        """It returns with all that it had, as far as those who pointed at it have room for it."""
        gone = self.gone.pop(number)
        (self.groups if "members" in gone.image else self.people)[number] = gone.image
        if "members" in gone.image:
            gone.image["members"] &= self.everybody.keys()
        for group in gone.groups:
            if group in self.groups:
                self.groups[group]["members"].add(number)
        for worker in gone.workers:
            if worker in self.people and self.people[worker]["manager"] is None:
                self.people[worker]["manager"] = number

    # What follows from it

    @property
    def wanted(self) -> dict[str, Image]:
        """Who belongs in the target."""
        return {number: image for number, image in self.everybody.items() if image["path"] in PLACES}

    def expected(self, number: str) -> Image:
        """What the target must hold of an object: every attribute that the document maps, but for its name, which is in `fits`. What is not
        in the target is nobody's member; a manager who is not there is left alone."""
        image, wanted = self.wanted[number], self.wanted
        expected = {name: value for name, value in image.items() if name in ("displayName", "title", "mail", "enabled", "otherTelephone")}
        expected["path"] = PLACES[image["path"]]
        if "members" in image:
            expected["members"] = image["members"] & wanted.keys()
            expected["description"] = number
            return expected
        expected["employeeID"] = number
        if image["manager"] is None or image["manager"] in wanted:
            expected["manager"] = image["manager"]
        if self.maps_departments:
            expected["department"] = image["department"]
        return expected

    def fits(self, number: str, name: str) -> bool:
        """The display name, whatever its case, or numbered from 2 because others had it before."""
        plain, shown = name.casefold(), str(self.wanted[number]["displayName"]).casefold()
        if plain == shown:
            return True
        middle = plain.removeprefix(f"{shown} (").removesuffix(")")
        return plain == f"{shown} ({middle})" and middle.isdecimal() and int(middle) >= 2

    def at_rest(self) -> None:
        """The target has followed: from now on nobody may be deleted or disabled there without a new reason."""
        self.let_go, self.switched_off = set(), {number for number, image in self.people.items() if not image["enabled"]}
