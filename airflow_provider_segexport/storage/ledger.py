"""What this provider knows it has put into an audience, one row an address.

    <root>/ledgers/<vendor>/<account>/<audience>/<version>-<token>.parquet
    <root>/ledgers/<vendor>/<account>/<audience>/audience_state-<token>.json     who uses it, and the newest state begun

A version is written whole and appears under the next number, or not at all: a writer that finds that number taken has
lost a race and must read again. Its name carries the writer's fencing token (the number of its lease), and versions
count by token first: a superseded writer cannot touch its successor's files, on any store, and a version that it writes
late is none. Keyed by what the vendor says the account and the audience are.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.fencing import NO_FENCE, Fence
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.storage.durable import publish
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.paths import (
    StoragePath,
    as_local_path,
    create,
    folder,
    listing,
    local_path,
    put_new,
    remove_stale_temp_files,
    temp_name,
    uncached,
)
from airflow_provider_segexport.storage.run_folder import safe_name
from airflow_provider_segexport.storage.scratch import scratch
from airflow_provider_segexport.storage.sealing import context_of, verify_once

MOMENT = pa.timestamp("us", tz="UTC")
REJECTION = pa.struct(
    [
        ("rejected_hash", pa.uint64()),
        ("attempts", pa.uint8()),
        ("first_rejected_at", MOMENT),
        ("last_rejected_at", MOMENT),
    ],
)
SCHEMA = pa.schema(
    [
        ("email", pa.string()),
        ("row_hash", pa.uint64()),
        ("contact_id", pa.string()),
        ("as_of", MOMENT),
        ("run", pa.string()),
        ("state", pa.string()),
        ("added_at", MOMENT),
        ("rejected_hash", pa.uint64()),
        ("reason", pa.string()),
        ("attempts", pa.uint8()),
        ("first_rejected_at", MOMENT),
        ("last_rejected_at", MOMENT),
        ("sharers_mask", pa.uint64()),
        ("sent_by", pa.uint8()),
        ("hashes", pa.map_(pa.uint8(), pa.uint64())),
        ("rejected_by", pa.uint8()),
        ("rejections", pa.map_(pa.uint8(), REJECTION)),
        ("barred", pa.uint64()),
        ("existed", pa.bool_()),
    ]
)
"""One row an address.

`state`:
- `member`: an export has added the person to the audience.
- `removed`: an export has removed the person.
- `removing`: a run sent a removal or a new addition and got no response. The person may be in the audience; if not, the
  export removed them.
- `left`: the person is not in the audience, and no export removed them. An import must not bring them back.
- `not_added`: nothing was ever delivered.

