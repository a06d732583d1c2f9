"""An account whose state is in object storage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
from upath import UPath
from vendors.harness import VendorHarness

from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.run_folder import RunFolder


class StoreAccount(VendorHarness):
    """An account whose state is in object storage.

    Args:
        sim: the simulator.
        vendor: to export to.
        home: a local folder, for segments.
        root: the state path.
        limits: of the vendor.
    """

    def __init__(self, sim, vendor: str, home, root: UPath, **limits: int) -> None:
        super().__init__(sim, vendor, home, **(limits or {"batch_rows": 2, "max_concurrency": 1}))
        self.root = root

    def resolve(self, text: str) -> Any:
        return UPath(text, **self.root.storage_options) if "://" in text else local_path(text)

    def environment(self, run: str = "run", **options: Any):
        made = super().environment(run, **options)
        folder = RunFolder.open(self.root / "runs" / run)
        return replace(made, run_folder=folder, state_root=self.root, resolve=self.resolve)

    def ledger(self) -> dict[str, dict[str, Any]]:
        target = self.call(self.vendor.resolve_audience(self.endpoint, self.audience))
        ledger = Ledger.of(self.root, self.name, target)
        with ledger.file(ledger.version()).open("rb") as file:
            return {row["email"]: row for row in pq.read_table(file).to_pylist()}

    def export_day(self, number: int, emails: list[str]) -> dict[str, Any]:
        return self.day(number, emails, first=dict.fromkeys(emails, f"Day {number}"))
