"""`airflow segexport audiences CONN_ID`: lists the audiences of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.cli.exit_codes import errors_shown
from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.cli.output import STRUCTURED, print_rows
from airflow_provider_segexport.cli.terminal import say

if TYPE_CHECKING:
    from argparse import Namespace


def audiences(args: Namespace) -> None:
    """Print id, name and number of members of each audience, sorted by name; without logs, for other programs."""
    from airflow.utils.cli import suppress_logs_and_warning  # noqa: PLC0415 - Airflow, when the command runs

    suppress_logs_and_warning(_print)(args)


@errors_shown(only_shows=True)
def _print(args: Namespace) -> None:
    from airflow_provider_segexport.http.quiet_logs import quiet  # noqa: PLC0415 - the core, when the command runs

    with quiet():
        entries = command_hook(args.conn_id).list_audiences()
    rows = [
        {"id": entry.id, "name": entry.name, "members": entry.member_count}
        for entry in sorted(entries, key=lambda entry: (entry.name.casefold(), entry.id))
    ]
    print_rows(rows, args.output)
    if not rows and args.output not in STRUCTURED:
        say("The account has no audience.")
