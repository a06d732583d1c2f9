"""`airflow segexport rejects RUN`: prints the rows that a run did not deliver, with their addresses.

The command checks no permission of Airflow, because a person who has this shell can read the files anyway.
"""

from __future__ import annotations

import io
import json
import sys
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_segexport.cli.exit_codes import end_with_look, errors_shown, fail_usage
from airflow_provider_segexport.cli.output import STRUCTURED, print_rows, progress
from airflow_provider_segexport.cli.show import locate
from airflow_provider_segexport.cli.terminal import warn
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidArgument

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.storage.paths import StoragePath
    from airflow_provider_segexport.storage.rejects_csv import RejectsFile

TABLE_ROWS = 100
"""Rows in a table, unless `--limit` sets another number. A run may reject a million rows."""

REJECTS = "rejects.parquet"


def rejects(args: Namespace) -> None:
    """Print the rows with outcome and reason; exit with 3 if there is none."""
    from airflow.utils.cli import suppress_logs_and_warning  # noqa: PLC0415 - Airflow, when the command runs

    suppress_logs_and_warning(_rejects)(args)


def _rejects(args: Namespace) -> None:
    from airflow_provider_segexport.storage.rejects_csv import RejectsFile  # noqa: PLC0415 - the core

    if args.csv and args.limit:
        fail_usage("--csv writes every row; leave --limit out")
    with errors_shown(only_shows=True), closing(RejectsFile(_file(args.run))) as rejects:
        if args.csv:
            _write_csv(rejects)
        elif args.output in STRUCTURED:
            _write_structured(rejects, args.output, args.limit)
        else:
            _print_table(rejects, args.output, args.limit or TABLE_ROWS)
        sys.stdout.flush()
    if not rejects.count:
        end_with_look("The run has no rows that were rejected or withheld.")


def _file(name: str) -> StoragePath:
    """Return the file of rejects of a run.

    Raises:
        InvalidArgument: the run has not ended, or its folder was removed.
        DamagedState: the run has no rejects, and its report is damaged.
    """
    from airflow_provider_segexport.export.run_report import read_report  # noqa: PLC0415 - the core
    from airflow_provider_segexport.storage.paths import exists  # noqa: PLC0415

    run = locate(name)
    path = run.folder / REJECTS
    if exists(path):
        if (run.folder / "summary.json").exists() and read_report(run.folder)["outcome"] == "waiting":
            warn("The run has not ended. These are the rows whose result is known.")
        return path
    report = read_report(run.folder)
    if report["outcome"] in {"open", "not planned"} and run.recorded is None:
        raise InvalidArgument(
            "The run has written no report yet, and its rejects come with the report. To fix: wait until the run has "
            f"ended; `airflow segexport show` shows how far it is. Run folder: {run.folder}"
        )
    raise InvalidArgument(
        f"The rejects of this run are gone: {path}. `airflow segexport prune` or an export has removed the run folder "
        "after `[segexport] keep_runs_days`. To fix: export the segment again, or restore the file from a backup."
    )


def _write_csv(rejects: RejectsFile) -> None:
    """Write the same CSV as the UI's download, in UTF-8 whatever the terminal's encoding is."""
    from airflow_provider_segexport.storage.rejects_csv import CHUNK_ROWS  # noqa: PLC0415 - the core

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    steps = rejects.count // CHUNK_ROWS + 1
    with progress("Writing the rows", steps) as tick:
        for part in rejects.lines():
            sys.stdout.write(part)
            tick()


def _write_structured(rejects: RejectsFile, output: str, limit: int | None) -> None:
    """Write the rows as one JSON array or YAML list, row by row, because a run may reject a million."""
    from airflow.utils import yaml  # noqa: PLC0415 - Airflow, when the command runs

    separator = "["
    for row in islice(rejects.rows(), limit):
        if output == "json":
            sys.stdout.write(f"{separator}\n{json.dumps(row)}")
            separator = ","
        else:
            sys.stdout.write(yaml.dump([row]))
    if output == "json" or not rejects.count:
        sys.stdout.write("\n]\n" if rejects.count else "[]\n")


def _print_table(rejects: RejectsFile, output: str, limit: int) -> None:
    """Print the first rows as a table, and warn if there are more."""
    print_rows(list(islice(rejects.rows(), limit)), output)
    if rejects.count > limit:
        warn(f"{limit:,} of {counted(rejects.count, 'row')}. `--csv` writes all of them, `--limit` shows more.")
