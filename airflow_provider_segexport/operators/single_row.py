"""Sends one row of a task's segment to an address of the user's own: the argument `test_row_to`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.hooks import options
from airflow_provider_segexport.hooks.single_row import audience_text, reason, single_row
from airflow_provider_segexport.operators.notices import MESSAGE

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.operators.base import BaseAudienceOperator

SUMMARY_KEYS = ("vendor", "audience", "audience_name", "dry_run", "counts", "reasons")

SENT = "No ledger was changed. To take the address out again, remove it in the vendor's own pages."


def send(task: BaseAudienceOperator, hook: SegmentExportHook, address: object, context: Any) -> dict[str, Any]:
    """Send the first row of the task's segment, or only plan it in a dry run; return a summary without the address.

    Args:
        task: the task, after templates were rendered.
        hook: the task's account.
        address: the value of `test_row_to`.
        context: Airflow's context of the task.

    Raises:
        InvalidArgument: `test_row_to` is no address, or the row was not sent or not accepted.
        SegexportError: the connection does not allow the DAG, or the row cannot be planned.
    """
    if not isinstance(address, str):
        raise InvalidArgument(
            f"`test_row_to` is a {type(address).__name__}, and no text. Nothing was sent. To fix: pass your own "
            "address, or leave the argument out to export the segment."
        )
    hook.settings.check_dag_allowed(context["dag"].dag_id)
    task.build_request(context)  # checks the arguments; a decorated function's result becomes the segment
    with single_row(hook, task.rendered_arguments(options.EXPORT), address) as row:
        for item in row.planned["preview"]:
            task.log.info("Planning a test row (masked_item=%s)", json.dumps(item, ensure_ascii=False))
        if not row.planned["counts"]["not_attempted"]:
            raise InvalidArgument(
                f"The test row was not sent: {reason(row.planned)}. To fix: pass another address in `test_row_to`."
            )
        is_dry_run = row.values["dry_run"]
        report = row.planned if is_dry_run else row.send()
    if not is_dry_run and not report["counts"]["delivered"]:
        raise InvalidArgument(
            f"The vendor did not accept the test row: {reason(report)}. To fix: correct the values of the segment's "
            "first row, or pass another address in `test_row_to`."
        )
    title = f"{'Planned one test row for' if is_dry_run else 'Sent one test row to'} the {audience_text(report)}"
    body = "Nothing was sent." if is_dry_run else SENT
    task.log.info("%s. %s", title, body)
    context[MESSAGE] = {"title": title, "body": body, "run_folder": None}
    return {"title": title, "body": body, "test_row": True, **{name: report[name] for name in SUMMARY_KEYS}}
