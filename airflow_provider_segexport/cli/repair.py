"""`airflow segexport repair [AUDIENCE]`: sets damaged files of an audience's state aside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_segexport.cli.exit_codes import errors_shown
from airflow_provider_segexport.cli.terminal import confirm, say

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.export.repair import Diagnosis
    from airflow_provider_segexport.storage.unread_folders import UnreadFolders


@errors_shown()
def repair(args: Namespace) -> None:
    """Show which files are damaged and what is lost, and set the files aside after a confirmation."""
    from airflow_provider_segexport.export import repair as core  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.export.release import audience  # noqa: PLC0415
    from airflow_provider_segexport.hooks.paths import resolve, state_path  # noqa: PLC0415
    from airflow_provider_segexport.hooks.task_state import is_task_running  # noqa: PLC0415
    from airflow_provider_segexport.person.files import run_folders  # noqa: PLC0415
    from airflow_provider_segexport.storage.history import ledger_paths  # noqa: PLC0415
    from airflow_provider_segexport.storage.scratch import remove_stale_folders  # noqa: PLC0415
    from airflow_provider_segexport.storage.unread_folders import UnreadFolders  # noqa: PLC0415

    root, unread = state_path(), UnreadFolders()
    ledgers = [audience(root, args.audience)] if args.audience else list(ledger_paths(root, unread))
    diagnoses: list[Diagnosis] = []
    for ledger in ledgers:
        with unread.skipping(ledger):
            diagnoses.append(core.look(ledger, resolve))
    damaged = [diagnosis for diagnosis in diagnoses if diagnosis.damaged]
    for diagnosis in damaged:
        say(describe_diagnosis(diagnosis))
    described = {diagnosis.run for diagnosis in damaged}
    folders = list(run_folders(root / "runs", unread.add))
    unreadable = core.unreadable_runs(folders)
    runs = [(folder, why) for folder, why in unreadable if str(folder.path) not in described]
    for _, why in runs:
        say(
            f"A run that its task would resume cannot be read ({why}). Its next try makes a new plan. If the file "
            "is audience.json, the next try looks the audience's name up again."
        )
    if not damaged and not runs and not unread.reasons:
        say(f"Everything can be read (audiences={len(diagnoses)}).")
    if args.dry_run or ((damaged or runs) and not args.yes and not confirm("Repair?", "repair")):
        say("Nothing was changed.")
        _end(unread)
        return
    for diagnosis in diagnoses:
        core.repair(diagnosis.path, resolve, clock=time.time, sleep=time.sleep, alive=is_task_running, runs=folders)
    remove_stale_folders()
    for folder, why in runs:
        core.set_run_aside(folder, why, time.time())
    if damaged or runs:
        say(f"Repaired (audiences={len(damaged)} runs={len(runs)}). Damaged files are kept as damaged-*.")
    _end(unread)


def _end(unread: UnreadFolders) -> None:
    """End the command with 1 if folders could not be read."""
    if unread.reasons:
        raise SystemExit(unread.message("Their audiences and runs were not checked and not changed."))


def describe_diagnosis(diagnosis: Diagnosis) -> str:
    """Return which files of an audience are damaged, what is lost, and what the next run does."""
    lines = [f"Audience {diagnosis.path}:"]
    if diagnosis.state:
        lines.append(
            f"The audience's state (audience_state.json) cannot be read: {diagnosis.state}. It is rebuilt from the "
            "ledger, the history and the run folders. Lost: which opt-outs were read, and a run that has not ended if "
            "its run folder is not below the state."
        )
    if diagnosis.versions and diagnosis.good:
        lines.append(
            f"The ledger's newest version ({diagnosis.versions[0]}) cannot be read. Version {diagnosis.good} replaces "
            "it. Lost: what later runs did. People that those runs added are not recorded, so no export removes them "
            "until one sends them again; people that those runs removed count as members."
        )
    elif diagnosis.versions:
        lines.append(
            "No version of the ledger can be read. Lost: which people were added. They stay in the audience, and no "
            "export removes them until one sends them again."
        )
    if diagnosis.older:
        versions = ", ".join(map(str, diagnosis.older))
        lines.append(f"Older versions of the ledger cannot be read ({versions}). Lost: they cannot be undone.")
    if diagnosis.run and diagnosis.rows_known:
        lines.append(
            f"What an unfinished run sent cannot be read ({diagnosis.why}). The run is set aside. All people of its "
            "plan count as perhaps sent, so the next run sends or removes each of them again. It waits for the jobs "
            "that the journal still names. Other jobs of the run may be running at the vendor: let the next run start "
            "only after they have ended."
        )
    elif diagnosis.run:
        lines.append(
            f"An unfinished run cannot be read ({diagnosis.why}). It is set aside. Lost: which people it sent. New "
            "people that it added stay in the audience, and no export removes them until one sends them again."
        )
    lines += [
        f"What a superseded run sent last cannot be read ({why}). The run is set aside. If its plan can be read, all "
        "people of the plan count as perhaps sent."
        for _, why in diagnosis.doubts
    ]
    if diagnosis.is_content_lost:
        lines.append("The next run sends every person of its segment again.")
    lines.append("This command removes no person.")
    return "\n".join(lines)
