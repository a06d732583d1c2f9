"""`airflow segexport release AUDIENCE --export NAME`: hands an export's people over, or retires the export."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_segexport.cli.exit_codes import errors_shown, fail_usage
from airflow_provider_segexport.cli.terminal import confirm, say
from airflow_provider_segexport.counted import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.export.release import Release, ReleaseEffect


@errors_shown()
def release(args: Namespace) -> None:
    """Show what happens to the export's people, and do so after a confirmation."""
    from airflow_provider_segexport.export import release as core  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
    from airflow_provider_segexport.hooks.task_state import is_task_running  # noqa: PLC0415

    if args.to and args.keep:
        fail_usage("--keep and --to exclude each other; leave one of them out")
    change = core.Release(args.export, (args.to or "").strip(), args.keep)
    path = core.audience(state_path(), args.audience)
    say(describe_release(change, core.look(path, change)))
    if args.dry_run:
        return
    if not args.yes and not confirm(f"Release {change.export!r}?", "release"):
        say("Nothing was changed.")
        return
    core.release(path, change, clock=time.time, sleep=time.sleep, alive=is_task_running)
    say(f"Released: {change.export!r} no longer uses this audience.")


def describe_release(change: Release, effect: ReleaseEffect) -> str:
    """Return what happens to the export's people."""
    people = counted(effect.alone + effect.together, "person")
    if change.to:
        return (
            f"{change.export!r} hands over to {change.to!r}, which holds all of its {people} from now on. No person is "
            "removed from the audience now."
        )
    lines = [f"{change.export!r} is retired. It holds {people}, {effect.together:,} of them with other exports."]
    if effect.together:
        lines.append(f"These {effect.together:,} stay, held by {', '.join(map(repr, effect.others))}.")
    if effect.alone and change.keep:
        lines.append(f"The other {effect.alone:,} stay in the audience for good: no export removes them any more.")
    elif effect.alone:
        lines.append(
            f"The other {effect.alone:,} are removed by the next `mirror` run of any export to this audience, unless "
            "they are in its segment; its guards count them. `--keep` keeps them in the audience for good, `--to` "
            "hands them over."
        )
    if len(effect.others) == 1:
        lines.append(
            f"From now on {effect.others[0]!r} is the audience's only export, and may use "
            "`allow_shared_audience=False`."
        )
    elif not effect.others:
        lines.append("From now on the audience has no owner: the next export to it becomes the owner.")
    return " ".join(lines)
