"""An ordered set of people's numbers, for lists, tags and the pages that are read from them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Members:
    """Numbers, readable in either direction from any number on, while people come and go."""

    def __init__(self) -> None:
        self.numbers: dict[int, None] = {}
        self._order: list[int] = []
        self._ordered = True

    def add(self, number: int) -> None:
        """Enrol a number that is not there."""
        self.numbers[number] = None
        self._ordered = self._ordered and (not self._order or self._order[-1] < number)
        self._order.append(number)

    def remove(self, number: int) -> None:
        """Strike a number off; its place is skipped until the next ordering."""
        del self.numbers[number]

    def after(self, number: int) -> Iterator[int]:
        """Yield the higher numbers, ascending."""
        order = self._sorted()
        for at in range(bisect_right(order, number), len(order)):
            if order[at] in self.numbers:
                yield order[at]

    def before(self, number: int) -> Iterator[int]:
        """Yield the lower numbers, descending."""
        order = self._sorted()
        for at in range(bisect_left(order, number) - 1, -1, -1):
            if order[at] in self.numbers:
                yield order[at]

    def _sorted(self) -> Sequence[int]:
        if not self._ordered or len(self._order) > 2 * len(self.numbers) + 100:
            self._order, self._ordered = sorted(self.numbers), True
        return self._order
