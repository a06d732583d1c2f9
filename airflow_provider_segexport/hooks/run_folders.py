"""What a task was told, the order that this makes, and the run folder in which it is carried out."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import InvalidArgument, RunFolderMissing
from airflow_provider_segexport.export.config import ExportConfig
from airflow_provider_segexport.hooks.paths import open_storage_path, resolve
from airflow_provider_segexport.storage.paths import StoragePath, exists, read, write
from airflow_provider_segexport.storage.run_folder import RunFolder, task_folder

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook

log = logging.getLogger(__name__)

PLAN = "plan.json"

PASSING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\d{4}([-_/]?)(?:\d{2}\1\d{2}|\d{2}|W\d{2}|Q[1-4])"
    r"(?:[T_ ]?\d{2}:?\d{2}(?::?\d{2}(?:\.\d+)?)?)?(?:Z|[+-]\d{2}:?\d{2})?(?!\d)"
    r"|(?<=year=)\d{4}|(?<=month=)\d{1,2}|(?<=week=)\d{1,2}|(?<=quarter=)\d|(?<=day=)\d{1,2}|(?<=hour=)\d{1,2}"
    r"|\d{8,}",
    re.IGNORECASE,
)
"""What of a segment's path changes from run to run."""

FRAME = "a data frame"
"""What reports call a segment that was in memory: its temporary file is gone by then."""

UNASKED = frozenset({"run", "conn_id", "job_timeout", "segment_name"})
"""Fields of an order that may change between the tries of a task without a new plan."""

ORDER, ATTEMPT = "config.json", "attempt.json"
"""What a run folder was begun for, and by which try of the task."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What a task was told.

    Attributes:
        config: what is exported; its audience and connection are settled by `order_of`.
        identity: DAG, task, run and map index: the name of the run folder, and who stands in the ledger.
        state_root: where ledgers and run folders stand.
        reports_path: where the run folder goes instead of below the root.
        attempt: the number of this try, and how many there may be: a task that is cleared is given more.
        content: what tells the rows of a frame from others; the path of its file differs in every try.
    """

    config: ExportConfig
    identity: tuple[str, ...]
    state_root: StoragePath
    reports_path: str | None = None
    attempt: tuple[int, int] = (0, 0)
    content: str = ""


def segment_part(segment: str | Sequence[str]) -> str:
    """Name one of several mapped segments, alike on every day: its paths without dates, times and unique ids."""
    paths = [segment] if isinstance(segment, str) else segment
    return " ".join(PASSING.sub("*", str(path)) for path in paths)


def build_config(hook: SegmentExportHook, request: ExportRequest) -> ExportConfig:
    """The order, at the audience that the errand or else the connection names."""
    audience = request.config.audience or hook.settings.audience
    if not audience:
        raise InvalidArgument(
            f"No {hook.vendor.audience_noun} is named: give `audience`, or a default audience in connection "
            f"{hook.conn_id!r}."
        )
    name = FRAME if request.content else ""
    return replace(request.config, audience=str(audience), conn_id=hook.conn_id, segment_name=name)


def run_folders_path(request: ExportRequest) -> StoragePath:
    """Where the run folders of this task instance stand."""
    root = (
        open_storage_path(request.reports_path, "`reports_path`")
        if request.reports_path
        else request.state_root / "runs"
    )
    return task_folder(root, request.identity)


def run_folder(request: ExportRequest) -> RunFolder:
    """The run folder that this task instance is in."""
    return RunFolder.open(run_folders_path(request))


def plan_folder(request: ExportRequest) -> str:
    """Return the run folder that holds the task's frozen plan; empty where no plan was made yet."""
    place = run_folder(request).path
    return str(place) if exists(place / PLAN) else ""


def check_plan_folder(request: ExportRequest, place: str) -> None:
    """Pass if the run folder that a task left when it was deferred is the one that it would go on in.

    Raises:
        RunFolderMissing: the folder is elsewhere or lost; a new plan would send everything once more.
    """
    folder, own = resolve(place), run_folders_path(request)
    if str(folder.parent) == str(own) and exists(folder / PLAN):
        return
    root = "`reports_path`" if request.reports_path else "`[segexport] state_path`"
    raise RunFolderMissing(
        f"The task returns from deferral, and this worker has no plan in the run folder {place}, which holds what was "
        f"sent. Nothing was sent now; the worker looks below {own}. To fix: set {root} to the same place on all "
        "workers, a shared disk or object storage, then clear the task. If the folder is lost, check first at the "
        "vendor what has arrived: a cleared task makes a new plan."
    )


def open_run_folder(request: ExportRequest, config: ExportConfig) -> RunFolder:
    """The run folder to go on in; a plan that was made for other arguments is left alone, and a new one is made.

    Arguments change between tries when a DAG is mended, and when a mapped task's index means another pair by now.
    """
    folder, asked = run_folder(request), _asked(request, config)
    note = folder.path / ORDER
    if not note.exists() or read(note) != asked:
        if note.exists() and folder.plan() is not None:
            folder = RunFolder(run_folders_path(request) / f"{int(folder.path.name) + 1:02d}")
            log.warning("The task's arguments have changed since its last try: this try makes a new plan.")
        write(folder.path / ORDER, asked)
    elif folder.plan() is not None:
        log.info("An earlier try has made the plan: this one goes on where that stopped.")
    write(folder.path / ATTEMPT, json.dumps(request.attempt).encode())
    return folder


def _asked(request: ExportRequest, config: ExportConfig) -> bytes:
    """The order as a run folder keeps it."""
    kept = {name: value for name, value in asdict(config).items() if name not in UNASKED}
    if request.content:
        kept["segment"] = request.content
    return json.dumps(kept, indent=2).encode()


def finished_report(request: ExportRequest, config: ExportConfig) -> dict[str, Any] | None:
    """The report of an earlier try that came to its end, and whose worker died before Airflow knew.

    Clearing a task raises the number of its tries (`clear_task_instances`, Airflow 3.3.2): then it begins anew.
    """
    last = RunFolder.latest(run_folders_path(request)) if request.attempt[0] > 1 else None
    report = last.summary() if last is not None else None
    if last is None or report is None or not report["finished"]:
        return None
    note, attempt = last.path / ORDER, last.path / ATTEMPT
    if not (note.exists() and attempt.exists()) or read(note) != _asked(request, config):
        return None
    try:
        number, most = json.loads(read(attempt))
    except (ValueError, TypeError):  # damaged: the task begins anew
        return None
    return report if number < request.attempt[0] and most == request.attempt[1] else None
