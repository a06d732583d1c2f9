"""Commands under `airflow segexport`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import ActionCommand, CLICommand


def get_commands() -> list[CLICommand]:
    """What Airflow's command line takes from this provider."""
    from airflow.cli.cli_config import GroupCommand  # noqa: PLC0415 - the command line, when it asks

    return [
        GroupCommand(
            name="segexport",
            help="Segment exports to email-marketing vendors",
            subcommands=(_sign_in(), _undo()),
        )
    ]


def _sign_in() -> ActionCommand:
    """The first sign-in at a vendor that has no API key."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="sign-in",
        help="Sign in to a vendor that needs a person once (Constant Contact)",
        description=(
            "Shows an address and a code to approve in a browser anywhere, and keeps the refresh token in the Airflow "
            "connection."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.sign_in.sign_in"),
        args=(Arg(("conn_id",), help="the Airflow connection, of type constant_contact"),),
    )


def _undo() -> ActionCommand:
    """An audience's last run, taken back."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="undo",
        help="Take back the last run of an audience, as far as the vendor allows",
        description=(
            "Shows whom it would take out and put back, asks, and does it. Only the newest version of the audience's "
            "ledger can be taken back. Values that the run has changed stay as they are."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.undo.undo"),
        args=(
            Arg(("conn_id",), help="the Airflow connection"),
            Arg(("audience",), help="the vendor's id of the list, address book or tag"),
            Arg(("--version",), type=int, help="the version that must still be the newest; by default whichever is"),
            Arg(("--dry-run",), action="store_true", help="look only"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
        ),
    )
