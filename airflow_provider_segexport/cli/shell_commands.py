"""The commands that plan an export, send a test row, show runs and verify an audience, without a DAG."""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ARG_VERBOSE, ActionCommand, Arg, lazy_load_command, positive_int

from airflow_provider_segexport.cli import plan_options
from airflow_provider_segexport.cli.argument_types import share, text

EXIT_CODES = "Exits with 0, with 1 after an error, with 2 if the command line is wrong"


def shell_commands() -> tuple[ActionCommand, ...]:
    """Return the commands."""
    return (_plan(), _test_row(), _runs(), _show(), _rejects(), _verify())


def _plan() -> ActionCommand:
    """Return the command that plans an export outside a DAG."""
    return ActionCommand(
        name="plan",
        help="Plan an export outside a DAG, and print the operator call",
        description=(
            "Makes a dry run: counts by outcome and reason, guards, calls and minutes, three items with masked "
            "values, and the operator call for a DAG. Sends nothing. Runs outside any DAG, so 'Allowed DAGs' of the "
            f"connection must have `*`. {EXIT_CODES}, and with 3 if the export would be stopped by a guard or skipped."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.plan.plan"),
        args=(
            Arg(("conn_id",), type=text, help="the Airflow connection"),
            Arg(("segment",), nargs="+", help=plan_options.SEGMENT_HELP),
            *(Arg((plan_options.flag(item),), **plan_options.settings(item)) for item in plan_options.OPTIONS),
            ARG_OUTPUT,
            ARG_VERBOSE,
        ),
    )


def _test_row() -> ActionCommand:
    """Return the command that sends one row to an address of the user's own."""
    return ActionCommand(
        name="test-row",
        help="Send one row of a segment to an address of your own",
        description=(
            "Shows the row with masked values. After a confirmation, sends it with your address in place of the "
            "person's and without a phone number. No ledger is changed. Options of `plan` are accepted; those about "
            f"mode, guards, consent and new fields have no effect. {EXIT_CODES}, and with 3 if the row would not be "
            "sent or the vendor did not accept it."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.single_row.single_row"),
        args=(
            Arg(("conn_id",), type=text, help="the Airflow connection"),
            Arg(("segment",), nargs="+", help=plan_options.SEGMENT_HELP),
            Arg(("--to",), type=text, required=True, metavar="ADDRESS", help="your own address, in no segment"),
            Arg(("--row",), type=positive_int(allow_zero=False), default=1, help="number of the row (default: 1)"),
            *(Arg((plan_options.flag(item),), **plan_options.settings(item)) for item in plan_options.OPTIONS),
            Arg(("--dry-run",), action="store_true", help="only show the row"),
            Arg(("-y", "--yes"), action="store_true", help="do not ask"),
            ARG_VERBOSE,
        ),
    )


def _runs() -> ActionCommand:
    """Return the command that lists runs."""
    return ActionCommand(
        name="runs",
        help="List the newest runs of all audiences, or of one",
        description=(
            "Shows start, task, audience, mode, outcome, counts and duration, and an id for `show` and `rejects`. "
            "Reads the histories below `[segexport] state_path`; calls no vendor. Dry runs are not listed. "
            f"{EXIT_CODES}, and with 3 if there is no run."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.runs.runs"),
        args=(
            Arg(
                ("audience",),
                type=text,
                nargs="?",
                help="the vendor's id of the list, address book or tag, name:Newsletter, or vendor/account/audience; "
                "the default is all",
            ),
            Arg(("--limit",), type=positive_int(allow_zero=False), default=20, help="runs to show (default: 20)"),
            ARG_OUTPUT,
            ARG_VERBOSE,
        ),
    )


RUN_HELP = "an id that `runs` shows, dag/task/run/map index, or the path of a run folder"


def _show() -> ActionCommand:
    """Return the command that shows the report of a run."""
    return ActionCommand(
        name="show",
        help="Show the report of a run",
        description=(
            "Shows counts by outcome and reason, removals, guards, times and paths; with -o json or yaml the whole "
            "report. Of a run that has not ended it shows how far the run is. Calls no vendor. "
            f"{EXIT_CODES}, and with 3 if --calls is given and no calls are recorded."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.show.show"),
        args=(
            Arg(("run",), help=RUN_HELP),
            Arg(
                ("--calls",),
                action="store_true",
                help="show the vendor calls of the run instead: method, path without ids, status, milliseconds",
            ),
            ARG_OUTPUT,
            ARG_VERBOSE,
        ),
    )


def _rejects() -> ActionCommand:
    """Return the command that shows the rows that a run did not deliver."""
    return ActionCommand(
        name="rejects",
        help="Show the rows that a run rejected or withheld, with their addresses",
        description=(
            "Shows each row with file, row, address, outcome and reason. Addresses are personal data. A person who has "
            "this shell can read the files of the run folder, so the command checks no permission of Airflow. "
            f"{EXIT_CODES}, and with 3 if there is no such row."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.rejects.rejects"),
        args=(
            Arg(("run",), help=RUN_HELP),
            Arg(("--csv",), action="store_true", help="write every row as CSV, safe for spreadsheets"),
            Arg(
                ("--limit",),
                type=positive_int(allow_zero=False),
                help="rows to show (default: 100 in tables, all in JSON and YAML)",
            ),
            ARG_OUTPUT,
            ARG_VERBOSE,
        ),
    )


def _verify() -> ActionCommand:
    """Return the command that compares an audience with its ledger and a segment."""
    return ActionCommand(
        name="verify",
        help="Compare an audience at the vendor with its ledger and a segment",
        description=(
            "Reads the audience back within the account's quota, and shows how many people are in sync, missing or "
            "opted out. With --segment, also who of the segment was not exported, and whose values differ. Nothing is "
            "changed at the vendor."
        ),
        func=lazy_load_command("airflow_provider_segexport.cli.verify.verify"),
        args=(
            Arg(("conn_id",), type=text, help="the Airflow connection"),
            Arg(("audience",), type=text, help="the vendor's id of the list, address book or tag, or name:Newsletter"),
            Arg(
                ("--sample",),
                type=positive_int(allow_zero=False),
                help="number of people of the ledger to read instead of the whole audience",
            ),
            Arg(
                ("--segment",),
                action="append",
                metavar="PATH",
                help="compare with this segment, too; may be given several times",
            ),
            *(Arg((plan_options.flag(item),), **plan_options.settings(item)) for item in plan_options.COMPARED),
            Arg(
                ("--sample-values",),
                type=positive_int(allow_zero=True),
                help="greatest number of people whose values are compared with the segment (default: 1000)",
            ),
            Arg(
                ("--repair",),
                action="store_true",
                help="let the next run of the export send people again who are missing and have not opted out",
            ),
            Arg(
                ("--min-match-rate",),
                type=share,
                help="exit with 3 if the match rate is unknown or lower, such as 0.99",
            ),
            ARG_OUTPUT,
        ),
    )
