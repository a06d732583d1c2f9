"""The commands of `airflow segexport`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.cli.argument_types import days, text

if TYPE_CHECKING:
    from airflow.cli.cli_config import ActionCommand, CLICommand


def get_commands() -> list[CLICommand]:
    """Return this provider's commands for Airflow's command line."""
    from airflow.cli.cli_config import GroupCommand  # noqa: PLC0415 - only the command line needs it

    from airflow_provider_segexport.cli.shell_commands import shell_commands  # noqa: PLC0415

    return [
        GroupCommand(
            name="segexport",
            help="Segment exports to email-marketing vendors",
            subcommands=(
                _login(),
                _audiences(),
                _probe(),
                *shell_commands(),
                _undo(),
                _release(),
                _repair(),
                _explain(),
                _erase(),
                _prune(),
            ),
        )
    ]


def _login() -> ActionCommand:
    """Return the command that logs in at a vendor without API keys."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="login",
        help="Log in to a vendor that needs a person once (Constant Contact)",
        description=(
            "Shows a URL and a code to approve in any browser, and stores the refresh token in the Airflow connection."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.login.login"),
        args=(Arg(("conn_id",), type=text, help="the Airflow connection, of type constant_contact"),),
    )


def _audiences() -> ActionCommand:
    """Return the command that lists the audiences of an account."""
    from airflow.cli.cli_config import ARG_OUTPUT, ARG_VERBOSE, ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="audiences",
        help="List the lists or address books of a connection's account",
        description=(
            "Shows id, name and number of members of each. `audience` takes the id, or the exact name as "
            "name:Newsletter. Omnisend does not list its tags."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.audiences.audiences"),
        args=(Arg(("conn_id",), type=text, help="the Airflow connection"), ARG_OUTPUT, ARG_VERBOSE),
    )


