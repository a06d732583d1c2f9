"""Who owns an audience, and the newest state that was begun for it: written before the first call of a run.

The ledger tells what was reached; a run that is killed on its way writes none. The standing is there before, so that an
older snapshot finds out all the same, and a second export meets the first one's name.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

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
    """

    owner: str = ""
    shared: bool = False
    sharers: tuple[str, ...] = ()
    as_of: str = ""
    run: str = ""
    segment: str = ""
    open: str = ""
    optouts_at: float = 0.0

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

    def bit(self, export: str) -> int:
        """The bit by which the ledger tells that this export holds a person."""
        return 1 << self.sharers.index(export)
