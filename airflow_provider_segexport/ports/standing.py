"""Who owns an audience, and the newest state that was begun for it: written before the first call of a run.

The ledger tells what was reached; a run that is killed on its way writes none. The standing is there before, so that an
older snapshot finds out all the same, and a second export meets the first one's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from airflow_provider_segexport.errors import OwnedByAnother
from airflow_provider_segexport.ports.places import Place, folder, read, write

MOST_SHARERS = 63
"""Each has a bit of an unsigned 64-bit number in the ledger."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands beside a ledger.

    Attributes:
        owner: the export that owns the audience, by its name; the first of the sharers.
        shared: it may be shared with others that say so too.
        sharers: exports that have used it, each by its place in the bits of `holders`.
        as_of: the newest state that was begun, ISO 8601; empty before the first.
        run: who began it.
        segment: what it exported, as it was told.
        open: run folder of a run that has begun, and whose verdicts are not in the ledger yet; empty when all are.
        optouts_at: until when the vendor's opt-outs have been read, epoch seconds.
        resend: by export, fields that were made at the vendor since it was finished last: their values go out again.
        fields: by export, what each field that it fed held when it was finished last, by the vendor's name.
    """

    owner: str = ""
    shared: bool = False
    sharers: tuple[str, ...] = ()
    as_of: str = ""
    run: str = ""
    segment: str = ""
    open: str = ""
    optouts_at: float = 0.0
    resend: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, place: Place) -> Standing:
        """What is known; nothing where nothing ran yet."""
        file = place / "standing.json"
        if not file.exists():
            return cls()
        found = json.loads(read(file))
        return cls(**{**found, "sharers": tuple(found["sharers"])})

    def write(self, place: Place) -> None:
        """Replace what is known."""
        write(folder(place) / "standing.json", json.dumps(asdict(self), indent=2).encode())

    def joined(self, export: str, *, shared: bool) -> Standing:
        """With this export in it.

        Raises:
            OwnedByAnother: the audience is another's, and not both of them share.
        """
        others = tuple(one for one in self.sharers if one != export)
        if others and not (shared and (self.shared or self.owner == export)):
            raise OwnedByAnother(
                f"This audience is owned by the export {self.owner or others[0]!r}; this one is {export!r}. Choose "
                "another audience, set `shared=True` in both, or, if this is the same export under a new name, set "
                f"`export_name={self.owner or others[0]!r}`."
            )
        sharers = self.sharers if export in self.sharers else (*self.sharers, export)
        if len(sharers) > MOST_SHARERS:
            raise OwnedByAnother(f"This audience is shared by {MOST_SHARERS} exports, as many as there may be.")
        return replace(self, owner=self.owner or export, shared=shared, sharers=sharers)

    def resending(self, names: Iterable[str]) -> Standing:
        """With these fields among those whose values every export of the audience sends again."""
        exports = {*self.sharers, *self.resend}
        return replace(self, resend={one: sorted({*self.resend.get(one, ()), *names}) for one in exports})

    def stale(self, export: str, fields: Mapping[str, str]) -> frozenset[str]:
        """Fields, of those that an export feeds, whose values the vendor has lost: made anew, or of another type."""
        before = self.fields.get(export, {})
        changed = {name for name, kind in fields.items() if before.get(name, kind) != kind}
        return frozenset(changed | (fields.keys() & set(self.resend.get(export, ()))))

    def sent(self, export: str, fields: Mapping[str, str]) -> Standing:
        """After an export was finished that fed these fields."""
        left = [name for name in self.resend.get(export, ()) if name not in fields]
        return replace(self, resend={**self.resend, export: left}, fields={**self.fields, export: dict(fields)})

    def bit(self, export: str) -> int:
        """The bit by which the ledger tells that this export holds a person."""
        return 1 << self.sharers.index(export)
