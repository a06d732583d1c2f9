"""`airflow segexport release AUDIENCE --export NAME`: hands an export's people over, or retires the export."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import SegexportError

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.export.release import Release, ReleaseEffect


def release(args: Namespace) -> None:
    """Say what happens to the people, ask, and do it."""
    from airflow_provider_segexport.export import release as core  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
    from airflow_provider_segexport.hooks.task_state import is_task_running  # noqa: PLC0415

    what = core.Release(args.export, (args.to or "").strip(), args.keep)
    try:
        place = core.audience(state_path(), args.audience)
        _say(describe_release(what, core.look(place, what)))
        if args.dry_run:
            return
        if not args.yes and not _agreed(f"Release {what.export!r}?"):
            _say("Nothing was changed.")
            return
        core.release(place, what, clock=time.time, sleep=time.sleep, alive=is_task_running)
    except SegexportError as error:
        raise SystemExit(str(error)) from None
    _say(f"Released: {what.export!r} does not use this audience any more.")


def describe_release(what: Release, outlook: ReleaseEffect) -> str:
    """What happens to the export's people."""
    people = outlook.alone + outlook.together
    if what.to:
        return (
            f"{what.export!r} hands over to {what.to!r}, which holds all of its {counted(people, 'person')} from here "
            "on. No one is taken out of the audience now."
        )
    held = counted(people, "person")
    said = [f"{what.export!r} is retired. It holds {held}, {outlook.together:,} of them with other exports."]
    if outlook.together:
        said.append(f"These {outlook.together:,} stay, held by {', '.join(map(repr, outlook.others))}.")
    if outlook.alone and what.keep:
        said.append(f"The other {outlook.alone:,} stay in the audience for good: no export removes them any more.")
    elif outlook.alone:
        said.append(
            f"The other {outlook.alone:,} are taken out by the next `mirror` run of any export to this audience, "
            "unless they are in its segment; its guards count them. `--keep` leaves them in the audience for "
            "good, `--to` hands them over."
        )
    if len(outlook.others) == 1:
        said.append(
            f"The audience is {outlook.others[0]!r}'s alone from here on, which may say `allow_shared_audience=False`."
        )
    elif not outlook.others:
        said.append("The audience has no owner from here on: the next export to it becomes the owner.")
    return " ".join(said)


def _agreed(question: str) -> bool:
    """Ask at the terminal; without a terminal, `--yes` is needed."""
    if not sys.stdin.isatty():
        raise SystemExit("There is no terminal to ask at. To fix: give --yes to release, or --dry-run to look only.")
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command speaks to a terminal
