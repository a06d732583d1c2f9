"""Who uses an audience, and the newest state that each export began: written before the first call of a run.

The ledger holds what was reached; a run that is killed on its way writes none. This file is written before, so that an
older snapshot of the same export is refused all the same, and a second export meets the first one's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

from airflow_provider_segexport.errors import AudienceOwnedByOther, DamagedState, RetryableError
from airflow_provider_segexport.fencing import NO_FENCE, Fence
from airflow_provider_segexport.storage.ledger import files_of
from airflow_provider_segexport.storage.paths import StoragePath, folder, listing
from airflow_provider_segexport.storage.sealing import read_json, write_json

MOST_SHARERS = 63
"""Each has a bit of an unsigned 64-bit number in the ledger."""

MOST_READ = 10
GONE = "it is gone"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A superseded run that has not confirmed its stop.

    Attributes:
        folder: its run folder, with the journal that it may still write.
        mark: its process (`Lease.mark`).
        at: when it was superseded, epoch seconds.
    """

    folder: str
    mark: str
    at: float


def token_of(name: str) -> int | None:
    """The fencing token in the name of an audience's state file; None for any other file."""
    if name == "audience_state.json":
        return 0
    token = name.removeprefix("audience_state-").removesuffix(".json")
    return int(token) if name == f"audience_state-{token}.json" and token.isdecimal() else None


