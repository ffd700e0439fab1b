"""Distinguished names are taken apart, compared and moved as RFC 4514 says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasync import dn

words = st.text(alphabet='aB ,+=\\"<>;#é', min_size=1, max_size=6)


def escaped(value: str) -> str:
    """RFC 4514, section 2.4."""
    out = ["\\" + one if one in ',+"\\<>;=' else one for one in value]
    if value[0] in "# ":
        out[0] = "\\" + value[0]
    if value[-1] == " ":
        out[-1] = "\\ "
    return "".join(out)


@given(values=st.lists(words, min_size=1, max_size=4))
def test_what_is_joined_comes_apart_again(values: list[str]) -> None:
    parts = ["CN=" + escaped(value) for value in values]
    assert dn.split(",".join(parts)) == parts


@given(value=words)
def test_a_name_is_under_its_parent_and_not_under_another(value: str) -> None:
    name = f"CN={escaped(value)},OU=Staff,DC=a,DC=test"
    assert dn.is_under(name, "ou=staff, dc=A, dc=test")
    assert not dn.is_under(name, "OU=taff,DC=a,DC=test")
    assert dn.parent(name) == "OU=Staff,DC=a,DC=test"


@given(value=words)
def test_escapes_have_one_folded_form(value: str) -> None:
    hexadecimal = "".join("".join(f"\\{byte:02x}" for byte in one.encode()) for one in value)
    assert dn.folded("CN=" + hexadecimal) == dn.folded("cn=" + escaped(value))


@pytest.mark.parametrize(
    ("path", "mirrored"),
    [
        ("OU=Staff,DC=a", "OU=Imported,DC=b"),
        ("OU=Zürich,OU=Staff,DC=a", "OU=Zürich,OU=Imported,DC=b"),
        ("ou=x\\,y,OU=staff,dc=A", "ou=x\\,y,OU=Imported,DC=b"),
        ("OU=Other,DC=a", None),
    ],
)
def test_a_place_is_mirrored_below_another_tree(path: str, mirrored: str | None) -> None:
    assert dn.mirrored(path, "OU=Staff,DC=a", "OU=Imported,DC=b") == mirrored
