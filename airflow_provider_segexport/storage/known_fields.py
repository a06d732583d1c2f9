"""The vendor's fields as an audience's exports last saw them: `known fields, types now -> known fields`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownField:
    """A field of the vendor, as an export last saw it.

    Attributes:
        type: its type, and after a space the vendor's id of the field if there is one.
        generation: how often the vendor has lost the field's values: a run created the field, it was recreated, or its
            type changed.
    """

    type: str
    generation: int = 0

    def is_other(self, type_now: str) -> bool:
        """Return whether the field's type or vendor id has changed."""
        (old, _, old_id), (new, _, new_id) = self.type.partition(" "), type_now.partition(" ")
        return old != new or bool(old_id and new_id and old_id != new_id)


def update(
    fields: Mapping[str, KnownField], types: Mapping[str, str], created: Collection[str] = ()
) -> dict[str, KnownField]:
    """Return the fields of an audience by lower-case name, with those of one export as they are at the vendor now.

    A field whose values the vendor has lost gets its next generation. The generation is part of a row's hash, so every
    export sends each value of the field again, also to a person who comes back to its segment later. A vendor ignores
    the case of a field's name, so two exports may write it in two ways.

    Args:
        fields: by lower-case name, the fields that exports have fed before.
        types: by name, `KnownField.type` of the export's fields now.
        created: names of the fields that the run creates.
    """
    updated = dict(fields)
    for name, type_now in types.items():
        before = updated.get(name.lower(), KnownField(type_now))
        is_lost = name in created or before.is_other(type_now)
        updated[name.lower()] = KnownField(type_now, before.generation + is_lost)
    return updated
