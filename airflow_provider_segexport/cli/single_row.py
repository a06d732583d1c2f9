"""`airflow segexport test-row CONN SEGMENT... --to ADDRESS`: sends one row to an address of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.exit_codes import end_with_look, errors_shown, fail_usage
from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.cli.terminal import confirm, say

if TYPE_CHECKING:
    from argparse import Namespace


def single_row(args: Namespace) -> None:
    """Show the row, and send it after a confirmation; exit with 3 if the vendor did not accept it."""
    from airflow.utils.cli import suppress_logs_and_warning  # noqa: PLC0415 - Airflow, when the command runs

    suppress_logs_and_warning(_single_row)(args)


@errors_shown()
def _single_row(args: Namespace) -> None:
    from airflow_provider_segexport.cli import plan_options  # noqa: PLC0415 - when the command runs
    from airflow_provider_segexport.hooks import single_row as core  # noqa: PLC0415

    try:
        given = plan_options.given(args)
    except ValueError as error:
        fail_usage(str(error))
    hook = command_hook(args.conn_id)
    hook.settings.check_enabled()
    with core.single_row(hook, given, args.to, args.row) as row:
        say("\n".join(describe(row.planned)))
        if not row.planned["counts"]["not_attempted"]:
            end_with_look(f"This row would not be sent: {core.reason(row.planned)}.")
        if args.dry_run:
            return
        if not args.yes and not confirm("Send this row?", "send it"):
            say("Nothing was sent.")
            return
        report = row.send()
    if not report["counts"]["delivered"]:
        end_with_look(f"The vendor did not accept the row: {core.reason(report)}.")
    say(
        f"Sent one row to the {core.audience_text(report)}; the vendor accepted it. No ledger was changed. To take the "
        "address out again, remove it in the vendor's own pages."
    )


def describe(planned: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines about the planned row."""
    from airflow_provider_segexport.cli.plan_output import item_text  # noqa: PLC0415 - when the command runs
    from airflow_provider_segexport.hooks.single_row import audience_text  # noqa: PLC0415

    audience = audience_text(planned)
    yield f"One row for the {audience}, with your address in place of the person's and without a phone number"
    for item in planned["preview"]:
        yield item_text(item)