@dataclass(frozen=True, slots=True)
class AudienceState:
    """What is known of an audience beside its ledger.

    Attributes:
        owner: the export that owns the audience, by its name; the first of the sharers.
        shared: it may be shared with others that say so too.
        sharers: exports that have used it, each by its place in the bits of `holders`; empty for one that was released.
        begun: by export, the newest state that it began, ISO 8601.
        run: the run that began last.
        segment: what that run exported.
        open_run_folder: run folder of a run that has begun, and whose verdicts are not in the ledger yet; empty when
            all are.
        optouts_at: by export, until when it has read the vendor's opt-outs, epoch seconds.
        resend: by export, fields that were made at the vendor since it was finished last: their values go out again.
        fields: by export, what each field that it fed held when it was finished last, by the vendor's name: the type,
            and after a blank the vendor's id of the field, if the vendor tells one.
        writer_token: the process that wrote `open` (`Lease.mark`).
        doubts: superseded runs that have not confirmed their stop, and may have sent something since.
        version: the ledger's newest version when this was written.
    """

    owner: str = ""
    shared: bool = False
    sharers: tuple[str, ...] = ()
    begun: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    segment: str = ""
    open_run_folder: str = ""
    optouts_at: Mapping[str, float] = field(default_factory=dict)
    resend: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    writer_token: str = ""
    doubts: tuple[Doubt, ...] = ()
    version: int = 0

    @classmethod
    def of(cls, path: StoragePath) -> AudienceState:
        """What is known; nothing where nothing ran yet.

        Raises:
            DamagedState: the state cannot be read or is gone, or the ledger's newest version is gone.
        """
        state = cls.read(path)
        if state.version > max(files_of(listing(path)), default=0):
            raise DamagedState(str(path / f"{state.version:08d}.parquet"), GONE)
        return state

    @classmethod
    def read(cls, path: StoragePath) -> AudienceState:
        """What is known, whatever has become of the ledger.

        Raises:
            DamagedState: it cannot be read, or is gone: each version of a ledger is written after it.
        """
        for _ in range(MOST_READ):
            held = listing(path)
            file = max(((token_of(name), name) for name in held if token_of(name) is not None), default=None)
            if file is None:
                if max(files_of(held), default=0):
                    raise DamagedState(str(path / "audience_state.json"), GONE)
                return cls()
            with suppress(FileNotFoundError):  # a later holder has written its own meanwhile
                content = read_json(path / file[1], bare=True)
                try:
                    doubts = tuple(Doubt(**doubt) for doubt in content.get("doubts", ()))
                    return cls(**{**content, "sharers": tuple(content["sharers"]), "doubts": doubts})
                except (KeyError, TypeError):
                    raise DamagedState(str(path / file[1]), "it does not hold an audience's state") from None
        raise RetryableError(
            "The state of this audience changes faster than it can be read. Another try reads it again."
        )

    def write(self, path: StoragePath, fence: Fence = NO_FENCE) -> None:
        """Replace what is known, while this run holds the audience.

        The name carries the fencing token, and the highest token counts: what a superseded run writes late is never
        read.

        Raises:
            Superseded: another run has taken the audience over.
        """
        fence.check()
        name = f"audience_state-{fence.number:08d}.json" if fence.number else "audience_state.json"
        held = listing(path)
        version = max(files_of(held), default=0)
        write_json(folder(path) / name, asdict(replace(self, version=version)), indent=2)
        for other in held:
            token = token_of(other)
            if token is not None and token < fence.number:
                with suppress(OSError):
                    (path / other).unlink(missing_ok=True)

    @property
    def is_shared(self) -> bool:
        """Whether the ledger may hold what more than one export has delivered."""
        return len(self.sharers) > 1

    def others(self, export: str) -> tuple[str, ...]:
        """The other exports that use the audience."""
        return tuple(name for name in self.sharers if name and name != export)

    def with_sharer(self, export: str, *, shared: bool) -> AudienceState:
        """With this export in it.

        Raises:
            AudienceOwnedByOther: the audience is another's, and not both of them share.
        """
        others = self.others(export)
        if others and export in self.sharers and not shared:
            raise AudienceOwnedByOther(
                f"This audience is shared by {export!r} and {', '.join(map(repr, others))}, and this run says "
                f"`allow_shared_audience=False`. To fix: set `allow_shared_audience=True`, or, if an export is "
                f"retired, release it: `airflow segexport release AUDIENCE --export {others[0]}`."
            )
        if others and export not in self.sharers and not (shared and self.shared):
            owner = self.owner or others[0]
            raise AudienceOwnedByOther(
                f"This audience is owned by the export {owner!r}; this one is {export!r}. Choose another audience, set "
                "`allow_shared_audience=True` in both, or, if this is the same export under a new name, set "
                f"`export_name={owner!r}` or hand the audience over: `airflow segexport release AUDIENCE --export "
                f"{owner} --to {export}`."
            )
        return replace(self, owner=self.owner or export, shared=shared, sharers=self._with(export))

    def _with(self, export: str) -> tuple[str, ...]:
        """The sharers with this one; the place of a released export is taken when there is no other."""
        if export in self.sharers:
            return self.sharers
        if len(self.sharers) < MOST_SHARERS:
            return (*self.sharers, export)
        if "" not in self.sharers:
            raise AudienceOwnedByOther(f"This audience is shared by {MOST_SHARERS} exports, as many as there may be.")
        free = self.sharers.index("")
        return (*self.sharers[:free], export, *self.sharers[free + 1 :])

    def began(self, export: str, as_of: str, segment: str = "") -> AudienceState:
        """With the state that an export begins; without one where `as_of` is empty."""
        begun = {name: moment for name, moment in self.begun.items() if name != export}
        return replace(self, begun={**begun, export: as_of} if as_of else begun, segment=segment)

    def opened(self, run: str, place: str, mark: str) -> AudienceState:
        """With a run that begins, its folder and its process."""
        return replace(self, run=run, open_run_folder=place, writer_token=mark)

    def read_optouts(self, export: str, at: float) -> AudienceState:
        """With the time until which an export has read the vendor's opt-outs."""
        return replace(self, optouts_at={**self.optouts_at, export: at})

    def resending(self, names: Iterable[str]) -> AudienceState:
        """With these fields among those whose values every export of the audience sends again."""
        exports = {*self.sharers, *self.resend}
        return replace(self, resend={one: sorted({*self.resend.get(one, ()), *names}) for one in exports})

    def stale(self, export: str, fields: Mapping[str, str]) -> frozenset[str]:
        """Fields, of those that an export feeds, whose values the vendor has lost: made anew, or of another type."""
        before = self.fields.get(export, {})
        changed = {name for name, holds in fields.items() if _another(before.get(name, holds), holds)}
        return frozenset(changed | (fields.keys() & set(self.resend.get(export, ()))))

    def sent(self, export: str, fields: Mapping[str, str]) -> AudienceState:
        """After an export was finished that fed these fields."""
        left = [name for name in self.resend.get(export, ()) if name not in fields]
        return replace(self, resend={**self.resend, export: left}, fields={**self.fields, export: dict(fields)})

    def sharer_bit(self, export: str) -> int:
        """The bit by which the ledger tells that this export holds a person."""
        return 1 << self.sharers.index(export)


def _another(before: str, now: str) -> bool:
    """Whether a field has another type, or another id, than it had."""
    (old, _, old_id), (new, _, new_id) = before.partition(" "), now.partition(" ")
    return old != new or bool(old_id and new_id and old_id != new_id)
