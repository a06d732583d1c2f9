"""The vendor's fields as an audience's exports last saw them: `known fields, types now -> known fields`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

BY_NAME = "name:"
"""Before the name of a known field, because the name of one field may be the key of another."""


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
    fields: Mapping[str, KnownField],
    types: Mapping[str, str],
    created: Collection[str] = (),
    keys: Mapping[str, str] | None = None,
) -> dict[str, KnownField]:
    """Return the known fields of an audience, with those of one export as they are at the vendor now.

    A field whose values the vendor has lost gets its next generation. The generation is part of a row's hash, so every
    export sends each value of the field again, also to a person who comes back to its segment later. Two exports may
    name a field in two ways: by its name or by its key, and in any case. A field that does not exist yet has only its
    name, so a field is known under its key, and under its name if that is different.

    Args:
        fields: the known fields. The keys of this mapping are a field's key in lower case, and `name:` with its name.
        types: by name, `KnownField.type` of the export's fields now.
        created: names of the fields that the run creates.
        keys: by name, the vendor's key of a field; a field without one has its name as its key.
    """
    updated = dict(fields)
    for name, type_now in types.items():
        key = (keys or {}).get(name, name).lower()
        by_name = f"{BY_NAME}{name.lower()}"
        before = next((updated[each] for each in (key, by_name) if each in updated), None)
        generations = [updated[each].generation for each in (key, by_name, name.lower()) if each in updated]
        is_lost = name in created or (before is not None and before.is_other(type_now))
        names = (key,) if key == name.lower() else (key, by_name)
        updated |= dict.fromkeys(names, KnownField(type_now, max(generations, default=0) + is_lost))
    return updated
