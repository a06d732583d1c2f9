"""`airflow segexport repair [AUDIENCE]`: sets aside what cannot be read of an audience's state."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from airflow_provider_segexport.errors import SegexportError

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.export.repair import Diagnosis


def repair(args: Namespace) -> None:
    """Say what cannot be read and what is lost, ask, and set it aside."""
    from airflow_provider_segexport.export import repair as core  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.export.release import audience  # noqa: PLC0415
    from airflow_provider_segexport.hooks.paths import resolve, state_path  # noqa: PLC0415
    from airflow_provider_segexport.hooks.task_state import is_task_running  # noqa: PLC0415
    from airflow_provider_segexport.person.files import run_folders  # noqa: PLC0415
    from airflow_provider_segexport.storage.history import ledger_paths  # noqa: PLC0415
    from airflow_provider_segexport.storage.scratch import remove_stale_folders  # noqa: PLC0415

    try:
        root = state_path()
        places = [audience(root, args.audience)] if args.audience else list(ledger_paths(root))
        diagnoses = [core.look(place, resolve) for place in places]
        damaged = [one for one in diagnoses if one.damaged]
        for diagnosis in damaged:
            _say(describe_diagnosis(diagnosis))
        known = {one.run for one in damaged}
        folders = [] if args.audience else run_folders(root / "runs")
        runs = [(folder, why) for folder, why in core.unreadable_runs(folders) if str(folder.path) not in known]
        for _, why in runs:
            _say(f"A run that its task would go on with cannot be read ({why}). Its next try makes a new plan.")
        if not damaged and not runs:
            _say(f"Everything can be read (audiences={len(places)}).")
        if args.dry_run or ((damaged or runs) and not args.yes and not _agreed()):
            _say("Nothing was changed.")
            return
        for place in places:
            core.repair(place, resolve, clock=time.time, sleep=time.sleep, alive=is_task_running)
        remove_stale_folders()
        for folder, why in runs:
            core.set_run_aside(folder, why, time.time())
    except SegexportError as error:
        raise SystemExit(str(error)) from None
    if damaged or runs:
        _say(f"Repaired (audiences={len(damaged)} runs={len(runs)}). Damaged files are kept as damaged-*.")


def describe_diagnosis(diagnosis: Diagnosis) -> str:
    """What cannot be read of an audience, what is lost with it, and what the next run does."""
    lines = [f"Audience {diagnosis.path}:"]
    if diagnosis.state:
        lines.append(
            f"The audience's state (audience_state.json) cannot be read: {diagnosis.state}. It is made again from the "
            "ledger and the history. Lost: whether a run has not ended, and which opt-outs were read."
        )
    if diagnosis.versions and diagnosis.good:
        lines.append(
            f"The ledger's newest version ({diagnosis.versions[0]}) cannot be read. Version {diagnosis.good} takes its "
            "place. Lost: what later runs did. People whom those runs put in are not known, so no export removes them "
            "until one sends them again; people whom they took out count as still in."
        )
    elif diagnosis.versions:
        lines.append(
            "No version of the ledger can be read. Lost: which people were put in. They stay in the audience, and no "
            "export removes them until one sends them again."
        )
    if diagnosis.run:
        lines.append(
            f"An unfinished run cannot be read ({diagnosis.why}). It is set aside. Lost: which people it sent. New "
            "people whom it put in stay in the audience, and no export removes them until one sends them again."
        )
    lines.append("The next run sends every person of its segment again. No person is removed by this command.")
    return "\n".join(lines)


def _agreed() -> bool:
    """Ask at the terminal; without a terminal, `--yes` is needed."""
    if not sys.stdin.isatty():
        raise SystemExit("There is no terminal to ask at. To fix: give --yes to repair, or --dry-run to look only.")
    return input("Repair? [y/N] ").strip().lower() in {"y", "yes"}


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command speaks to a terminal
