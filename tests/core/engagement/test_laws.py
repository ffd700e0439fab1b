"""Law 4, one authority: an attribute is enforced from one side, unless it is said who decides."""

from __future__ import annotations

from collections.abc import Callable

Faults = Callable[[str], list[tuple[int, str, str, str]]]

HEAD = """\
engagement: laws
plugins: {standard: ">=0.1"}
directories:
  a: {connector: ad, options: {servers: [a], base: "DC=a", bind: s, password: {secret: p}}, mark: info}
  b: {connector: ad, options: {servers: [b], base: "DC=b", bind: s, password: {secret: p}}, mark: info}
  c: {connector: ad, options: {servers: [c], base: "DC=c", bind: s, password: {secret: p}}, mark: info}
metaverse: {user: {title: [a.title, b.title]}}
profiles:
"""


def profile(name: str, source: str, target: str, map_: str, more: str = "", kind: str = "user") -> str:
    return f"  {name}: {{kind: {kind}, source: {source}, target: {target}, map: {{{map_}}}{more}}}\n"


def test_two_profiles_that_enforce_one_attribute_are_refused(faults: Faults) -> None:
    text = HEAD + profile("one", "a", "c", "title: source.title") + profile("two", "b", "c", "Title: source.title")
    ((line, key, said, allowed),) = faults(text)
    assert (line, key) == (10, "profiles.two.map.Title")
    assert "the profile one enforces `Title` of c's users too" in said
    assert "`disjoint: NAME`" in allowed


def test_one_group_of_disjoint_profiles_may(faults: Faults) -> None:
    group = ", disjoint: staff"
    assert not faults(HEAD + profile("one", "a", "c", "t: source.t", group) + profile("two", "b", "c", "t: source.t", group))


def test_disjoint_in_one_of_them_alone_is_not_enough(faults: Faults) -> None:
    text = HEAD + profile("one", "a", "c", "t: source.t", ", disjoint: staff") + profile("two", "b", "c", "t: source.t")
    assert "only one says it" in faults(text)[0][3]


def test_a_rank_in_the_metaverse_decides(faults: Faults) -> None:
    assert not faults(HEAD + profile("one", "a", "c", "title: mv.title") + profile("two", "b", "c", "title: mv.title"))


def test_a_value_of_the_metaverse_that_one_of_them_changes_does_not_decide(faults: Faults) -> None:
    assert faults(HEAD + profile("one", "a", "c", "title: mv.title") + profile("two", "b", "c", "title: 'mv.title.lower()'"))


def test_once_and_fill_enforce_nothing(faults: Faults) -> None:
    for quiet in ("once", "fill"):
        text = HEAD + profile("one", "a", "c", "t: source.t") + profile("two", "b", "c", f"t: {{from: source.t, {quiet}: true}}")
        assert not faults(text)


def test_two_that_only_add_values_do_not_fight(faults: Faults) -> None:
    add = "t: {from: source.t, values: add}"
    assert not faults(HEAD + profile("one", "a", "c", add) + profile("two", "b", "c", add))
    assert faults(HEAD + profile("one", "a", "c", add) + profile("two", "b", "c", "t: source.t"))


def test_other_targets_and_other_kinds_do_not_matter(faults: Faults) -> None:
    assert not faults(HEAD + profile("one", "a", "c", "t: source.t") + profile("two", "a", "b", "t: source.t"))
    assert not faults(HEAD + profile("one", "a", "c", "t: source.t") + profile("two", "b", "c", "t: source.t", kind="group"))


def test_opposite_directions_are_refused(faults: Faults) -> None:
    text = HEAD + profile("there", "a", "b", "title: source.title") + profile("back", "b", "a", "title: source.title")
    ((line, key, said, allowed),) = faults(text)
    assert line in (9, 10)
    assert key in ("profiles.there.map.title", "profiles.back.map.title")
    assert "leads the value back to where it came from" in said
    assert "mv.ATTRIBUTE" in allowed


def test_opposite_directions_under_other_names_are_refused(faults: Faults) -> None:
    text = HEAD + profile("there", "a", "b", "mail: source.info") + profile("back", "b", "a", "info: 'source.mail.lower()'")
    assert faults(text)


def test_a_ring_over_three_directories_is_refused(faults: Faults) -> None:
    ring = [profile(f"{one}-{two}", one, two, "title: source.title") for one, two in ("ab", "bc", "ca")]
    ((_, _, said, _),) = faults(HEAD + "".join(ring))
    assert said.count("`title`") == 2


def test_opposite_directions_by_the_metaverse_are_accepted(faults: Faults) -> None:
    assert not faults(HEAD + profile("there", "a", "b", "title: mv.title") + profile("back", "b", "a", "title: mv.title"))


def test_opposite_directions_of_different_attributes_are_accepted(faults: Faults) -> None:
    assert not faults(HEAD + profile("there", "a", "b", "title: source.title") + profile("back", "b", "a", "mail: source.mail"))


def test_reading_the_targets_own_value_is_no_round_trip(faults: Faults) -> None:
    assert not faults(HEAD + profile("there", "a", "b", "title: 'target.title == null ? source.title : target.title'"))


def test_a_directory_read_by_its_name_counts_as_a_source(faults: Faults) -> None:
    assert faults(HEAD + profile("there", "a", "b", "title: c.title") + profile("back", "b", "c", "title: source.title"))


def test_two_profiles_that_both_move_what_stands_already_are_refused(faults: Faults) -> None:
    place = ", place: {expression: source.unit, existing: move}"
    text = HEAD + profile("one", "a", "c", "", place) + profile("two", "b", "c", "", place)
    ((_, key, said, _),) = faults(text)
    assert key == "profiles.two.place.existing"
    assert "moves c's users too" in said
