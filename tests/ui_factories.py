"""Generated state paths: audiences with state files, histories, ledgers and run folders, as runs write them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.stages.report import REJECTS
from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.vendors.registry import VENDORS

NOW = 1_795_600_000.0
DAY = 86400.0
DAGS = tuple(f"exports_{number}" for number in range(6))
NAMES = (
    "Newsletter",
    "High value",
    "Lapsed",
    "Win-back",
    "Loyalty gold",
    "Birthday club",
    "Prospects",
    "VIP early access",
)


def summary(**changes: Any) -> dict[str, Any]:
    """Return a report as a finished run writes it."""
    counts = {"profiles": 1000, "delivered": 120, "unchanged": 850, "rejected": 20, "withheld": 10, "not_attempted": 0}
    defaults: dict[str, Any] = {
        "vendor": "campaign_monitor",
        "audience": "aa11",
        "audience_name": "Newsletter",
        "account": "Acme",
        "mode": "mirror",
        "as_of": "2026-11-24T00:00:00+00:00",
        "run": "exports/export/scheduled__2026-11-24/0",
        "finished": True,
        "error": None,
        "started_at": NOW - 30,
        "ended_at": NOW,
        "seconds": 30.0,
        "http": {"calls": 12, "retries": 1, "wait_s": 2.5, "bytes_sent": 240_000},
        "batches": 12,
        "warnings": {},
        "counts": counts,
        "reasons": {"rejected": {"invalid_email": 15, "no_email": 5}, "withheld": {"duplicate": 10}},
        "removals": {"planned": 9, "removed": 7, "already_gone": 2, "kept": 0, "rejected": 0, "not_attempted": 0},
        "guards": [],
        "export_name": "exports.export",
        "conn_id": "campaign_monitor_default",
        "dry_run": False,
        "held_after_rejection": 3,
        "optouts": {"path": "/state/optouts.parquet", "count": 4},
        "ledger_version": 1,
        "run_folder": "/state/runs/exports/export/scheduled__2026-11-24/0/01",
        "versions": {},
    }
    return {**defaults, **changes}


def ledger_path(root: Path, report: Mapping[str, Any]) -> Path:
    return root / "ledgers" / report["vendor"] / safe_name(report["account"]) / safe_name(report["audience"])


def run_folder(root: Path, run: str, number: int = 1) -> Path:
    home = root / "runs"
    dag, task, *more, index = run.split("/")
    for part in (dag, task, "/".join(more), index):
        home /= safe_name(part)
    return home / f"{number:02d}"


def ledger(root: Path, report: Mapping[str, Any], members: int) -> None:
    """A version of a ledger, without a person in it that is read."""
    folder = ledger_path(root, report)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"as_of": report["as_of"], "run": report["run"], "by": report["run"], "members": str(members)}
    schema = pa.schema([("email", pa.string())], metadata={b"segexport": json.dumps(facts).encode()})
    pq.write_table(
        pa.table({"email": ["x@example.com"] * 3}, schema=schema), folder / f"{report['ledger_version']:08d}.parquet"
    )


def write_run(root: Path, report: Mapping[str, Any], *, members: int) -> None:
    """Write a run's files beside the ledger."""
    history.record_run(ledger_path(root, report), report, members=members)


def with_folder(root: Path, report: Mapping[str, Any], rejects: list[dict[str, Any]] | None = None) -> Path:
    """Write a run's own folder."""
    folder = run_folder(root, report["run"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(report))
    if rejects is not None:
        pq.write_table(pa.Table.from_pylist(rejects, schema=REJECTS), folder / "rejects.parquet")
    return folder


def story(number: int, *, runs: int = 12, root: Path, dag_ids: tuple[str, ...] = DAGS, now: float = NOW) -> None:
    """Write an audience with a history: it grows in waves, and some runs fail."""
    vendor = tuple(VENDORS)[number % len(VENDORS)]
    name = NAMES[number % len(NAMES)] + (f" {number // len(NAMES) + 1}" if number >= len(NAMES) else "")
    size = 2000 + 700 * (number % 13)
    for i in range(runs):
        members = round(size * (1 + 0.25 * math.sin(i / 3 + number)) + 14 * i)
        failed = (i == runs - 1 and number % 9 == 4) or (number % 5 == 2 and i % 8 == 5)
        rejected = round(members * (0.004 + 0.03 * ((i + number) % 7 == 0)))
        delivered = 0 if failed else round(members * (0.05 + 0.3 * (i == 0)))
        missing = round(members * 0.06) if failed else 0
        removed = 0 if failed else (i * 7 + number) % 40
        report = summary(
            vendor=vendor,
            account=f"Acme {('Ltd', 'GmbH', 'SA')[number % 3]}",
            audience=f"list{number:04d}",
            audience_name=name,
            conn_id=f"{vendor}_{('default', 'eu', 'us')[number % 3]}",
            run=f"{dag_ids[number % len(dag_ids)]}/export/scheduled__{i:03d}/{number}",
            ended_at=now - DAY * (runs - 1 - i) - 600 * number - (5 * DAY if number % 11 == 7 else 0),
            finished=not failed,
            error="The vendor answered 503 for 10 minutes. A retry resumes where this try stopped." if failed else None,
            counts={
                "profiles": members + rejected + 12,
                "delivered": delivered,
                "unchanged": members - delivered - missing,
                "rejected": rejected,
                "withheld": 12,
                "not_attempted": missing,
            },
            removals={
                "planned": removed,
                "removed": removed,
                "already_gone": 0,
                "kept": 0,
                "rejected": 0,
                "not_attempted": 0,
            },
            seconds=12.0 + number % 40,
            ledger_version=i + 1,
            run_folder=f"/state/{number}/{i}",
        )
        write_run(root, report, members=members)
        if i >= runs - 5:
            ledger(root, report, members)


def stories(root: Path, count: int, *, runs: int = 12, dag_ids: tuple[str, ...] = DAGS, now: float = NOW) -> Path:
    """Write a state path with `count` audiences."""
    for number in range(count):
        story(number, runs=runs, root=root, dag_ids=dag_ids, now=now)
    return root