`row_hash`: of the item that was delivered last; null where it is not known any more. `as_of`, `run`: of that call.
`added_at`: when it was put in; null where no answer has said that it was. `rejected_hash`, `reason`: hash of the item
that was rejected last, and why; `attempts` of it, the first at `first_rejected_at`, the last at `last_rejected_at`.
`sharers_mask`: which exports hold the person, a bit for each in the order of `AudienceState.sharers`; 0 where no export
does. `sent_by`: the export that delivered `row_hash`, by its place among the sharers; `hashes`: what the others
delivered last, by their places.
`rejected_by`: the export whose row was rejected last, by its place; `rejections`: the other exports' last rejections.
`barred`: the exports that have withheld the person for want of consent or as suppressed, a bit for each; null or 0
where none has. `existed`: the person was in the audience before an export first put them in.
"""

MEMBER, REMOVED, REMOVING, LEFT, NOT_ADDED = "member", "removed", "removing", "left", "not_added"
MAYBE_MEMBER = f"('{MEMBER}', '{REMOVING}')"
"""States of who may be in the audience, as SQL."""
ATTEMPTS_DAYS = 14
"""After so many days the attempts of a rejected row are counted anew."""

FACTS = b"segexport"
MARK = b"segexport-commit"
"""Whose version it is: a put whose answer was lost is put again, and then refused by itself."""

KEPT = 5
"""Versions that stay."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one audience."""

    path: StoragePath
    fence: Fence = NO_FENCE

    @classmethod
    def of(cls, root: StoragePath, vendor: str, audience: Audience, fence: Fence = NO_FENCE) -> Ledger:
        """The ledger of the audience as the vendor names it."""
        return cls(root / "ledgers" / vendor / safe_name(audience.account) / safe_name(audience.audience), fence)

    def version(self) -> int:
        """The newest version; 0 when nothing was ever put there."""
        return max(self._files(), default=0)

    def versions(self) -> list[int]:
        """The versions that are kept, oldest first."""
        return sorted(version for version in self._files() if version)

    def file(self, version: int) -> StoragePath:
        """The file of a version; of one that is not there, as this writer would name it."""
        return self.path / (self._files().get(version) or self._name(version))

    def seal(self) -> None:
        """Write the newest version once more under this writer's token.

        From here on a version of a superseded writer is none, even if its writer checked before the takeover, was
        suspended, and writes it now.
        """
        files = self._files()
        version = max(files, default=0)
        if not self.fence.number or files.get(version) == self._name(version):
            return
        source, new = self.file(version), folder(self.path) / self._name(version)
        disk, to = as_local_path(source), as_local_path(new)
        with suppress(FileExistsError):
            if not version:
                create(new, b"")
            elif disk is not None and to is not None:
                publish(disk, to)
            else:
                with source.open("rb") as content:
                    put_new(new, content)

    def _name(self, version: int) -> str:
        token = self.fence.number
        suffix = "parquet" if version else "seal"
        return f"{version:08d}-{token:08d}.{suffix}" if token else f"{version:08d}.{suffix}"

    def _files(self) -> dict[int, str]:
        return files_of(listing(self.path))

    def check(self, version: int) -> None:
        """Pass if a version's file is as it was written.

        Raises:
            DamagedState: it is not.
        """
        verify_once(self.file(version))

    def members(self) -> int:
        """How many people it says are in the audience."""
        return int(self.facts().get("members", 0))

    def facts(self, version: int | None = None) -> dict[str, Any]:
        """What is known of a version as a whole, of the newest where none is named.

        `as_of` and `run` of the last finished export; `by` and `export`, the run that wrote the version and its export;
        `members`, how many people are in; `undoes`, the version that it took back (see `taken_back`), `partial` where
        it did not finish; `exports`, by name: `as_of`, `run`, `fingerprint` of the last finished run, and `profiles`,
        rows by mapped part.
        """
        version = self.version() if version is None else version
        if not version:
            return {}
        found: dict[str, Any] = json.loads(self._kept(version).get(FACTS, b"{}"))
        return found

    def of_export(self, export: str, version: int | None = None) -> dict[str, Any]:
        """The facts of one export; empty before its first finished run."""
        of_export: dict[str, Any] = self.facts(version).get("exports", {}).get(export, {})
        return of_export

    def _kept(self, version: int) -> dict[bytes, bytes]:
        """What a version's file says of itself, if it is as it was written."""
        verify_once(self.file(version))
        with uncached(self.file(version)).open("rb") as file:
            return dict(pq.ParquetFile(file).schema_arrow.metadata or {})

    def _publish(self, version: int, rows: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Write a version aside, and let it appear under its number as a whole, if that is free.

        Raises:
            FileExistsError: it is not, or was not for one moment: what stands there now may be ours or another's.
            Superseded: another run has taken the audience over.
        """
        new = self.path / self._name(version)
        disk = as_local_path(new)
        if disk is not None:
            half = temp_name(disk)
            try:
                write_parquet(local_path(str(half)), rows, schema, context_of(new))
                self._may_appear(version)
                publish(half, disk)
            finally:
                half.unlink(missing_ok=True)
            return
        if uncached(new).exists():  # a store that passes over the condition would overwrite it
            raise FileExistsError
        with scratch("ledger") as aside:
            half = aside / new.name
            write_parquet(local_path(str(half)), rows, schema, context_of(new))
            self._may_appear(version)
            with half.open("rb") as source:
                put_new(new, source)
        if self._kept(version).get(MARK) != schema.metadata[MARK]:
            raise FileExistsError

    def _may_appear(self, version: int) -> None:
        """Raise if the version is not the next one any more, or this writer not the newest."""
        if self.version() >= version:
            raise FileExistsError
        self.fence.check()

    def commit(self, rows: Iterable[pa.RecordBatch], base: int, facts: Mapping[str, Any] | None = None) -> int:
        """Write the next version on top of `base`, and tell its number.

        Raises:
            RetryableError: another run has committed since `base` was read.
            Superseded: another run has taken the audience over. The version may have been written before it did; if
                not, it is none.
        """
        remove_stale_temp_files(folder(self.path))
        mark = secrets.token_hex(8).encode()
        schema = SCHEMA.with_metadata({FACTS: json.dumps(dict(facts or {})).encode(), MARK: mark})
        try:
            self._publish(base + 1, rows, schema)
        except FileExistsError:
            if base + 1 not in self._files() or self._kept(base + 1).get(MARK) != mark:
                raise RetryableError(
                    "Another run has written this audience's ledger meanwhile; its facts are read again."
                ) from None
        self.fence.check()  # a put may take minutes, and another run may have taken over in the middle of it
        self._tidy(base + 1)
        return base + 1

    def _tidy(self, version: int) -> None:
        """Remove versions that are too old, and files that superseded writers left; never those of a later token."""
        files = self._files()
        for name in listing(self.path):
            number, token = numbers_of(name) or (version, self.fence.number + 1)
            if token <= self.fence.number and (number <= version - KEPT or files.get(number) != name):
                (self.path / name).unlink(missing_ok=True)


def numbers_of(name: str) -> tuple[int, int] | None:
    """Version and token of a ledger's file by its name; None for any other file."""
    stem, _, suffix = name.partition(".")
    version, _, token = stem.partition("-")
    if not (suffix in {"parquet", "seal"} and version.isdecimal() and (token or "0").isdecimal()):
        return None
    return int(version), int(token or 0)


def files_of(names: Iterable[str]) -> dict[int, str]:
    """The file of each version, by the names in a ledger's folder; 0 is an empty ledger that was sealed.

    Versions beyond that of the newest token, and other files of the same version, are of superseded writers.
    """
    every = [(*numbers[::-1], name) for name in names if (numbers := numbers_of(name))]
    files: dict[int, str] = {}
    for _, version, name in sorted(every, reverse=True):
        if not files or version <= max(files):
            files.setdefault(version, name)
    return files


REVERTED_VERSION, MOST_DIGITS = "reverted_version", 8
"""The fact of a version, a plan and a report that names the version which was taken back; how long a version may be."""


def taken_back(facts: Mapping[str, Any]) -> int:
    """Return the version of the ledger that a version took back; 0 where it took none back, or names no number."""
    text = str(facts.get(REVERTED_VERSION) or "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else 0
