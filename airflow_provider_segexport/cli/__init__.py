"""Commands under `airflow segexport`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand


def get_commands() -> list[CLICommand]:
    """What Airflow's command line takes from this provider."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command  # noqa: PLC0415

    return [
        GroupCommand(
            name="segexport",
            help="Segment exports to email-marketing vendors",
            subcommands=(
                ActionCommand(
                    name="sign-in",
                    help="Sign in to a vendor that needs a person once (Constant Contact)",
                    description=(
                        "Shows an address and a code to approve in a browser anywhere, and keeps the refresh token in "
                        "the Airflow connection."
                    ),
                    func=lazy_load_command("airflow_provider_segexport.cli.sign_in.sign_in"),
                    args=(Arg(("conn_id",), help="the Airflow connection, of type constant_contact"),),
                ),
            ),
        )
    ]
