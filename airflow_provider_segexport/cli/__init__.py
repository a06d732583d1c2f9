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
            subcommands=(_login(), _undo(), _release(), _repair(), _explain(), _erase(), _prune()),
        )
    ]


def _login() -> ActionCommand:
    """The first sign-in at a vendor that has no API key."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="login",
        help="Sign in to a vendor that needs a person once (Constant Contact)",
        description=(
            "Shows an address and a code to approve in a browser anywhere, and keeps the refresh token in the Airflow "
            "connection."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.login.login"),
        args=(Arg(("conn_id",), help="the Airflow connection, of type constant_contact"),),
    )


def _undo() -> ActionCommand:
    """An audience's last run, taken back."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="undo",
        help="Take back the last run of an audience, as far as the vendor allows",
        description=(
            "Shows whom it would take out and put back, asks, and does it. A version of the audience's ledger can be "
            "taken back as long as no later one changed the same people. Values that the run has changed stay as they "
            "are."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.undo.undo"),
        args=(
            Arg(("conn_id",), help="the Airflow connection"),
            Arg(("audience",), help="the vendor's id of the list, address book or tag"),
            Arg(("--ledger-version",), type=int, help="by default the newest that put people in or took people out"),
            Arg(("--export",), help="take back only what this export did, by its name; by default any export's run"),
            Arg(("--dry-run",), action="store_true", help="look only"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
        ),
    )


def _release() -> ActionCommand:
    """An export that ends its use of an audience."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="release",
        help="Hand an export's people over to another export, or retire the export",
        description=(
            "Shows what happens to the people whom the export holds in the audience, asks, and does it. Only the "
            "ledger changes; no vendor is called."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.release.release"),
        args=(
            Arg(("audience",), help="the vendor's id of the list, address book or tag, or vendor/account/audience"),
            Arg(("--export",), required=True, help="the export that ends, by its name: export_name, or DAG.task"),
            Arg(("--to",), help="the export that takes its people over, or its new name"),
            Arg(("--keep",), action="store_true", help="people held by no other export stay in the audience for good"),
            Arg(("--dry-run",), action="store_true", help="look only"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
        ),
    )


def _prune() -> ActionCommand:
    """Folders of old runs."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="prune",
        help="Remove the run folders of runs that ended long ago",
        description=(
            "Looks below `[segexport] state_path` and in the folders that `reports_path` named. Keeps runs that a task "
            "may resume, runs that an audience still needs, and the newest runs of each task. Ledgers are not touched."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.prune.prune"),
        args=(
            Arg(("--older-than",), help="days since the run ended, as 30d; by default `[segexport] keep_runs_days`"),
            Arg(("--dry-run",), action="store_true", help="list them only"),
        ),
    )


def _repair() -> ActionCommand:
    """State that cannot be read, set aside."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="repair",
        help="Set aside what cannot be read of an audience's state",
        description=(
            "Checks the audience's ledger, its state and its unfinished run, says what is lost and what the next run "
            "does, asks, and sets the damaged files aside. No vendor is called, and no person is removed."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.repair.repair"),
        args=(
            Arg(
                ("audience",),
                nargs="?",
                help="the vendor's id of the list, address book or tag, or vendor/account/audience; by default all",
            ),
            Arg(("--dry-run",), action="store_true", help="look only"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
        ),
    )


def _explain() -> ActionCommand:
    """What is known of one person."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="explain",
        help="Tell what is known of one person, audience by audience",
        description=(
            "In or out, since when and by which run, and why a row was rejected or withheld. Reads ledgers and reports "
            "below `[segexport] state_path`; asks no vendor."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.person.explain"),
        args=(
            Arg(("email",), help="the person's address; `-` reads it from standard input, past the shell's history"),
            Arg(
                ("--last-runs",),
                type=int,
                default=5,
                help="so many of each audience's last runs are looked through (5)",
            ),
        ),
    )


def _erase() -> ActionCommand:
    """One person, taken out of everything."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="erase",
        help="Take one person out of audiences, ledgers and run folders, with a receipt",
        description=(
            "Shows what is held of the person, asks, takes them out of the audiences at the vendors, of every kept "
            "version of the ledgers and of all run folders, and writes a receipt that holds no address. Ends with 1 "
            "where something was left. Take the person out of the sources of your segments first: the next export "
            "would send them again."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.person.erase"),
        args=(
            Arg(("email",), help="the person's address; `-` reads it from standard input, past the shell's history"),
            Arg(("--requested-by",), required=True, help="who asks for it; it goes into the receipt"),
            Arg(("--dry-run",), action="store_true", help="look only"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
        ),
    )
