"""The ledger of an audience: what this provider has put into it, one row per address.

    <root>/ledgers/<vendor>/<account>/<audience>/<version>-<token>.parquet
    <root>/ledgers/<vendor>/<account>/<audience>/audience_state-<token>.json    its exports; the newest snapshot started

A version appears complete under the next number, or not at all. A writer that finds the number taken lost the race; it
re-reads the ledger and retries. The name contains the writer's fencing token (the number of its lease), and versions
are ordered by token first. So a superseded writer cannot touch its successor's files, on any store, and a version that
it writes late does not count. Account and audience are the ids that the vendor reports.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.fencing import NO_FENCE, Fence
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.storage.durable import publish
from airflow_provider_segexport.storage.exclusive import create, create_object
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.ledger_schema import SCHEMA, MemberCount, metadata_of
from airflow_provider_segexport.storage.local_copies import prefetch, readable
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.paths import (
    StoragePath,
    as_local_path,
    ensure_folder,
    listing,
    local_path,
    remove,
    remove_stale_temp_files,
    temp_name,
    uncached,
)
from airflow_provider_segexport.storage.scratch import scratch
from airflow_provider_segexport.storage.sealing import context_of, verify_once
from airflow_provider_segexport.storage.side_by_side import side_by_side

FACTS = b"segexport"
COMMIT_ID = b"segexport-commit"
"""Metadata key of an id by which a writer recognises its own version, after a put that was repeated because its
response was lost."""

STORED_VERSIONS = 5
"""Versions that are stored; older ones are removed. An undo needs the version and the one before it."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one audience.

    Attributes:
        path: its folder.
        fence: the lease under which versions are written.
        names: the names in the folder if they were listed once (`pinned`); None to list them at each use.
    """

    path: StoragePath
    fence: Fence = NO_FENCE
    names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, root: StoragePath, vendor: str, audience: Audience, fence: Fence = NO_FENCE) -> Ledger:
        """Return the ledger of an audience.

        Args:
            root: the state path.
            vendor: name of the vendor in `VENDORS`.
            audience: the audience, as the vendor describes it.
            fence: the lease under which versions are written.
        """
        return cls(root / "ledgers" / vendor / safe_name(audience.account) / safe_name(audience.audience), fence)

    def pinned(self) -> Ledger:
        """Return the ledger with the names in its folder, so that several reads take one listing.

        It does not see later versions, so it must not be used to write. A pinned ledger is returned unchanged.
        """
        return self if self.names is not None else replace(self, names=tuple(listing(self.path)))

    def version(self) -> int:
        """Return the newest version; 0 if there is none."""
        return max(self._files(), default=0)

    def versions(self) -> list[int]:
        """Return the stored versions, oldest first."""
        return sorted(version for version in self._files() if version)

    def version_names(self) -> list[str]:
        """Return the names of the versions' files."""
        return list(self._files().values())

    def file(self, version: int) -> StoragePath:
        """Return the file of a version; for a version that does not exist, the path that this writer would give it."""
        return self.path / (self._files().get(version) or self._name(version))

    def seal(self) -> None:
        """Write the newest version again under this writer's token.

        From here on a version of a superseded writer does not count, even if the writer checked its lease before the
        takeover, was suspended, and writes the version now.
        """
        files = self._files()
        version = max(files, default=0)
        if not self.fence.number or files.get(version) == self._name(version):
            return
        source, new = self.file(version), ensure_folder(self.path) / self._name(version)
        disk, to = as_local_path(source), as_local_path(new)
        with suppress(FileExistsError):
            if not version:
                create(new, b"")
            elif disk is not None and to is not None:
                publish(disk, to)
            else:
                with open_file(source) as content:
                    create_object(new, content)

    def _name(self, version: int) -> str:
        token = self.fence.number
        suffix = "parquet" if version else "seal"
        return f"{version:08d}-{token:08d}.{suffix}" if token else f"{version:08d}.{suffix}"

    def _files(self) -> dict[int, str]:
        return files_of(listing(self.path) if self.names is None else self.names)

    def check(self, version: int) -> None:
        """Check that a version's file is as it was written.

        Raises:
            DamagedState: the file is missing or has changed.
        """
        verify_once(self.file(version))

    def members(self) -> int:
        """Return the number of members by the newest version."""
        return int(self.facts().get("members", 0))

    def facts(self, version: int | None = None) -> dict[str, Any]:
        """Return the facts that a version stores; empty for version 0.

        - `as_of`, `run`: of the last finished export.
        - `by`, `export_name`: the run that wrote the version, and its export; `finished`: whether it had finished.
        - `members`: how many people are members.
        - `reverted_version`: the version that an undo took back (see `taken_back`).
        - `exports`: by name, `as_of`, `run`, `mapping_fingerprint` of the last finished run, and `profiles`, rows by
          mapped segment.
        - `sharer_bits`: by name, the bit of each export in `sharers_mask`.

        Args:
            version: None means the newest.
        """
        ledger = self.pinned()
        version = ledger.version() if version is None else version
        if not version:
            return {}
        facts: dict[str, Any] = json.loads(self._metadata(ledger.file(version)).get(FACTS, b"{}"))
        return facts

    def of_export(self, export: str, version: int | None = None) -> dict[str, Any]:
        """Return the facts of one export; empty before its first finished run."""
        facts: dict[str, Any] = self.facts(version).get("exports", {}).get(export, {})
        return facts

    def _metadata(self, path: StoragePath) -> dict[bytes, bytes]:
        """Return the metadata of a version's file after checking the file."""
        verify_once(path)
        with open_file(uncached(readable(path))) as file:
            return metadata_of(pq.ParquetFile(file))

    def _publish(
        self,
        version: int,
        rows: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        metadata: Callable[[], Mapping[bytes, bytes]],
    ) -> Sequence[str]:
        """Write a version to a temporary file, and publish it under its number if that is free.

        Args:
            version: number of the version.
            rows: the rows, with the columns of `SCHEMA`.
            schema: `SCHEMA` with the commit id as metadata.
            metadata: called after the last row; returns the facts.

        Returns:
            The names in the ledger's folder afterwards.

        Raises:
            FileExistsError: the number is or was taken. The file there may be this writer's own or another's.
            Superseded: another run has taken the audience over.
        """
        new = self.path / self._name(version)
        disk = as_local_path(new)
        if disk is not None:
            temporary = temp_name(disk)
            try:
                write_parquet(local_path(str(temporary)), rows, schema, context_of(new), metadata=metadata)
                self._check_next(version)
                publish(temporary, disk)
            finally:
                temporary.unlink(missing_ok=True)
            self.fence.check()
            return listing(self.path)
        with scratch("ledger") as scratch_folder:
            temporary = scratch_folder / new.name
            write_parquet(local_path(str(temporary)), rows, schema, context_of(new), metadata=metadata)
            self._check_next(version)
            with open_file(temporary) as source:
                create_object(new, source)
        # A put may take minutes, so another run may have taken over during it.
        names, _, _ = side_by_side(new, partial(listing, self.path), partial(prefetch, new), self.fence.check)
        if self._metadata(replace(self, names=tuple(names)).file(version)).get(COMMIT_ID) != schema.metadata[COMMIT_ID]:
            raise FileExistsError
        return list(names)

    def _check_next(self, version: int) -> None:
        """Raise if the version is no longer the next one, or this writer no longer holds the lease."""
        names, _ = side_by_side(self.path, partial(listing, self.path), self.fence.check)
        # A store that ignores the condition of the put would overwrite a file with the same name.
        if self._name(version) in names or max(files_of(names), default=0) >= version:
            raise FileExistsError

    def commit(self, rows: Iterable[pa.RecordBatch], base: int, facts: Mapping[str, Any] | None = None) -> int:
        """Write the next version after `base`; return its number.

        Args:
            rows: the rows, with the columns of `SCHEMA`.
            base: the version that the rows were made from.
            facts: see `facts`. `members` is counted here.

        Raises:
            RetryableError: another run has committed since `base` was read.
            Superseded: another run has taken the audience over. If the version was written after that, it does not
                count.
        """
        remove_stale_temp_files(ensure_folder(self.path))
        commit_id = secrets.token_hex(8).encode()
        counted = MemberCount(rows)

        def metadata() -> dict[bytes, bytes]:
            return {FACTS: json.dumps({**(facts or {}), "members": str(counted.members)}).encode()}

        try:
            names = self._publish(base + 1, counted, SCHEMA.with_metadata({COMMIT_ID: commit_id}), metadata)
        except FileExistsError:
            if base + 1 not in self._files() or self._metadata(self.file(base + 1)).get(COMMIT_ID) != commit_id:
                raise RetryableError(
                    "Another run has written this audience's ledger since this run read it. The retry reads it again."
                ) from None
            names = listing(self.path)
            self.fence.check()
        self._remove_old(base + 1, names)
        return base + 1

    def _remove_old(self, version: int, names: Sequence[str]) -> None:
        """Remove old versions, and files of superseded writers. Files with a later token stay."""
        files, old = files_of(names), []
        for name in names:
            number, token = numbers_of(name) or (version, self.fence.number + 1)
            if token <= self.fence.number and (number <= version - STORED_VERSIONS or files.get(number) != name):
                old.append(name)
        remove(self.path, old)


def numbers_of(name: str) -> tuple[int, int] | None:
    """Return the version and the token in the name of a ledger's file; None for any other file."""
    stem, _, suffix = name.partition(".")
    version, _, token = stem.partition("-")
    if not (suffix in {"parquet", "seal"} and version.isdecimal() and (token or "0").isdecimal()):
        return None
    return int(version), int(token or 0)


def files_of(names: Iterable[str]) -> dict[int, str]:
    """Return the file of each version, by the names in a ledger's folder. Version 0 is an empty ledger that was sealed.

    Superseded writers may have left versions above the newest version of the newest token, and further files of the
    same version. Both are ignored.
    """
    candidates = [(*numbers[::-1], name) for name in names if (numbers := numbers_of(name))]
    files: dict[int, str] = {}
    for _, version, name in sorted(candidates, reverse=True):
        if not files or version <= max(files):
            files.setdefault(version, name)
    return files
