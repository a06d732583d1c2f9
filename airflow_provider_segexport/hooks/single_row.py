"""Sends one row of a segment to an address of the user's own: `segment, address -> one delivered row`.

The row goes through the same steps as an export, with a state folder of its own that is deleted afterwards, so no
ledger is changed. The user's address replaces that of the person, and the phone number is removed, because some vendors
find a contact by it. So no other person is changed.
"""

from __future__ import annotations

import pathlib
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.email_address import validate
from airflow_provider_segexport.errors import InvalidArgument, InvalidSegment
from airflow_provider_segexport.guards import GUARDS
from airflow_provider_segexport.hooks import options
from airflow_provider_segexport.hooks.paths import resolve_argument, state_path
from airflow_provider_segexport.hooks.run_folders import ExportRequest
from airflow_provider_segexport.hooks.runner import run_to_end
from airflow_provider_segexport.person.explain import row as row_in_ledger
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.segment_files.parquet_reading import open_parquet, small_batches
from airflow_provider_segexport.segment_files.partitions import partitions_of
from airflow_provider_segexport.segment_files.snapshots import copy_snapshot, is_table
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.private import private_file
from airflow_provider_segexport.storage.scratch import scratch
from airflow_provider_segexport.vendors.registry import VENDORS

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.model import Audience
    from airflow_provider_segexport.storage.paths import StoragePath

JOB_TIMEOUT_S = 1800.0
"""Seconds that the vendor's import job of one row may take."""

UNUSED: dict[str, Any] = {
    "mode": "upsert",
    "latest_only": False,
    "adopt_existing": False,
    "allow_shared_audience": False,
    "create_audience": False,
    "create_custom_fields": False,
    "consent_column": None,
    "subscribe": "never",
    "consented_at_column": None,
    "consent_source_column": None,
    "consent_text": None,
    "consent_ip_column": None,
    "consent_user_agent_column": None,
    "guards": dict.fromkeys(GUARDS),
    "expected_plan": "",
    "reports_path": "",
    "fetch_optouts": False,
    "job_timeout": JOB_TIMEOUT_S,
}
"""Values that replace those of the command line. A test row creates no audience and no custom field, and the consent in
the row is that of another person."""


@dataclass(frozen=True, slots=True)
class SingleRow:
    """One row that is ready to be sent.

    Attributes:
        hook: the account.
        values: arguments of the export; `segment` is a file with this row alone.
        folder: holds the state of the dry run and of the run.
        planned: report of the dry run.
    """

    hook: SegmentExportHook
    values: Mapping[str, Any]
    folder: pathlib.Path
    planned: Mapping[str, Any]

    def send(self) -> dict[str, Any]:
        """Send the row, and return the report."""
        return _run(self.hook, self.values, self.folder / "sent", dry_run=False)


@contextmanager
def single_row(hook: SegmentExportHook, given: Mapping[str, Any], address: str, row: int = 1) -> Iterator[SingleRow]:
    """Plan one row of a segment for another address. It is sent only if the block calls `send`.

    Args:
        hook: the account.
        given: arguments of `options.EXPORT`.
        address: the user's own address.
        row: the number of the row in the segment, from 1.

    Raises:
        InvalidArgument: the address cannot be sent, or an export has put it into the audience.
        InvalidSegment: the segment has no such row, or cannot be read.
        SegexportError: the row cannot be planned.
    """
    email = validate(address).email
    if email is None:
        raise InvalidArgument("The address of the test row is no valid email address. To fix: pass your own address.")
    values = {**options.values(options.EXPORT, given), **UNUSED}
    with scratch("test-row") as folder:
        path = private_file(folder / "segment.parquet")
        pq.write_table(_with_address(_read_row(values, row, local_path(str(folder))), values, email), path)
        values |= {"segment": str(path), "partition_columns": False}
        planned = _run(hook, values, folder / "planned", dry_run=True)
        _check_not_in_ledger(hook, hook.resolve_audience(values["audience"]), Person(email))
        yield SingleRow(hook, values, folder, planned)


