"""`airflow segexport explain EMAIL` and `airflow segexport erase EMAIL`: one person over all audiences."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.yes_no import yes_no

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.person.erase import Receipt
    from airflow_provider_segexport.person.explain import PersonRecord
    from airflow_provider_segexport.person.person import Person

STATES = {
    "member": "in, put there by an export",
    "removed": "out, taken out by an export",
    "removing": "being taken out by a run that died",
    "left": "out: has left it, and not by an export",
    "not_added": "never delivered",
}


def explain(args: Namespace) -> None:
    """Tell what is known."""
    from airflow_provider_segexport.hooks.paths import resolve, state_path  # noqa: PLC0415
    from airflow_provider_segexport.person import explain as core  # noqa: PLC0415 - the core, when the command runs

    try:
        known = list(core.explain(state_path(), _person(args.email), resolve, args.last_runs))
    except SegexportError as error:
        raise SystemExit(str(error)) from None
    told = [one for one in known if one.anything]
    for one in told:
        _say("\n".join(describe_record(one)))
    others = len(known) - len(told)
    if others or not told:
        _say(
            f"Nothing is known of this person in {'any' if not told else 'the other'} of {counted(others, 'audience')}."
        )


def describe_record(known: PersonRecord) -> Iterator[str]:
    """What is known of a person and an audience, line by line."""
    yield f"{known.vendor} {known.audience_name or known.audience} ({known.audience}), account {known.account}"
    row = known.ledger
    if row is None:
        yield "  not in the ledger"
    else:
        yield f"  {STATES.get(row['state'], row['state'])}"
        for label, name in (("since", "added_at"), ("as of", "as_of"), ("by run", "run"), ("contact id", "contact_id")):
            if row.get(name):
                yield f"  {label} {row[name]}"
        if row.get("reason"):
            last = row["last_rejected_at"] or row["first_rejected_at"]
            yield f"  rejected last for {row['reason']}, {counted(row['attempts'] or 1, 'time')}, last at {last}"
    if row is None and known.versions:
        yield f"  in kept versions {', '.join(map(str, known.versions))} of the ledger"
    for one in known.missed:
        field = f" of {one.field}" if one.field else ""
        vendor = f" ({' '.join(filter(None, (one.vendor_code, one.vendor_message)))})" if one.vendor_code else ""
        yield f"  {one.outcome} by {one.run}: {one.reason}{field}{vendor}, row {one.file_row} of {one.file}"
    for run in known.unread:
        yield f"  the report of {run} is gone or cannot be read"
    for version in known.damaged:
        yield f"  version {version} of the ledger cannot be read"


def erase(args: Namespace) -> None:
    """Show, ask, erase, and tell what was done."""
    from airflow_provider_segexport.hooks.erasure import erasure_deps  # noqa: PLC0415
    from airflow_provider_segexport.person import erase as core  # noqa: PLC0415

    try:
        person = _person(args.email)
        made = erasure_deps(command_hook)
        found = core.erase(made, person, args.requested_by, dry_run=True)
        _report(found)
        if args.dry_run:
            return
        if found.findings and not args.yes and not _agreed():
            _say("Nothing was touched.")
            return
        receipt = core.erase(made, person, args.requested_by)
    except SegexportError as error:
        raise SystemExit(str(error)) from None
    _report(receipt)
    _say(f"Receipt: {receipt.path}")
    if not receipt.complete:
        raise SystemExit(1)


def _report(receipt: Receipt) -> None:
    if not receipt.findings and not receipt.left:
        _say("Nothing is held of this person.")
    for one in receipt.findings:
        _say(f"{one.outcome:12} {one.kind}: {one.path}" + (f", {counted(one.rows, 'row')}" if one.rows > 1 else ""))
    for describe_record in receipt.left:
        _say(f"{'left':12} {describe_record}")


def _person(text: str) -> Person:
    from airflow_provider_segexport.person.person import Person  # noqa: PLC0415

    return Person.of(sys.stdin.readline() if text == "-" else text)


def _agreed() -> bool:
    """Ask at the terminal; where there is none, `--yes` has to be said."""
    if not sys.stdin.isatty():
        raise SystemExit("Nobody is there to ask: give --yes to erase, or --dry-run to look only.")
    return yes_no(input("Erase all this? [y/N] ")) is True


def _say(describe_record: str) -> None:
    print(describe_record, flush=True)  # noqa: T201 - a command speaks to a terminal
