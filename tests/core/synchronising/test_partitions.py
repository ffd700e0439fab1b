"""How a synchronisation is cut into parts for several workers."""

from __future__ import annotations

import pytest

from metasync.synchronising.partitions import PARTITION, SLICES, SMALL, Partition, Slice, _parts

SIZE = PARTITION // SLICES


def slices(number: int) -> list[Slice]:
    """So many slices of objects whose numbers have gaps."""
    return [(at * 10 * SIZE, at * 10 * SIZE + 3 * SIZE, SIZE) for at in range(number)]


def test_what_is_small_is_not_divided() -> None:
    assert _parts("people", slices(2 * SLICES - 1)) == []


@pytest.mark.parametrize("number", [2 * SLICES, 2 * SLICES + 1, 3 * SLICES, 10 * SLICES, 10 * SLICES + 3])
def test_every_slice_is_in_one_part_and_the_last_parts_are_small(number: int) -> None:
    given = slices(number)
    parts = _parts("people", given)
    assert [part.first for part in parts] == sorted(part.first for part in parts)
    covered = [[one for one in given if part.first <= one[0] and one[1] <= part.last] for part in parts]
    assert [one for some in covered for one in some] == given
    assert all(0 < len(some) <= SLICES for some in covered)
    assert parts[-SMALL * SLICES :] == [Partition(profile="people", first=one[0], last=one[1]) for one in given[-SMALL * SLICES :]]
