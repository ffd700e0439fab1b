"""What a connector says of itself: options, identity, schema."""

from __future__ import annotations

import re

import pytest
from marshmallow import ValidationError, fields

from metasync.contract import Allow, Operation, Restores, Role, Secret, Taken, Type, Writes
from metasync.testing.suite.base import Suite, needs
from metasync.testing.suite.bench import Bench, plain_attributes
from metasync.testing.suite.harness import Harness as AnyHarness
from metasync.testing.values import standard_name

SECRET_LIKE = re.compile(r"passw|secret|token|credential|private|api_?key|(^|_)key$", re.IGNORECASE)

_OPERATION_NEEDS = {
    Operation.RENAME: Role.NAME,
    Operation.MOVE: Role.PATH,
    Operation.ENABLE: Role.ENABLED,
    Operation.DISABLE: Role.ENABLED,
}


class DescribingSuite(Suite):
    """Options, check, discover, close."""

    def test_the_connector_has_a_name_and_a_title(self) -> None:
        connector = self.Harness.connector
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", connector.name), "the name stands in documents: lower case, digits, - and _"
        assert connector.title, "the title is one line for a person"
        assert connector.commit_size >= 1

    def test_every_option_has_a_title_and_a_help(self) -> None:
        for name, field in self.Harness.connector.Options().fields.items():
            assert field.metadata.get("title"), f"the option {name} has no title"
            assert field.metadata.get("help"), f"the option {name} has no help"

    def test_an_option_named_like_a_secret_is_a_secret(self) -> None:
        for name, field in self.Harness.connector.Options().fields.items():
            if SECRET_LIKE.search(name) and not isinstance(field, fields.Boolean | fields.Integer):
                assert isinstance(field, Secret), (
                    f"the option {name} is named like a secret; make it a Secret, so that no document holds it"
                )

    def test_an_unknown_option_is_refused(self, harness: AnyHarness) -> None:
        with pytest.raises(ValidationError):
            harness.connector.Options().load({**harness.options(), "no such option": 1})

    def test_making_a_connector_does_not_connect(self, bench: Bench) -> None:
        bench.harness.open(bench.context).close()

    def test_closing_twice_does_no_harm(self, bench: Bench) -> None:
        bench.connector.check()
        bench.connector.close()
        bench.connector.close()

    def test_the_identity_lasts(self, bench: Bench) -> None:
        first = bench.connector.check().identity
        assert first, "the directory's own identity is what a revision is pinned to; it must not be empty"
        bench.put(1)
        assert bench.connector.check().identity == first
        assert bench.again().check().identity == first, "the identity changed with the connection"

    def test_discover_gives_the_same_again(self, bench: Bench) -> None:
        assert bench.connector.discover() == bench.schema
        assert bench.again().discover() == bench.schema

    def test_the_schema_is_sound(self, bench: Bench) -> None:
        for kind, schema in bench.schema.kinds.items():
            assert schema.kind is kind
            names = [standard_name(attribute) for attribute in schema.attributes.values()]
            assert len(set(names)) == len(names), f"two attributes of {kind} have one standard name"
            roles = {attribute.role: attribute for attribute in schema.attributes.values() if attribute.role not in (None, Role.SIGN_IN)}
            assert len(roles) == sum(a.role not in (None, Role.SIGN_IN) for a in schema.attributes.values()), (
                f"a role of {kind} stands twice"
            )
            for name, attribute in schema.attributes.items():
                assert name == attribute.name
                assert Allow.READ in attribute.allow, f"{name} of {kind} cannot be read"
            if Role.ENABLED in roles:
                assert roles[Role.ENABLED].type is Type.BOOLEAN and standard_name(roles[Role.ENABLED]) == "enabled"
            if Role.PATH in roles:
                assert standard_name(roles[Role.PATH]) == "path"
            if Role.NAME in roles:
                assert standard_name(roles[Role.NAME]) == "name"
            if "members" in names:
                members = next(a for a in schema.attributes.values() if standard_name(a) == "members")
                assert members.multi and members.type is Type.REFERENCE
            for operation in schema.operations:
                role = _OPERATION_NEEDS.get(operation)
                assert role is None or role in roles, f"{kind} lists {operation}, but no attribute has the role {role}"
            if schema.operations & {Operation.MEMBER_ADD, Operation.MEMBER_REMOVE}:
                assert "members" in names, f"{kind} lists member changes, but has no attribute members"

    def test_operations_and_protocols_agree(self, bench: Bench) -> None:
        operations = {operation for kind in bench.schema.kinds.values() for operation in kind.operations}
        assert bool(operations) == isinstance(bench.connector, Writes), (
            "a connector that writes lists its operations, one that does not lists none"
        )
        assert (Operation.RESTORE in operations) == isinstance(bench.connector, Restores)

    @needs(Writes)
    def test_the_harness_hides_nothing(self, bench: Bench) -> None:
        """What the schema has is to be tried: an author cannot leave tests out by not naming an attribute."""
        plain = bench.harness.writable(bench.kind)
        for name in (bench.harness.text, bench.harness.other):
            assert name in plain, f"Harness names {name}; it must be a writable attribute of {bench.kind.kind}"
        has = {
            "multi": any(a.multi and a.type is Type.STRING for a in plain.values()),
            "reference": any(not a.multi and a.type is Type.REFERENCE for a in plain.values()),
            "limited": any(not a.multi and a.type is Type.STRING and a.max_length for a in plain.values()),
            "unique": bool(set(bench.unique_names()) & plain.keys()) or isinstance(bench.connector, Taken),
            "places": Operation.MOVE in bench.kind.operations,
            "group": any(Operation.MEMBER_ADD in kind.operations for kind in bench.schema.kinds.values()),
        }
        for name, present in has.items():
            assert not present or getattr(bench.harness, name) is not None, (
                f"the directory has something to try Harness.{name} with: name it"
            )
        assert plain.keys() <= plain_attributes(bench.kind).keys(), "Harness.writable may take attributes out, not add any"
