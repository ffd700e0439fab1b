"""Whatever stands in a document, it is loaded or refused in words with a place; nothing else is ever raised."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metasync.engagement.load import DocumentError, check, parse, read
from metasync.host import Host

EXAMPLE = read(Path(__file__).with_name("example.yaml")).data

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x85"), max_size=12)
    | st.sampled_from(
        ["user", "contoso", "source.mail", "keep", "delete", "secret", "{n}", "90 days", "mv.title", "lower", "a.b", "-", "'"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["from", "secret", "user", "after", "delete", "move", "union", "x", "on", "mirror", ""]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [path] if path else []
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        found += paths(value, (*path, key))
    return found


PLACES = paths(EXAMPLE)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), JUNK), min_size=1, max_size=4))
def test_a_document_with_junk_anywhere_is_loaded_or_refused_in_words(host: Host, changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    data = copy.deepcopy(dict(EXAMPLE))
    for path, junk in changes:
        node: Any = data
        try:
            for step in path[:-1]:
                node = node[step]
            node[path[-1]] = junk
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    # JSON is YAML, so that the document needs no writer of its own.
    text = orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()
    try:
        check(parse(text, "e.yaml"), host)
    except DocumentError as error:
        assert error.problems
        assert all(problem.line >= 1 and problem.column >= 1 and problem.text for problem in error.problems)
