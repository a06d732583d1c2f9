"""`airflow segexport explain EMAIL` and `airflow segexport erase EMAIL`: show and erase a person's records."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.exit_codes import errors_shown, fail_usage
from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.cli.terminal import confirm, say
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidSegment

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.person.explain import PersonRecord
    from airflow_provider_segexport.person.person import Person
    from airflow_provider_segexport.person.receipt import Receipt


@errors_shown(only_shows=True)
def explain(args: Namespace) -> None:
    """Print the records of a person."""
    from airflow_provider_segexport.hooks.paths import resolve, state_path  # noqa: PLC0415
    from airflow_provider_segexport.person import explain as core  # noqa: PLC0415 - the core, when the command runs

    records = list(core.explain(state_path(), _person(args.email), resolve, args.last_runs))
    shown = [record for record in records if record.anything]
    for record in shown:
        say("\n".join(describe_record(record)))
    others = len(records) - len(shown)
    if others or not shown:
        say(f"No record of this person in {'any' if not shown else 'the other'} of {counted(others, 'audience')}.")
    if any(record.is_unknown for record in records):
        raise SystemExit(1)


def describe_record(record: PersonRecord) -> Iterator[str]:
    """Yield the lines about a person and one audience."""
    yield f"{record.vendor} {record.audience_name or record.audience} ({record.audience}), account {record.account}"
    row = record.ledger
    if record.unreadable:
        yield (
            f"  unknown, because the ledger or a report cannot be read ({record.unreadable}). To fix: let this user "
            "read `[segexport] state_path`."
        )
    elif record.is_unknown:
        yield (
            f"  unknown, because the newest version ({record.newest}) of the ledger cannot be read. To fix: run "
            f"`airflow segexport repair {record.audience}`."
        )
    elif row is None:
        yield "  not in the ledger"
    else:
        yield from _describe_row(row)
    if row is None and record.versions:
        yield f"  in stored versions {', '.join(map(str, record.versions))} of the ledger"
    for missed in record.missed:
        field = f" of {missed.field}" if missed.field else ""
        details = " ".join(filter(None, (missed.vendor_code, missed.vendor_message))) if missed.vendor_code else ""
        vendor = f" ({details})" if details else ""
        row_name = f"row {missed.file_row} of {missed.file}"
        yield f"  {missed.outcome} by {missed.run}: {missed.reason}{field}{vendor}, {row_name}"
    for run in record.unread:
        yield f"  the report of {run} was removed or cannot be read"
    for version in sorted({*record.damaged} - {record.newest}):
        yield f"  version {version} of the ledger cannot be read"


def _describe_row(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about the person's row in the ledger."""
    from airflow_provider_segexport.person.explain import state_text  # noqa: PLC0415 - the core, when the command runs

    yield f"  {state_text(row)}"
    for label, name in (("since", "added_at"), ("as of", "as_of"), ("by run", "run"), ("contact id", "contact_id")):
        if row.get(name):
            yield f"  {label} {row[name]}"
    if row.get("reason"):
        last = row["last_rejected_at"] or row["first_rejected_at"]
        yield f"  last rejected for {row['reason']}, {counted(row['attempts'] or 1, 'time')}, last at {last}"


@errors_shown()
def erase(args: Namespace) -> None:
    """Show a person's records, ask, erase them, and print the receipt."""
    from airflow_provider_segexport.hooks.erasure import erasure_deps  # noqa: PLC0415
    from airflow_provider_segexport.person import erase as core  # noqa: PLC0415

    if not args.requested_by.strip():
        fail_usage("--requested-by is empty; give the name or number of the request")
    person = _person(args.email)
    deps = erasure_deps(command_hook)
    preview = core.erase(deps, person, args.requested_by, dry_run=True)
    _print(preview)
    if args.dry_run:
        return
    if preview.findings and not args.yes and not confirm("Erase all this?", "erase"):
        say("Nothing was changed.")
        return
    receipt = core.erase(deps, person, args.requested_by)
    _print(receipt)
    say(f"Receipt: {receipt.path}")
    if not receipt.complete:
        raise SystemExit(1)


def _print(receipt: Receipt) -> None:
    if not receipt.findings and not receipt.left:
        say("No record of this person.")
    for finding in receipt.findings:
        rows = f", {counted(finding.rows, 'row')}" if finding.rows > 1 else ""
        say(f"{finding.outcome:12} {finding.kind}: {finding.path}{rows}")
    for text in receipt.left:
        say(f"{'left':12} {text}")


def _person(text: str) -> Person:
    """Return the person of an address; `-` reads it from standard input.

    Raises:
        InvalidSegment: the text is no address, or more than one address alone.
    """
    from airflow_provider_segexport.person.person import Person  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.person.requests import is_one_address  # noqa: PLC0415

    if text == "-":
        try:
            text = sys.stdin.readline() if sys.stdin is not None else ""
        except UnicodeDecodeError:
            raise InvalidSegment("Standard input is not UTF-8. To fix: pass one address in UTF-8.") from None
    person = Person.of(text)
    if not is_one_address(text):
        raise InvalidSegment("This is more than one email address alone. To fix: pass one address.")
    return person
