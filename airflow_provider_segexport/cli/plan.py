"""`airflow segexport plan CONN SEGMENT...`: plans an export outside a DAG, and prints the plan and the operator call.

The plan is a dry run, so nothing changes at the vendor. Its run folder is a temporary folder of this process, so the
state path stays as it is. Only the rate limit store counts the calls.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.exit_codes import end_with_look, errors_shown, fail_usage
from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.cli.output import progress
from airflow_provider_segexport.errors import AudienceOwnedByOther, StaleSnapshot

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.hooks.base import SegmentExportHook

LOCAL_PATHS = ("segment", "suppression_list")
"""Arguments whose relative paths are made absolute."""

URL_OR_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""The beginning of a URL or a table, which does not depend on the current folder."""


def plan(args: Namespace) -> None:
    """Plan, and print the plan; exit with 3 if the export would not run as it is."""
    from airflow.utils.cli import suppress_logs_and_warning  # noqa: PLC0415 - Airflow, when the command runs

    suppress_logs_and_warning(_plan)(args)


def _plan(args: Namespace) -> None:
    from airflow_provider_segexport.cli import plan_options  # noqa: PLC0415 - when the command runs
    from airflow_provider_segexport.cli.plan_output import print_plan  # noqa: PLC0415

    try:
        given = plan_options.given(args)
    except ValueError as error:
        fail_usage(str(error))
    with errors_shown():
        given |= {name: _absolute(given[name]) for name in LOCAL_PATHS if name in given}
        report = _report(args.conn_id, given)
        print_plan(report, args.conn_id, given, args.output)
    if report["error"]:
        end_with_look(str(report["error"]))


def _report(conn_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of the dry run.

    Raises:
        SegexportError: the export cannot be planned.
    """
    try:
        hook = command_hook(conn_id, is_command=False)
        hook.settings.check_dag_allowed(None)
        with progress("Planning. Nothing is sent."):
            return _dry_run(hook, given)
    except StaleSnapshot as error:
        end_with_look(str(error))
    except AudienceOwnedByOther as error:
        raise AudienceOwnedByOther(
            f"{error} To plan as an export that uses the audience: pass its name with `--export-name`. This command "
            f"planned as {given.get('export_name', _export_name(conn_id))!r}."
        ) from None


def _export_name(conn_id: str) -> str:
    """Return an export name that no task has, so that a plan for an audience of another export is refused."""
    return f"plan.{conn_id}"


def _dry_run(hook: SegmentExportHook, given: Mapping[str, Any]) -> dict[str, Any]:
    """Plan in a temporary run folder, and return the report.

    Raises:
        SegexportError: the export cannot be planned.
    """
    from airflow_provider_segexport.hooks import options  # noqa: PLC0415 - imports the core
    from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
    from airflow_provider_segexport.hooks.run_folders import ExportRequest  # noqa: PLC0415
    from airflow_provider_segexport.hooks.runner import run_to_end  # noqa: PLC0415
    from airflow_provider_segexport.storage.scratch import scratch  # noqa: PLC0415

    values = options.values(options.EXPORT, {**given, "dry_run": True})
    identity = ("command", "plan", hook.conn_id, f"{time.time_ns()}-{secrets.token_hex(3)}")
    config = options.export_config(
        values,
        as_of=values["as_of"] or datetime.now(UTC),
        run="/".join(identity),
        export_name=_export_name(hook.conn_id),
    )
    with scratch("plan") as folder:
        return run_to_end(hook, ExportRequest(config, identity, state_path(), str(folder)))


def _absolute(given: str | list[str]) -> str | list[str]:
    """Return local paths as absolute paths, because a worker runs in another folder than this command."""
    from airflow_provider_segexport.hooks.arguments import segment  # noqa: PLC0415 - when the command runs

    paths = segment(given)
    return [_from_here(path) for path in paths] if isinstance(paths, list) else _from_here(paths)


def _from_here(path: str) -> str:
    """Return an absolute path; a URL, a table and an empty text unchanged."""
    return path if not path or URL_OR_TABLE.match(path) else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118