def _probe() -> ActionCommand:
    """Return the command that finds out what a vendor does not document, on a test audience."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="probe",
        help="Find out on a test audience what the vendor does not document",
        description=(
            "Shows its questions, on at most 20 addresses of your own in an empty test audience, and asks for a "
            "confirmation. Stops at the first answer that exports do not assume, undoes each change, and writes "
            "probe.json. Exits with 0 if every answer is as assumed, with 3 if an answer differs, and with 1 if the "
            "probe was not completed or something could not be undone."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.probe.probe"),
        args=(
            Arg(("conn_id",), type=text, help="the Airflow connection"),
            Arg(
                ("--audience",),
                type=text,
                help="an empty list, address book or tag for the probe: its id, or name:Probe",
            ),
            Arg(("--address",), type=text, help="a pattern of your own addresses, such as me+{n}@my-domain.com"),
            Arg(("--only",), type=text, action="append", help="ask only this question; may be given several times"),
            Arg(("--list",), action="store_true", help="only list the questions; nothing is sent"),
            Arg(("--keep-going",), action="store_true", help="go on after an answer that differs"),
            Arg(("--file",), type=text, default="probe.json", help="where to write the answers (default: probe.json)"),
            Arg(("-o", "--output"), choices=("table", "json"), default="table", help="what to print (default: table)"),
            Arg(("--dry-run",), action="store_true", help="only show what would happen"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
        ),
    )


def _undo() -> ActionCommand:
    """Return the command that reverts a run of an audience."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command, positive_int  # noqa: PLC0415

    return ActionCommand(
        name="undo",
        help="Revert the last run of an audience, as far as the vendor allows",
        description=(
            "Shows how many people would be removed and added again, and does so after a confirmation. A version of "
            "the audience's ledger can be reverted if no later version changed the same people. Values that the run "
            "has changed stay as they are."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.undo.undo"),
        args=(
            Arg(("conn_id",), type=text, help="the Airflow connection"),
            Arg(("audience",), type=text, help="the vendor's id of the list, address book or tag, or name:Newsletter"),
            Arg(
                ("--ledger-version",),
                type=positive_int(allow_zero=False),
                help="version to revert (default: the newest that added or removed people)",
            ),
            Arg(
                ("--export",),
                type=text,
                help="revert only what the export of this name did; the default is any export",
            ),
            Arg(("--dry-run",), action="store_true", help="only show what would happen"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
        ),
    )


def _release() -> ActionCommand:
    """Return the command that ends an export's use of an audience."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="release",
        help="Hand an export's people over to another export, or retire the export",
        description=(
            "Shows what happens to the people that the export holds in the audience, and does so after a "
            "confirmation. Only the ledger changes; no vendor is called."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.release.release"),
        args=(
            Arg(
                ("audience",),
                type=text,
                help="the vendor's id of the list, address book or tag, name:Newsletter, or vendor/account/audience",
            ),
            Arg(("--export",), type=text, required=True, help="name of the export that ends: export_name, or DAG.task"),
            Arg(("--to",), type=text, help="the export that takes its people over, or its new name"),
            Arg(("--keep",), action="store_true", help="people of no other export stay in the audience for good"),
            Arg(("--dry-run",), action="store_true", help="only show what would happen"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
        ),
    )


def _prune() -> ActionCommand:
    """Return the command that removes old run folders."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="prune",
        help="Remove the run folders of runs that ended long ago",
        description=(
            "Checks `[segexport] state_path` and the folders of `reports_path`. Keeps runs that a task may resume, "
            "runs that an audience still needs, and the newest runs of each task. Ledgers are not changed."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.prune.prune"),
        args=(
            Arg(
                ("--older-than",),
                type=days,
                help="days since the run ended, such as 30d (default: `[segexport] keep_runs_days`)",
            ),
            Arg(("--dry-run",), action="store_true", help="only list the run folders"),
        ),
    )


def _repair() -> ActionCommand:
    """Return the command that sets damaged files of an audience aside."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="repair",
        help="Set damaged files of an audience's state aside",
        description=(
            "Checks the audience's ledger, its state and its unfinished run, and shows what is lost and what the next "
            "run does. Sets the damaged files aside after a confirmation. No vendor is called; no person is removed."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.repair.repair"),
        args=(
            Arg(
                ("audience",),
                type=text,
                nargs="?",
                help="the vendor's id, name:Newsletter, or vendor/account/audience; the default is all",
            ),
            Arg(("--dry-run",), action="store_true", help="only show what would happen"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
        ),
    )


def _explain() -> ActionCommand:
    """Return the command that shows the records of one person."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command, positive_int  # noqa: PLC0415

    return ActionCommand(
        name="explain",
        help="Show the records of one person, audience by audience",
        description=(
            "Shows whether the person is in each audience, since when and by which run, and why a row was rejected or "
            "withheld. Reads ledgers and reports below `[segexport] state_path`; calls no vendor."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.person.explain"),
        args=(
            Arg(
                ("email",),
                help="the address; `-` reads it from standard input, so that no shell history has it",
            ),
            Arg(
                ("--last-runs",),
                type=positive_int(allow_zero=True),
                default=5,
                help="number of each audience's last runs to search (default: 5)",
            ),
        ),
    )


def _erase() -> ActionCommand:
    """Return the command that erases one person."""
    from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command  # noqa: PLC0415

    return ActionCommand(
        name="erase",
        help="Erase one person from audiences, ledgers and run folders, with a receipt",
        description=(
            "Shows the person's records. After a confirmation, removes the person from the audiences at the vendors, "
            "from every stored version of the ledgers and from all run folders, and writes a receipt without the "
            "address. Exits with 1 if something could not be erased. Remove the person from the sources of your "
            "segments first, because the next export would send them again."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.person.erase"),
        args=(
            Arg(
                ("email",),
                help="the address; `-` reads it from standard input, so that no shell history has it",
            ),
            Arg(("--requested-by",), required=True, help="who asks for the erasure; it is written to the receipt"),
            Arg(("--dry-run",), action="store_true", help="only show what would happen"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
        ),
    )
