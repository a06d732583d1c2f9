"""Random numbers as a function of seed, person and purpose: the same arguments give the same number, in any order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Bits = npt.NDArray[np.uint64]
    Shares = npt.NDArray[np.float64]

# The multipliers and shifts of splitmix64: every input bit reaches every output bit.
_PERSON, _STEP = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1342543DE82EF95)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
_TO_MANTISSA = np.uint64(11)


@dataclass(frozen=True)
class SeededRandom:
    """Random numbers of one seed. ``step`` distinguishes repeated draws for one purpose, such as a person's moves."""

    seed: int

    def bits(self, ids: Ints, purpose: str, step: Ints | int = 0) -> Bits:
        """Return 64 uniform bits for each person.

        Args:
            ids: ids of people.
            purpose: name of the draw.
            step: number of the draw among repeated ones.
        """
        name = hashlib.blake2b(f"{self.seed}:{purpose}".encode(), digest_size=8).digest()
        steps = np.asarray(step, dtype=np.int64).reshape(-1).astype(np.uint64)
        mixed = ids.astype(np.uint64) * _PERSON
        mixed ^= steps * _STEP + np.frombuffer(name, dtype=np.uint64)
        mixed = (mixed ^ (mixed >> _SHIFT_1)) * _MIX_1
        mixed = (mixed ^ (mixed >> _SHIFT_2)) * _MIX_2
        return mixed ^ (mixed >> _SHIFT_3)

    def below(self, ids: Ints, purpose: str, limit: Ints | int, step: Ints | int = 0) -> Ints:
        """Return an integer for each person, at least 0 and below the limit.

        Args:
            ids: ids of people.
            purpose: name of the draw.
            limit: exclusive upper bound.
            step: number of the draw among repeated ones.
        """
        return (self.bits(ids, purpose, step) >> _TO_MANTISSA).astype(np.int64) % limit

    def share(self, ids: Ints, purpose: str, step: Ints | int = 0) -> Shares:
        """Return a float for each person, at least 0 and below 1.

        Args:
            ids: ids of people.
            purpose: name of the draw.
            step: number of the draw among repeated ones.
        """
        return (self.bits(ids, purpose, step) >> _TO_MANTISSA).astype(np.float64) / float(1 << 53)
