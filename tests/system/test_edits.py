"""Each edit of the HR files shows in the plan as just that edit; after its export the plan is empty (laws 12 and 13)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from .office import Office, office
from .product import changes
from .stories import STORIES, Story

if TYPE_CHECKING:
    from lab.samba import Samba

pytestmark = pytest.mark.xdist_group("edits")
PEOPLE = 130


@pytest.fixture(scope="module")
def settled(samba: Samba, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A small company, in step. Every test leaves it in step."""
    with office(samba, tmp_path_factory.mktemp("edits"), PEOPLE) as made:
        made.first_day()
        assert changes(made.product.plan_only()) == []
        yield made


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_an_edit_is_planned_as_just_that_and_the_second_plan_is_empty(settled: Office, story: Story) -> None:
    for step in story(settled.company):
        settled.live(step)
