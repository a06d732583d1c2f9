"""Clean columns -> columns as a source wrote them down: misspelt, padded, shortened, left out.

What a source got wrong it goes on getting wrong: errors depend on person and source, not on the day.
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

    # What happens to a share of the rows: a function of their values, or a column to take them from.
    Treatments = Sequence[tuple[float, Callable[[Any], Any] | Any]]

EMPTY_MARKS = ("", " ", "n/a", "-", "NULL")
MARKED_EMPTY_SHARE = 0.3  # of the gaps in text; the others are proper nulls


@dataclass(frozen=True)
class Pen:
    """How one source writes its people down."""

    people: People
    source: str

    def treat(self, field: str, values: Any, treatments: Treatments) -> Any:
        """Give each share of the rows its own treatment; the rest stays as it is."""
        luck = self.people.draws.share(self.people.ids, f"{self.source} {field}")
        low = 0.0
        for share, treatment in treatments:
            hit = pa.array((luck >= low) & (luck < low + share))
            part = treatment(values.filter(hit)) if callable(treatment) else treatment.filter(hit)
            values = pc.replace_with_mask(values, hit, part)
            low += share
        return values

    def gaps(self, field: str, values: Any, share: float) -> Any:
        """Leave a share of the values out; in text, some by a word that stands for nothing."""
        if not pa.types.is_string(values.type):
            return self.treat(f"{field} gaps", values, [(share, _nothing)])
        marked = share * MARKED_EMPTY_SHARE / len(EMPTY_MARKS)
        marks = [(marked, always(mark)) for mark in EMPTY_MARKS]
        return self.treat(f"{field} gaps", values, [(share * (1 - MARKED_EMPTY_SHARE), _nothing), *marks])

    def emails(self, *, missing: float, mistyped: float) -> Any:
        """Addresses: in any case, with space around, with bad syntax, or none."""
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
        return self.gaps("email", self.treat("email", self.people.emails(), mistakes), missing)

    def phones(self, *, missing: float) -> Any:
        """Numbers: E.164, with 00, spaced, without country code, or none that could be called."""
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
        return self.gaps("phone", self.treat("phone", clean, spellings), missing)

    def names(self, field: str, own_script: Any, in_ascii: Any, *, missing: float) -> Any:
        """Names: in ASCII, shouted, whispered, padded, cut to an initial, or none."""
        mistakes: Treatments = [
            (0.06, pc.utf8_capitalize(in_ascii)),
            (0.02, pc.utf8_upper),
            (0.02, pc.utf8_lower),
            (0.02, lambda values: joined_text(values, " ")),
            (0.02, lambda values: joined_text(pc.utf8_slice_codeunits(values, 0, 1), ".")),
        ]
        return self.gaps(field, self.treat(field, own_script, mistakes), missing)


def _national(clean: Any, dial: Any) -> Any:
    """The number as written at home: 0 in place of the country code."""
    # RE2 knows no back-references, so the code is cut off by its length.
    lengths = pc.utf8_length(dial)
    national = clean
    for length in (1, 2, 3):
        rest = joined_text("0", pc.utf8_slice_codeunits(clean, 1 + length))
        national = pc.if_else(pc.equal(lengths, length), rest, national)
    return national


def _nothing(values: Any) -> Any:
    return pa.nulls(len(values), values.type)


def always(value: Any) -> Callable[[Any], Any]:
    """One value in place of whatever was there."""
    return lambda values: pa.repeat(pa.scalar(value, values.type), len(values))
