"""Which objects an import has seen: one bit per object, so that a million of them takes 125 kB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


class Seen:
    """A set of object ids, which are small and dense."""

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._bits = bytearray()
        self._count = 0
        self.fresh: list[int] | None = None
        """What came since it was last kept in the database, and is not told by its own row; None: nothing is kept."""
        for one in ids:
            self.add(one)

    def __contains__(self, object_id: int) -> bool:
        index = object_id >> 3
        return index < len(self._bits) and bool(self._bits[index] & (1 << (object_id & 7)))

    def __iter__(self) -> Iterator[int]:
        for index, byte in enumerate(self._bits):
            if byte:
                yield from ((index << 3) + bit for bit in range(8) if byte & (1 << bit))

    def __len__(self) -> int:
        return self._count

    def wrote(self, object_ids: Sequence[int]) -> None:
        """The import has seen these, and made a row of each, which tells so: they are not kept beside it."""
        fresh, self.fresh = self.fresh, None
        for one in object_ids:
            self.add(one)
        self.fresh = fresh

    def discard(self, object_ids: Iterable[int]) -> None:
        """These are not there any more."""
        for one in object_ids:
            if one in self:
                self._bits[one >> 3] ^= 1 << (one & 7)
                self._count -= 1

    def add(self, object_id: int) -> bool:
        """The import has seen it; False: it had before."""
        index, bit = object_id >> 3, 1 << (object_id & 7)
        bits = self._bits
        if index >= len(bits):
            bits.extend(bytes(index + 4096 - len(bits)))
        if bits[index] & bit:
            return False
        bits[index] |= bit
        self._count += 1
        if self.fresh is not None:
            self.fresh.append(object_id)
        return True
