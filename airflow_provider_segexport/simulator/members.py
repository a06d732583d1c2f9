"""Ordered set of contact numbers, from which pages of a list or tag are read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Members:
    """Set of contact numbers that can be iterated up or down from any number while members are added and removed."""

    def __init__(self) -> None:
        self.numbers: dict[int, None] = {}
        self._order: list[int] = []
        self._ordered = True

    def add(self, number: int) -> None:
        """Add a number that is not in the set."""
        self.numbers[number] = None
        self._ordered = self._ordered and (not self._order or self._order[-1] < number)
        self._order.append(number)

    def remove(self, number: int) -> None:
        """Remove a number; the sorted list keeps it until the next sort, and iteration skips it."""
        del self.numbers[number]

    def after(self, number: int) -> Iterator[int]:
        """Yield the higher numbers, ascending."""
        order = self._sorted()
        for index in range(bisect_right(order, number), len(order)):
            if order[index] in self.numbers:
                yield order[index]

    def before(self, number: int) -> Iterator[int]:
        """Yield the lower numbers, descending."""
        order = self._sorted()
        for index in range(bisect_left(order, number) - 1, -1, -1):
            if order[index] in self.numbers:
                yield order[index]

    def _sorted(self) -> Sequence[int]:
        if not self._ordered or len(self._order) > 2 * len(self.numbers) + 100:
            self._order, self._ordered = sorted(self.numbers), True
        return self._order