def audience_text(report: Mapping[str, Any]) -> str:
    """Return the audience of a report with its account."""
    vendor = VENDORS[report["vendor"]]
    return f"{vendor.audience_noun} {report['audience_name']!r} at {vendor.title}, account {report['account']!r}"


def reason(report: Mapping[str, Any]) -> str:
    """Return why the row was not sent or not accepted."""
    reasons = [reason for counts in report["reasons"].values() for reason in counts]
    return str(report.get("error") or ", ".join(reasons) or "no reason was given")


def _read_row(values: Mapping[str, Any], row: int, folder: StoragePath) -> pa.Table:
    """Return the mapped columns of one row.

    Args:
        values: arguments of the export.
        row: the number of the row, from 1.
        folder: for a copy of the files of a table.
    """
    columns = list(dict.fromkeys([*values["field_mapping"].values(), *values["custom_fields"].values()]))
    at = values["as_of"].astimezone(UTC).isoformat() if values["as_of"] else ""
    copy = partial(copy_snapshot, resolve=resolve_argument, to=folder, wanted=columns, at=at)
    before = row - 1
    for path, name in find_files(values["segment"], resolve_argument, copy):
        with open_parquet(path, name) as (parquet, _):
            names = parquet.schema_arrow.names
            if before >= parquet.metadata.num_rows:
                before -= parquet.metadata.num_rows
                continue
            table = _row_of(parquet, [column for column in columns if column in names], before)
        if values["partition_columns"] and not is_table(name):
            for column, text in partitions_of(path, names, columns).items():
                table = table.append_column(column, pa.array([text], pa.string()))
        return table
    rows = row - 1 - before
    raise InvalidSegment(f"The segment has {counted(rows, 'row')}, and no row {row}. To fix: pass a smaller number.")


def _row_of(parquet: pq.ParquetFile, columns: list[str], index: int) -> pa.Table:
    """Return one row of a file, by its number from 0."""
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if index >= rows:
            index -= rows
            continue
        for batch in small_batches(parquet, columns, group):
            if index < batch.num_rows:
                return pa.Table.from_batches([batch.slice(index, 1)])
            index -= batch.num_rows
    raise InvalidSegment("A Parquet file has fewer rows than its footer says. To fix: write the file again.")


def _with_address(table: pa.Table, values: Mapping[str, Any], email: str) -> pa.Table:
    """Return the row with another address in place of the person's, and without a phone number."""
    mapping = values["field_mapping"]
    replaced = {mapping.get("phone"): pa.nulls(1, pa.string()), mapping.get("email"): pa.array([email], pa.string())}
    for column, value in replaced.items():
        if column in table.column_names:
            table = table.set_column(table.column_names.index(column), column, value)
    return table


def _run(hook: SegmentExportHook, values: Mapping[str, Any], root: pathlib.Path, *, dry_run: bool) -> dict[str, Any]:
    """Plan or send the row with an empty state of its own."""
    identity = ("command", "test-row", hook.conn_id, f"{time.time_ns()}-{secrets.token_hex(3)}")
    config = options.export_config(
        {**values, "dry_run": dry_run, "as_of": None},
        as_of=datetime.now(UTC),
        run="/".join(identity),
        export_name=f"test-row.{hook.conn_id}",
    )
    root.mkdir()
    return run_to_end(hook, ExportRequest(config, identity, local_path(str(root))))


def _check_not_in_ledger(hook: SegmentExportHook, audience: Audience, person: Person) -> None:
    """Check that no export has put the address into the audience, because its values would then differ from the ledger.

    Raises:
        InvalidArgument: an export has put the address into the audience.
        DamagedState: the ledger cannot be read.
    """
    ledger = Ledger.of(state_path(), hook.vendor.name, audience)
    version = ledger.version()
    if version and row_in_ledger(ledger, version, person):
        raise InvalidArgument(
            "An export has already sent this address to the audience, and a test row would change its values without "
            "the ledger's knowledge. Nothing was sent. To fix: pass an address that is in no segment, such as "
            "me+test@my-domain.com."
        )
