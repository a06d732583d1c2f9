"""What this provider knows it has put into an audience: `email, row hash, vendor contact id, as_of, run`.

    <root>/ledgers/<vendor>/<account>/<audience>/<version>.parquet

A version is written whole and appears under the next number, or not at all: who finds that number taken has lost
a race and must read again. Keyed by what the vendor says the account and the audience are.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import TryAgain
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports.places import Place, folder, names, on_disk
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
KEPT = 5
"""Versions that stay."""


def _publish(half: Place, new: Place) -> None:
    """Let a version appear under its number, if that is free."""
    disk = on_disk(half)
    if disk is not None:
        os.link(disk, str(new))  # fails if it is there, which a rename does not
    elif new.exists():
        raise FileExistsError
    else:
        with half.open("rb") as file:
            kept = pq.ParquetFile(file)
            write_parquet(new, kept.iter_batches(), kept.schema_arrow)


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
        with self.file(version).open("rb") as file:
            kept = pq.ParquetFile(file).schema_arrow.metadata or {}
        found: dict[str, str] = json.loads(kept.get(FACTS, b"{}"))
        return found

    def commit(self, rows: Iterable[pa.RecordBatch], base: int, facts: Mapping[str, str] | None = None) -> int:
        """Write the next version on top of `base`, and tell its number.

        Raises:
            TryAgain: another run has committed since `base` was read.
        """
        folder(self.place)
        new = self.file(base + 1)
        half = self.place / f".{base + 1:08d}.{secrets.token_hex(6)}.half"
        schema = SCHEMA.with_metadata({FACTS: json.dumps(dict(facts or {})).encode()})
        write_parquet(half, rows, schema)
        try:
            _publish(half, new)
        except FileExistsError:
            raise TryAgain(
                "Another run has written this audience's ledger meanwhile; its facts are read again."
            ) from None
        finally:
            half.unlink(missing_ok=True)
        for old in range(base + 1 - KEPT, 0, -1):
            if not self.file(old).exists():
                break
            self.file(old).unlink()
        return base + 1
