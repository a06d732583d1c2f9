"""`airflow segexport probe CONN_ID --audience ... --address ...`: finds out what a vendor does not document."""

from __future__ import annotations

import json
import os
import pathlib
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport import __version__
from airflow_provider_segexport.cli.exit_codes import errors_shown, fail_usage
from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.cli.terminal import confirm
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidArgument, SegexportError
from airflow_provider_segexport.http.base_url import is_loopback

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.probe.engine import Result
    from airflow_provider_segexport.probe.planning import Planned, ProbeContext

Say = Callable[[str], None]


def probe(args: Namespace) -> None:
    """Show the questions, ask for a confirmation, run the probe, and write and print the answers."""
    from airflow_provider_segexport.http.quiet_logs import quiet  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.probe import planning, report  # noqa: PLC0415

    with errors_shown():
        hook = command_hook(args.conn_id)
        questions = planning.probe_of(hook.vendor)
        planning.choose(questions, args.only or [])
        if args.list:
            _print(report.describe_questions(questions))
            return
        code = 0
        with quiet():
            code = _probe(args, hook)
    if code:
        raise SystemExit(code)


def _probe(args: Namespace, hook: SegmentExportHook) -> int:
    """Run the probe, and return the exit code."""
    from airflow_provider_segexport.hooks.probing import hold_for_probe, open_probe  # noqa: PLC0415
    from airflow_provider_segexport.probe import addresses, planning, report  # noqa: PLC0415

    path, say = _output_file(args), _say_to(sys.stderr if args.output == "json" else sys.stdout)
    if not args.audience or not args.address:
        fail_usage(
            "A probe needs `--audience` and `--address`. To fix: name an empty test audience, and a pattern of your "
            "own addresses such as 'me+{n}@my-domain.com'."
        )
    questions, base_url = planning.probe_of(hook.vendor), hook.settings.endpoint.base_url
    emails = addresses.addresses(args.address, planning.count_addresses(questions), base_url)
    with open_probe(hook, args.audience, _say_to(sys.stderr)) as context:
        planned = planning.plan(questions, args.only or [], emails, context.audience)
        leftover = context.leftovers.read()
        planning.check_audience(context, [*emails, *(leftover.emails if leftover else ())])
        _show_plan(context, planned, say, has_leftover=leftover is not None)
        if args.dry_run:
            return report.AS_ASSUMED
        if not args.yes and not confirm("Ask these questions?", "ask them"):
            say("Nothing was sent.")
            return report.INCOMPLETE
        with hold_for_probe(hook, context):
            results, not_undone = _carry_out(context, planned, emails, keep_going=args.keep_going)
    outcome = report.ProbeReport(hook.vendor, results, not_undone, __version__)
    content = json.dumps(outcome.as_json(hook.clock(), simulated=is_loopback(base_url)), indent=2)
    failure = _write(path, content)
    _print([content] if args.output == "json" else outcome.describe_answers())
    for line in outcome.describe_end():
        say(line)
    if failure:
        raise SegexportError(failure)
    say(f"Wrote {path}.")
    return outcome.exit_code


def _show_plan(context: ProbeContext, planned: list[Planned], say: Say, *, has_leftover: bool) -> None:
    from airflow_provider_segexport.probe import report  # noqa: PLC0415

    audience, vendor = context.audience, context.vendor
    say(f"{vendor.title} account {audience.account_name!r}, {vendor.audience_noun} {audience.audience_name!r}")
    if has_leftover:
        say("An earlier probe of this audience was not undone. Its changes are undone first.")
    if others := context.leftovers.others():
        audiences = counted(others, f"other {vendor.audience_noun}")
        say(
            f"{audiences} of the account {'has' if others == 1 else 'have'} a probe that was not undone. To fix: run a "
            "probe there, which undoes it first, or give another pattern of addresses."
        )
    emails = [email for item in planned if not item.why_not for email in item.emails]
    if emails:
        say(f"Addresses: {emails[0]}" if len(emails) == 1 else f"Addresses: {emails[0]} ... {emails[-1]}")
    say("")
    for line in report.describe_plan(vendor, context.probe, planned, audience):
        say(line)


def _carry_out(
    context: ProbeContext, planned: list[Planned], emails: tuple[str, ...], *, keep_going: bool
) -> tuple[list[Result], tuple[str, ...]]:
    """Undo an earlier probe, ask the questions, and return results and texts on what could not be undone."""
    from airflow_provider_segexport.probe import engine, planning  # noqa: PLC0415

    not_undone = engine.undo_leftover(context)
    if not_undone:
        failed = [engine.Result(item.question, "not asked", reason=engine.STOPPED) for item in planned]
        return failed, not_undone
    planning.check_audience(context, emails)
    results = engine.ask_all(context, planned, keep_going=keep_going)
    chosen = {result.question.name for result in results if result.calls}
    swept = engine.sweep(context, [email for item in planned if item.question.name in chosen for email in item.emails])
    not_undone = tuple(text for result in results for text in result.not_undone)
    return results, tuple(dict.fromkeys((*not_undone, *swept)))


def _output_file(args: Namespace) -> pathlib.Path:
    """Return the path of `probe.json`, after a check that the file can be written.

    Raises:
        InvalidArgument: it cannot be written.
    """
    path = pathlib.Path(args.file)
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise InvalidArgument(f"The file {args.file!r} cannot be written. To fix: give `--file` a path in a folder.")
    return path


def _write(path: pathlib.Path, content: str) -> str:
    """Write `probe.json`; return an error's text, or an empty text. The answers are printed in both cases."""
    try:
        path.write_text(f"{content}\n", encoding="utf-8")
    except OSError as error:
        return (
            f"The file {str(path)!r} cannot be written ({error.strerror}). To fix: copy the answers from this output, "
            "or free the disk and run the probe again with another pattern of addresses."
        )
    return ""


def _say_to(stream: Any) -> Say:
    return lambda text: print(text, file=stream, flush=True)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        _say_to(sys.stdout)(line)
