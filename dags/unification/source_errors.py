"""Adds a source's errors to clean columns: misspelt, padded, shortened and missing values.

Errors depend on person and source and not on the day, so a wrong value stays wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from unification.people import joined_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unification.people import People

    # Share of the rows, with a function of their values or a column that replaces them.
    Treatments = Sequence[tuple[float, Callable[[Any], Any] | Any]]

EMPTY_MARKS = ("", " ", "n/a", "-", "NULL")
MARKED_EMPTY_SHARE = 0.3  # share of the gaps in text; the others are nulls


@dataclass(frozen=True)
class SourceWriter:
    """Writes people as one source records them."""

    people: People
    source: str

    def apply(self, field: str, values: Any, treatments: Treatments) -> Any:
        """Apply each treatment to its share of the rows; leave the other rows unchanged.

        Args:
            field: name of the field; it selects the rows.
            values: the clean column.
            treatments: shares of the rows, with a function or a column for each.
        """
        draws = self.people.random.share(self.people.ids, f"{self.source} {field}")
        low = 0.0
        for share, treatment in treatments:
            is_drawn = pa.array((draws >= low) & (draws < low + share))
            replacements = treatment(values.filter(is_drawn)) if callable(treatment) else treatment.filter(is_drawn)
            values = pc.replace_with_mask(values, is_drawn, replacements)
            low += share
        return values

    def with_gaps(self, field: str, values: Any, share: float) -> Any:
        """Replace a share of the values with nulls, and in text partly with markers such as `n/a`.

        Args:
            field: name of the field; it selects the rows.
            values: the clean column.
            share: share of the rows, 0 to 1.
        """
        if not pa.types.is_string(values.type):
            return self.apply(f"{field} gaps", values, [(share, _nulls)])
        marked = share * MARKED_EMPTY_SHARE / len(EMPTY_MARKS)
        marks = [(marked, always(mark)) for mark in EMPTY_MARKS]
        return self.apply(f"{field} gaps", values, [(share * (1 - MARKED_EMPTY_SHARE), _nulls), *marks])

    def emails(self, *, missing: float, mistyped: float) -> Any:
        """Return email addresses: some in capitals, padded, misspelt or missing."""
        mistakes: Treatments = [
            (0.04, pc.utf8_upper),
            (0.05, pc.utf8_capitalize),
            (0.015, lambda values: joined_text(" ", values)),
            (0.02, lambda values: joined_text(values, "  ")),
            (0.002, lambda values: joined_text(values, "\u00a0")),
            (0.002, lambda values: joined_text("\t", values)),
            (mistyped / 5, lambda values: pc.replace_substring(values, "@", " at ")),
            (mistyped / 5, lambda values: pc.replace_substring(values, ".", "..", max_replacements=1)),
            (mistyped / 5, lambda values: pc.replace_substring_regex(values, r"\.(\w+)$", r",\1")),
            (mistyped / 5, lambda values: joined_text(values, ".")),
            (mistyped / 5, lambda values: joined_text(" ", pc.replace_substring(values, "@", "@@"))),
        ]
        return self.with_gaps("email", self.apply("email", self.people.emails(), mistakes), missing)

    def phones(self, *, missing: float) -> Any:
        """Return phone numbers: E.164, with 00, spaced, without country code, or invalid."""
        clean = self.people.phones()
        dial = self.people.countries("dial")
        spellings: Treatments = [
            (0.12, lambda values: joined_text("00", pc.utf8_slice_codeunits(values, 1))),
            (
                0.20,
                lambda values: pc.replace_substring_regex(values, r"^(\+\d\d)(\d{3})(\d{3})", r"\1 \2 \3-"),
            ),
            (0.06, lambda values: pc.replace_substring_regex(values, r"^(\+\d\d)(\d{3})", r"(\1) \2/")),
            (0.12, _national(clean, dial)),
            (0.02, always("12345")),
            (0.01, always("ask again")),
        ]
        return self.with_gaps("phone", self.apply("phone", clean, spellings), missing)

    def names(self, field: str, own_script: Any, in_ascii: Any, *, missing: float) -> Any:
        """Return names: some in ASCII, in one case, padded, cut to an initial, or missing.

        Args:
            field: name of the field; it selects the rows.
            own_script: names in their own script.
            in_ascii: the same names in ASCII.
            missing: share of the rows without a name, 0 to 1.
        """
        mistakes: Treatments = [
            (0.06, pc.utf8_capitalize(in_ascii)),
            (0.02, pc.utf8_upper),
            (0.02, pc.utf8_lower),
            (0.02, lambda values: joined_text(values, " ")),
            (0.02, lambda values: joined_text(pc.utf8_slice_codeunits(values, 0, 1), ".")),
        ]
        return self.with_gaps(field, self.apply(field, own_script, mistakes), missing)


def _national(clean: Any, dial: Any) -> Any:
    """Return numbers in national form: 0 in place of the country code."""
    # RE2 has no back-references, so the code is cut by its length.
    lengths = pc.utf8_length(dial)
    national = clean
    for length in (1, 2, 3):
        without_code = joined_text("0", pc.utf8_slice_codeunits(clean, 1 + length))
        national = pc.if_else(pc.equal(lengths, length), without_code, national)
    return national


def _nulls(values: Any) -> Any:
    """Return a null for each value."""
    return pa.nulls(len(values), values.type)


def always(value: Any) -> Callable[[Any], Any]:
    """Return a treatment that replaces every value with this one."""
    return lambda values: pa.repeat(pa.scalar(value, values.type), len(values))
