"""What this provider knows it has put into an audience: `email, row hash, vendor contact id, as_of, run`.

    <root>/ledgers/<vendor>/<account>/<audience>/<version>.parquet

A version is written whole and appears under the next number, or not at all: who finds that number taken has lost
a race and must read again. Keyed by what the vendor says the account and the audience are.
"""

from __future__ import annotations

import json
import pathlib
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import TryAgain
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports.places import (
    Place,
    appear,
    folder,
    fresh,
    half_of,
    local,
    names,
    on_disk,
    put_new,
)
from airflow_provider_segexport.ports.run_folder import safe
from airflow_provider_segexport.ports.tables import write_parquet

SCHEMA = pa.schema(
    [
        ("email", pa.string()),
        ("hash", pa.uint64()),
        ("contact_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("run", pa.string()),
    ]
)
FACTS = b"segexport"
MARK = b"segexport-commit"
"""Whose version it is: a put whose answer was lost is put again, and then refused by itself."""

KEPT = 5
"""Versions that stay."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one audience."""

    place: Place

    @classmethod
    def of(cls, root: Place, vendor: str, target: Target) -> Ledger:
        """The ledger of the audience as the vendor names it."""
        return cls(root / "ledgers" / vendor / safe(target.account) / safe(target.audience))

    def version(self) -> int:
        """The newest version; 0 when nothing was ever put there."""
        numbers = [int(name.removesuffix(".parquet")) for name in names(self.place) if name[:1].isdigit()]
        return max(numbers, default=0)

    def file(self, version: int) -> Place:
        """The file of a version."""
        return self.place / f"{version:08d}.parquet"

    def members(self) -> int:
        """How many people it holds."""
        version = self.version()
        if not version:
            return 0
        with self.file(version).open("rb") as file:
            return int(pq.ParquetFile(file).metadata.num_rows)

    def facts(self) -> dict[str, str]:
        """What is known of the newest version as a whole: `as_of`, `run` and `profiles` of the last finished export."""
        version = self.version()
        if not version:
            return {}
        found: dict[str, str] = json.loads(self._kept(version).get(FACTS, b"{}"))
        return found

    def _kept(self, version: int) -> dict[bytes, bytes]:
        """What a version's file says of itself."""
        with fresh(self.file(version)).open("rb") as file:
            return dict(pq.ParquetFile(file).schema_arrow.metadata or {})

    def _publish(self, version: int, rows: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
        """Write a version aside, and let it appear under its number as a whole, if that is free.

        Raises:
            FileExistsError: it is not, or was not for one moment: what stands there now may be ours or another's.
        """
        new = self.file(version)
        disk = on_disk(new)
        if disk is not None:
            half = half_of(disk)
            try:
                write_parquet(local(str(half)), rows, schema)
                appear(half, disk)
            finally:
                half.unlink(missing_ok=True)
            return
        if fresh(new).exists():  # a store that passes over the condition would overwrite it
            raise FileExistsError
        with tempfile.TemporaryDirectory(prefix="segexport-") as aside:
            half = pathlib.Path(aside) / new.name
            write_parquet(local(str(half)), rows, schema)
            with half.open("rb") as source:
                put_new(new, source)
        if self._kept(version).get(MARK) != schema.metadata[MARK]:
            raise FileExistsError

    def commit(self, rows: Iterable[pa.RecordBatch], base: int, facts: Mapping[str, str] | None = None) -> int:
        """Write the next version on top of `base`, and tell its number.

        Raises:
            TryAgain: another run has committed since `base` was read.
        """
        folder(self.place)
        mark = secrets.token_hex(8).encode()
        schema = SCHEMA.with_metadata({FACTS: json.dumps(dict(facts or {})).encode(), MARK: mark})
        try:
            self._publish(base + 1, rows, schema)
        except FileExistsError:
            if self._kept(base + 1).get(MARK) != mark:
                raise TryAgain(
                    "Another run has written this audience's ledger meanwhile; its facts are read again."
                ) from None
        for old in range(base + 1 - KEPT, 0, -1):
            if not self.file(old).exists():
                break
            self.file(old).unlink()
        return base + 1
