"""What a page says of the product in a generated part is what the product does. `script/docs` writes those parts again."""

from __future__ import annotations

import re
from pathlib import Path

import generated
import picture
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", generated.pages(ROOT), ids=lambda page: page.name)
def test_a_page_is_what_would_be_generated(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generated.filled(text) == text, f"{page.name} differs; run script/docs"


def test_the_picture_is_what_the_demo_shows(tmp_path: Path, root: Path) -> None:
    kept = (root / "docs/images/plan.svg").read_text(encoding="utf-8")
    assert picture.plan_picture(tmp_path) == kept, "docs/images/plan.svg differs; run script/docs"


def test_every_part_that_can_be_generated_stands_in_one_page(root: Path) -> None:
    texts = [page.read_text(encoding="utf-8") for page in generated.pages(root)]
    parts = [name for text in texts for name in re.findall(r"<!-- generated: ([a-z -]+) -->", text)]
    assert sorted(parts) == sorted(generated.PARTS)


def test_a_part_that_nothing_makes_is_refused() -> None:
    with pytest.raises(generated.UnknownPart, match="nothing makes the part `weather`"):
        generated.filled("<!-- generated: weather -->\n<!-- end -->\n")


def test_what_stands_around_a_part_is_kept() -> None:
    page = generated.filled("before\n<!-- generated: exit codes -->\nold\n<!-- end -->\nafter\n")
    assert page.startswith("before\n<!-- generated: exit codes -->\n\n| code |")
    assert page.endswith("\n<!-- end -->\nafter\n")
    assert "old" not in page
