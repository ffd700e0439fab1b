"""What happens in a company.

A story edits the HR files and yields, step by step, the changes that the next plan must show: these, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .company import LEFT, UNUSUAL, Company, Partner, Person, Team

Changes = list[tuple[str, str]]
"""(operation, name of the object)"""
Story = Callable[[Company], Iterator[Changes]]


def a_wedding(company: Company) -> Iterator[Changes]:
    """A rename, and a year later back again."""
    one = company.pick()
    before, name = replace(one), one.displayName
    one.sn, one.displayName = "Würth-Őry", f"{one.givenName} Würth-Őry, née {one.sn}"
    yield [("rename", name), ("update", name)]
    name = one.displayName
    one.sn, one.displayName = before.sn, before.displayName
    yield [("rename", name), ("update", name)]


def a_name_in_other_case(company: Company) -> Iterator[Changes]:
    """To the directory it is the same name; it is written all the same."""
    one = company.pick()
    name, one.displayName = one.displayName, one.displayName.upper()
    yield [("rename", name), ("update", name)]


def a_name_that_tools_stumble_over(company: Company) -> Iterator[Changes]:
    """Comma, quotes, a leading #, emoji."""
    one = company.pick()
    name, one.displayName = one.displayName, f'#{len(company.picked)} "Best", O\'Hara + Söhne <x>; 🦄\\'
    yield [("rename", name), ("update", name)]


def an_exchange_of_names(company: Company) -> Iterator[Changes]:
    """Two people swap names. A name that somebody had is kept for its owner (law 6), so that both get a number behind it."""
    one, other = company.pick(), company.pick()
    names = (one.displayName, other.displayName)
    one.displayName, other.displayName = other.displayName, one.displayName
    yield [(operation, name) for operation in ("rename", "update") for name in names]


def a_move(company: Company) -> Iterator[Changes]:
    """To the other site."""
    one = company.pick()
    one.site = "Zürich" if one.site == "Basel" else "Basel"
    yield [("move", one.displayName), ("update", one.displayName)]


def a_leaver_returns(company: Company) -> Iterator[Changes]:
    """Out of the file, and back in it."""
    one = company.pick()
    teams = company.teams_of(one)
    company.dismiss(one)
    yield [("disable", one.displayName), ("move", one.displayName), *(("member remove", team.name) for team in teams)]
    company.people[one.id] = one
    for team in teams:
        team.members.append(one.id)
    yield [("enable", one.displayName), ("move", one.displayName), *(("member add", team.name) for team in teams)]


def a_joiner(company: Company) -> Iterator[Changes]:
    """With a manager and a team."""
    new = company.hire(givenName="Nora", sn=f"Nová {len(company.people)}")
    company.teams["T00"].members.append(new.id)
    yield [("create", new.displayName), ("update", new.displayName), ("member add", "Everybody")]


def a_namesake_joins(company: Company) -> Iterator[Changes]:
    """Somebody of that name is there already."""
    taken = company.pick()
    new = company.hire(givenName=taken.givenName, sn=taken.sn)
    yield [("create", new.displayName), ("update", new.displayName)]


def a_title_goes(company: Company) -> Iterator[Changes]:
    """A cleared attribute, and a new one."""
    one = company.pick()
    one.title = ""
    yield [("clear", one.displayName)]
    one.title = 'Advisor; "senior"'
    yield [("update", one.displayName)]


def a_promotion(company: Company) -> Iterator[Changes]:
    """A new title, and a new manager: two changes of one object are one request."""
    one = company.pick()
    one.title, one.manager = "Head of Überraschungen", company.pick().id
    yield [("update", one.displayName)]


def a_new_manager(company: Company) -> Iterator[Changes]:
    """Then none."""
    one = company.pick()
    one.manager = company.pick().id
    yield [("update", one.displayName)]
    one.manager = ""
    yield [("clear", one.displayName)]


def a_team_gains_and_loses(company: Company) -> Iterator[Changes]:
    """One in, one out."""
    team, one = company.teams["T02"], company.pick()
    if one.id in team.members:
        team.members.remove(one.id)
        yield [("member remove", team.name)]
        team.members.append(one.id)
        yield [("member add", team.name)]
    else:
        team.members.append(one.id)
        yield [("member add", team.name)]
        team.members.remove(one.id)
        yield [("member remove", team.name)]


def a_leave_of_absence(company: Company) -> Iterator[Changes]:
    """Disabled for a while."""
    one = company.pick()
    before, one.status = one.status, LEFT
    yield [("disable", one.displayName)]
    one.status = before
    yield [("enable", one.displayName)]


def a_team_is_renamed(company: Company) -> Iterator[Changes]:
    """Its sign-in name, too; members stay."""
    team = company.teams["T04"]
    name, team.name = team.name, f"Tee-Küche {len(company.picked)}"
    yield [("rename", name), ("sign-in change", name)]


def a_team_is_dissolved(company: Company) -> Iterator[Changes]:
    """And another takes its place, with the same members."""
    team = company.teams.pop(max(one for one in company.teams if company.teams[one].description))
    yield [("delete", team.name)]
    new = Team(id=f"T9{len(company.picked)}", name=f"{team.name} the {len(company.picked)}th", description="anew", members=team.members)
    company.teams[new.id] = new
    yield [("create", new.name), *(("member add", new.name) for _ in new.members)]


def a_team_has_another_purpose(company: Company) -> Iterator[Changes]:
    """Its description."""
    team = company.teams["T03"]
    team.description = "Um's Eck" if team.description != "Um's Eck" else ""
    yield [("update" if team.description else "clear", team.name)]


def a_partner_comes_and_goes(company: Company) -> Iterator[Changes]:
    """A contact is made, changed, deleted."""
    key = f"P9{len(company.picked)}"
    name = f"{UNUSUAL[0]} the {len(company.picked)}th"
    company.partners[key] = Partner(id=key, name=name, mail=f"{key}@law.example", company="Lee & Lee")
    yield [("create", name)]
    company.partners[key].company = "Lee, Lee & Son"
    yield [("update", name)]
    del company.partners[key]
    yield [("delete", name)]


def a_partner_moves_on(company: Company) -> Iterator[Changes]:
    """Another address, another company."""
    one = company.partners["P1"]
    one.mail, one.company = f"other{len(company.picked)}@law.example", f"Other {len(company.picked)}"
    company.picked.add(one.mail)
    yield [("sign-in change", one.name), ("update", one.name)]


def a_partner_retires(company: Company) -> Iterator[Changes]:
    """A contact is deleted."""
    key = max(one for one in company.partners if len(one) == 2)
    yield [("delete", company.partners.pop(key).name)]


def a_phone_for_all_of_a_team(company: Company) -> Iterator[Changes]:
    """Several people at once."""
    people: list[Person] = [company.pick() for _ in range(3)]
    for one in people:
        one.phone = "+41 44 999999"
    yield [("update", one.displayName) for one in people]


STORIES: tuple[Story, ...] = (
    a_wedding,
    a_name_in_other_case,
    a_name_that_tools_stumble_over,
    an_exchange_of_names,
    a_move,
    a_leaver_returns,
    a_joiner,
    a_namesake_joins,
    a_title_goes,
    a_promotion,
    a_new_manager,
    a_team_gains_and_loses,
    a_leave_of_absence,
    a_team_is_renamed,
    a_team_is_dissolved,
    a_team_has_another_purpose,
    a_partner_comes_and_goes,
    a_partner_moves_on,
    a_partner_retires,
    a_phone_for_all_of_a_team,
)
