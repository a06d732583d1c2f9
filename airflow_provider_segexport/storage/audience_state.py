"""The state of an audience: its owner and sharers, and the newest snapshot that each export has started.

The state is written before a run's first call. The ledger is written after a run, so a killed run leaves no version of
the ledger. The state still shows whether a snapshot is older than the newest one that was started, and which export
owns the audience.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial

import msgspec

from airflow_provider_segexport.errors import AudienceOwnedByOther, DamagedState, RetryableError
from airflow_provider_segexport.fencing import NO_FENCE, Fence
from airflow_provider_segexport.storage.known_fields import KnownField
from airflow_provider_segexport.storage.ledger import Ledger, files_of
from airflow_provider_segexport.storage.local_copies import prefetch
from airflow_provider_segexport.storage.paths import StoragePath, ensure_folder, listing, remove
from airflow_provider_segexport.storage.sealing import read_json, write_json
from airflow_provider_segexport.storage.side_by_side import side_by_side

MAX_SHARERS = 63
"""Maximum exports of one audience. Each has one bit of the ledger's column `sharers_mask`."""

MAX_READ_ATTEMPTS = 10
"""Attempts to read the state while other processes replace it."""

GONE = "it is gone"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A superseded run that has not confirmed its stop.

    Attributes:
        folder: its run folder, whose journal it may still write.
        writer_token: token of its process (`Lease.writer_token`).
        superseded_at: epoch seconds.
    """

    folder: str
    writer_token: str
    superseded_at: float


def fencing_token_of(name: str) -> int | None:
    """Return the fencing token in the name of a state file; None for any other file."""
    if name == "audience_state.json":
        return 0
    token = name.removeprefix("audience_state-").removesuffix(".json")
    return int(token) if name == f"audience_state-{token}.json" and token.isdecimal() else None


@dataclass(frozen=True, slots=True)
class AudienceState:
    """The state of an audience.

    Attributes:
        owner: name of the export that owns the audience, which is the first sharer.
        shared: whether other exports may share the audience, if they allow sharing, too.
        sharers: names of the exports that have used the audience, in the order of their bits in the ledger's
            `sharers_mask`; a released export is replaced by an empty name.
        begun: by export, the newest snapshot that it has started, ISO 8601.
        run: the run that started last.
        last_runs: by export, the run that it started last, and the segment of that run.
        open_run_folder: folder of a started run whose results are not yet in the ledger; empty without one.
        optouts_at: by export, epoch seconds at which its last run ended that has read the vendor's opt-outs.
        optouts_version: by export, the version of the ledger that this run wrote.
        fields: the custom fields that exports have fed (see `known_fields.update`).
        is_planned: the plan in `open_run_folder` was frozen, so that run may have sent something.
        writer_token: token of the process that wrote `open_run_folder` (`Lease.writer_token`).
        doubts: superseded runs that have not confirmed their stop, so they may have sent something since.
        version: the ledger's newest version when the state was written.
        experiments: run folders that a repair has set aside and whose experiment the next run undoes.
    """

    owner: str = ""
    shared: bool = False
    sharers: tuple[str, ...] = ()
    begun: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    last_runs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    open_run_folder: str = ""
    optouts_at: Mapping[str, float] = field(default_factory=dict)
    optouts_version: Mapping[str, int] = field(default_factory=dict)
    fields: Mapping[str, KnownField] = field(default_factory=dict)
    writer_token: str = ""
    doubts: tuple[Doubt, ...] = ()
    version: int = 0
    is_planned: bool = False
    experiments: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: StoragePath, names: Sequence[str] | None = None) -> AudienceState:
        """Read the state of an audience; an empty one if no run has started.

        Args:
            path: the ledger's folder.
            names: the names in that folder, if they were just listed; None to list them.

        Raises:
            DamagedState: the state is damaged or deleted, or the ledger's newest version was deleted.
        """
        names = listing(path) if names is None else names
        state = cls._newest(path, names)
        # The state was read after the listing, so it may name a version that was written since. List the folder again.
        if state.version > max(files_of(names), default=0) and state.version > max(files_of(listing(path)), default=0):
            raise DamagedState(str(path / f"{state.version:08d}.parquet"), GONE)
        return state

    @classmethod
    def of_pinned(cls, ledger: Ledger) -> AudienceState:
        """Read the state of a pinned ledger, and copy the ledger's newest version to this machine at the same time."""
        version = ledger.version()
        files = [partial(prefetch, ledger.file(version))] if version else []
        state: AudienceState = side_by_side(ledger.path, partial(cls.of, ledger.path, ledger.names), *files)[0]
        return state

    @classmethod
    def read(cls, path: StoragePath) -> AudienceState:
        """Read the state of an audience without checking the ledger.

        Raises:
            DamagedState: the state is damaged, or it is missing although the ledger has a version.
        """
        return cls._newest(path, listing(path))

    @classmethod
    def _newest(cls, path: StoragePath, names: Sequence[str]) -> AudienceState:
        """Read the state file with the highest token among the names in the ledger's folder."""
        read_names = set()
        for _ in range(MAX_READ_ATTEMPTS):
            file = max(
                ((fencing_token_of(name), name) for name in names if fencing_token_of(name) is not None), default=None
            )
            if file is None:
                if max(files_of(names), default=0):
                    raise DamagedState(str(path / "audience_state.json"), GONE)
                return cls()
            read_names.add(file[1])
            with suppress(FileNotFoundError):  # a later holder has replaced it
                content = read_json(path / file[1], bare=True)
                try:
                    state = msgspec.convert(content, cls)
                except msgspec.ValidationError:
                    state = None
                if state is None or "sharers" not in content or not content.keys() <= FIELDS:
                    raise DamagedState(str(path / file[1]), "it does not hold an audience's state")
                return state
            names = listing(path)
        if len(read_names) == 1:  # a link to nothing
            raise DamagedState(str(path / read_names.pop()), GONE)
        raise RetryableError(
            "The state of this audience changes faster than it can be read. The next attempt reads it again."
        )

    def write(self, path: StoragePath, fence: Fence = NO_FENCE, names: Sequence[str] | None = None) -> None:
        """Replace the state, while this run holds the audience.

        The file's name contains the fencing token, and the highest token is read. A superseded run's late file is
        therefore never read.

        Args:
            path: the ledger's folder.
            fence: the lease under which the state is written.
            names: the names in that folder, listed while this run holds the audience and after its last version of the
                ledger; None to list them now. States of older tokens among them are deleted.

        Raises:
            Superseded: another run has taken the audience over.
        """
        fence.check()
        name = f"audience_state-{fence.number:08d}.json" if fence.number else "audience_state.json"
        names = listing(path) if names is None else names
        version = max(files_of(names), default=0)
        write_json(ensure_folder(path) / name, asdict(replace(self, version=version)), indent=2)
        self.remove_older(path, fence, names)

    @staticmethod
    def remove_older(path: StoragePath, fence: Fence, names: Sequence[str]) -> None:
        """Delete states of older tokens, after one was written under this writer's token.

        Args:
            path: the ledger's folder.
            fence: the lease under which the state was written.
            names: the names in that folder, listed while this run holds the audience.
        """
        tokens = {other: fencing_token_of(other) for other in names}
        with suppress(OSError):
            remove(path, [other for other, token in tokens.items() if token is not None and token < fence.number])

    @property
    def is_shared(self) -> bool:
        """Whether more than one export may have delivered people of the ledger."""
        return len(self.sharers) > 1

    def others(self, export: str) -> tuple[str, ...]:
        """Return the other exports that use the audience."""
        return tuple(name for name in self.sharers if name and name != export)

    def with_sharer(self, export: str, *, shared: bool) -> AudienceState:
        """Return the state with this export as a sharer.

        Raises:
            AudienceOwnedByOther: another export owns the audience, and not both exports allow sharing.
        """
        others = self.others(export)
        if others and export in self.sharers and not shared:
            raise AudienceOwnedByOther(
                f"This audience is shared by {export!r} and {', '.join(map(repr, others))}, and this run has "
                f"`allow_shared_audience=False`. To fix: set `allow_shared_audience=True`, or, if an export is "
                f"retired, release it: `airflow segexport release AUDIENCE --export {others[0]}`."
            )
        if others and export not in self.sharers and not (shared and self.shared):
            owner = self.owner or others[0]
            raise AudienceOwnedByOther(
                f"This audience is owned by the export {owner!r}; this one is {export!r}. To fix: choose another "
                "audience, set `allow_shared_audience=True` in both, or, if this is the same export under a new name, "
                f"set `export_name={owner!r}` or hand the audience over: `airflow segexport release AUDIENCE "
                f"--export {owner} --to {export}`."
            )
        return replace(self, owner=self.owner or export, shared=shared, sharers=self._with(export))

    def _with(self, export: str) -> tuple[str, ...]:
        """Return the sharers with this export. It gets a released export's position only if all positions are taken."""
        if export in self.sharers:
            return self.sharers
        if len(self.sharers) < MAX_SHARERS:
            return (*self.sharers, export)
        if "" not in self.sharers:
            raise AudienceOwnedByOther(
                f"This audience is shared by {MAX_SHARERS} exports, the maximum. To fix: choose another audience, or "
                "release an export that is retired: `airflow segexport release`."
            )
        free = self.sharers.index("")
        return (*self.sharers[:free], export, *self.sharers[free + 1 :])

    def began(self, export: str, as_of: str, run: str = "", segment: str = "") -> AudienceState:
        """Return the state with the snapshot that an export starts.

        Args:
            export: name of the export.
            as_of: the snapshot, ISO 8601; empty to remove the export's entry.
            run: the run that starts; empty for an undo, after which the export has no last run.
            segment: of that run.
        """
        begun = {name: moment for name, moment in {**self.begun, export: as_of}.items() if moment}
        runs = {name: last for name, last in {**self.last_runs, export: (run, segment)}.items() if last[0]}
        return replace(self, begun=begun, last_runs=runs)

    def opened(self, run: str, run_folder: str, writer_token: str, *, is_planned: bool = False) -> AudienceState:
        """Return the state with a run that starts.

        Args:
            run: name of the run.
            run_folder: path of its run folder.
            writer_token: token of its process (`Lease.writer_token`).
            is_planned: whether its plan is frozen.
        """
        return replace(self, run=run, open_run_folder=run_folder, writer_token=writer_token, is_planned=is_planned)

    def read_optouts(self, export: str, at: float, version: int) -> AudienceState:
        """Return the state with the end of an export's run that has read the vendor's opt-outs.

        Args:
            export: name of the export.
            at: when the run ended, epoch seconds.
            version: the version of the ledger that the run wrote.
        """
        versions = {**self.optouts_version, export: version}
        return replace(self, optouts_at={**self.optouts_at, export: at}, optouts_version=versions)

    def sharer_bit(self, export: str) -> int:
        """Return the bit of `sharers_mask` that says that this export has a claim on a person."""
        return 1 << self.sharers.index(export)


FIELDS = frozenset(field.name for field in fields(AudienceState))
