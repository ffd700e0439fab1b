"""A program computes what the interpreter computes, for every profile and every object."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from metasync.contract import AttributeSchema, Kind, KindSchema, Reference, Schema, Type
from metasync.engagement.model import Engagement, Mapping_, Profile, RewriteCall
from metasync.host import Host
from metasync.synchronising import interpret
from metasync.synchronising.program import ObjectError, Places, Program, compile_program
from metasync.testing.small import SmallPlugin

ATTRIBUTES = ("mail", "sn", "givenName", "employee id", "title")
EXPRESSIONS = (
    "source.mail",
    "source.mail.lower()",
    'source.sn + ", " + source.givenName',
    'source.mail != null && source.mail.endsWith("@a.test") ? source.mail : null',
    'source["employee id"].digits()',
    "source.title == null ? clear() : source.title",
    'source.sn == "x" ? keep() : source.sn',
    '[source.sn, source.givenName].joined(" ")',
    "hr.title",
    "mv.title",
    "target.sn == null ? source.sn : target.sn",
    'wave.state == "waiting"',
    "source.sn.short(2).lower()",
    "source.proxies",
    "source.sn > source.givenName",
)
REWRITES = (
    (),
    (RewriteCall(name="lower"),),
    (RewriteCall(name="lower"), RewriteCall(name="short", arguments=(3,))),
    (RewriteCall(name="digits"),),
)
CONDITIONS = (None, "source.mail != null", 'wave.state != "cut over"', "source.enabled")

HOST = Host.of(SmallPlugin())
SCHEMA = Schema(
    kinds={
        Kind.USER: KindSchema(
            kind=Kind.USER,
            attributes={
                "cn": AttributeSchema(name="cn", alias="name"),
                "manager": AttributeSchema(name="manager", type=Type.REFERENCE),
            },
            open=True,
        )
    }
)

texts = st.text("aXß@.1 é", max_size=6).map(lambda value: value or None)
values: st.SearchStrategy[Any] = st.one_of(
    st.none(), texts, st.booleans(), st.integers(-9, 9), st.lists(st.sampled_from("abc"), max_size=3, unique=True).map(tuple)
)
images = st.fixed_dictionaries(
    {}, optional={name: values.filter(lambda value: value not in (None, ())) for name in (*ATTRIBUTES, "proxies", "enabled", "name")}
)
mappings = st.builds(
    lambda name, expression, rewrite, when: Mapping_(attribute=name, expression=expression, rewrite=rewrite, when=when),
    st.sampled_from(("a", "b", "c", "cn")),
    st.sampled_from((*EXPRESSIONS, "source.cn")),
    st.sampled_from(REWRITES),
    st.sampled_from(CONDITIONS),
)


def program_of(*mapped: Mapping_, where: str | None = None) -> Program:
    from metasync.engagement.model import Directory, Scope

    profile = Profile(
        name="staff",
        source_kind=Kind.USER,
        target_kind=Kind.USER,
        sources=("contoso",),
        target="fabrikam",
        scope=Scope(where=where),
        map={one.attribute: one for one in mapped},
    )
    directories = {name: Directory(name=name, connector="memory", options={}) for name in ("contoso", "fabrikam", "hr")}
    engagement = Engagement(name="e", path="e.yaml", plugins={}, directories=directories, profiles={"staff": profile})
    return compile_program(engagement, HOST, {"contoso": SCHEMA, "fabrikam": SCHEMA}, profile, "contoso", Places())


def desired(program: Program, environment: Any) -> dict[str, Any]:
    return dict(zip(program.expressions, program.desired(environment), strict=True))


def outcome(compute: Any) -> Any:
    try:
        return compute()
    except ObjectError as error:
        return error.attribute, str(error)


@given(mapped=st.lists(mappings, max_size=4, unique_by=lambda one: one.attribute), images=st.tuples(images, images, images, images))
@settings(max_examples=300, deadline=None)
def test_program_and_interpreter_are_equal(mapped: list[Mapping_], images: tuple[dict[str, Any], ...]) -> None:
    program = program_of(*mapped)
    environment = {"source": images[0], "target": images[1], "hr": images[2], "mv": images[3], "wave": {"state": "waiting"}}
    assert outcome(lambda: desired(program, environment)) == outcome(lambda: interpret.desired(program, environment)[0])


@given(
    image=images,
    where=st.sampled_from(
        ('source.mail != null && source.mail.lower().endsWith("@a.test")', "source.enabled", "source.sn == source.title")
    ),
)
@settings(max_examples=200, deadline=None)
def test_scope_is_equal_too(image: dict[str, Any], where: str) -> None:
    program = program_of(where=where)
    environment = {"source": image}
    assert outcome(lambda: program.in_where(environment)) == outcome(lambda: interpret.in_where(program, environment)[0])


def test_an_error_names_the_attribute_and_no_other_is_lost() -> None:
    program = program_of(Mapping_(attribute="a", expression="source.sn"), Mapping_(attribute="b", expression="source.mail.endsWith('x')"))
    assert outcome(lambda: desired(program, {"source": {"sn": "x"}}))[0] == "b"


def test_a_standard_name_is_found_by_its_alias() -> None:
    program = program_of(Mapping_(attribute="cn", expression="source.cn"))
    assert desired(program, {"source": {"name": "Anna"}}) == {"name": "Anna"}


def test_references_are_kept_out_of_the_scalar_program() -> None:
    program = program_of(Mapping_(attribute="manager", expression="source.manager"), Mapping_(attribute="a", expression="source.sn"))
    assert [one.attribute for one in program.references] == ["manager"]
    assert desired(program, {"source": {"sn": "x", "manager": Reference(value="1")}}) == {"a": "x"}
