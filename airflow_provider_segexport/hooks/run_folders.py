"""Finds the run folder of a task instance, and decides whether a retry resumes in it: `request -> run folder`."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_segexport.errors import DamagedState, InvalidArgument, RunFolderMissing
from airflow_provider_segexport.export.config import ExportConfig
from airflow_provider_segexport.export.segment_version import has_changed
from airflow_provider_segexport.hooks.callers import NO_TRY, Try
from airflow_provider_segexport.hooks.paths import (
    STATE_PATH,
    check_folder,
    open_folder,
    resolve,
    resolve_argument,
)
from airflow_provider_segexport.storage.folder_names import task_folder
from airflow_provider_segexport.storage.paths import StoragePath, exists, write
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.sealing import read_file
from airflow_provider_segexport.storage.side_by_side import side_by_side

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.session import VendorSession

log = logging.getLogger(__name__)

PLAN_FILE = "plan.json"

VARYING_PATH_PARTS = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\d{4}([-_/]?)(?:\d{2}\1\d{2}|\d{2}|W\d{2}|Q[1-4])"
    r"(?:[T_ ]?\d{2}:?\d{2}(?::?\d{2}(?:\.\d+)?)?)?(?:Z|[+-]\d{2}:?\d{2})?(?!\d)"
    r"|(?<=year=)\d{4}|(?<=month=)\d{1,2}|(?<=week=)\d{1,2}|(?<=quarter=)\d|(?<=day=)\d{1,2}|(?<=hour=)\d{1,2}"
    r"|\d{8,}",
    re.IGNORECASE,
)
"""Parts of a segment's path that change from run to run: unique ids, dates, times and long numbers."""

CONTENT = re.compile(r"[\w.]+ [0-9a-f]{32}")
"""The content of a frame: its type, and a hash of its rows."""

FRAME_NAME = "a data frame"
"""Name of an in-memory segment in reports, because its temporary file no longer exists by then."""

NOT_COMPARED = frozenset({"run", "conn_id", "job_timeout", "segment_name"})
"""Fields of a configuration that may change between the tries of a task without a new plan."""

CONFIG_FILE, ATTEMPT_FILE = "config.json", "attempt.json"
"""Files of a run folder: the configuration of its plan, and the try of the task that last used it."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """An export's configuration, and the task instance that runs it.

    The configuration is what the user asked for. The other fields only decide which run folder is used.

    Attributes:
        config: what to export. `build_config` adds the audience and the connection.
        identity: DAG, task, run and map index: the path of the run folder, and the run's name in the ledger.
        state_root: the folder of ledgers and run folders.
        reports_path: the folder of run folders; None for `runs` below `state_root`.
        attempt: the try of the task.
        content: hash of a frame's rows, because the path of its file differs in every try; empty for files.
    """

    config: ExportConfig
    identity: tuple[str, ...]
    state_root: StoragePath
    reports_path: str | None = None
    attempt: Try = NO_TRY
    content: str = ""


def segment_part(segment: str | Sequence[str]) -> str:
    """Return a name of a segment that is the same in every run: its paths without dates and ids."""
    paths = [segment] if isinstance(segment, str) else segment
    return " ".join(VARYING_PATH_PARTS.sub("*", str(path)) for path in paths)


def with_segment_part(request: ExportRequest, index: str) -> ExportRequest:
    """Return the request with the name of its segment if the export has several segments.

    All map indexes of a task and all its calls of `hook.export` are one export by its name. The segment's name
    distinguishes them, so that a guard compares a segment with the same one of the run before.

    Args:
        request: the request of the task instance.
        index: `Caller.segment_index`.
    """
    if not index:
        return request
    part = f"frame {index}" if request.content else segment_part(request.config.segment)
    return replace(request, config=replace(request.config, segment_part=part))


def is_content(segment: object) -> bool:
    """Return whether the segment in a stored configuration is that of a frame."""
    return isinstance(segment, str) and CONTENT.fullmatch(segment) is not None


def build_config(session: VendorSession, request: ExportRequest) -> ExportConfig:
    """Return the request's configuration with its audience, or the connection's default, and with the connection's id.

    Raises:
        InvalidArgument: neither the request nor the connection names an audience.
    """
    audience = request.config.audience or session.settings.audience
    if not audience:
        raise InvalidArgument(
            f"No {session.vendor.audience_noun} given. To fix: pass `audience=`, or set a default audience on "
            f"connection {session.conn_id!r}."
        )
    name = FRAME_NAME if request.content else ""
    return replace(request.config, audience=str(audience), conn_id=session.conn_id, segment_name=name)


def run_folders_path(request: ExportRequest) -> StoragePath:
    """Return the folder that holds the run folders of a task instance."""
    root = open_folder(request.reports_path, "`reports_path`") if request.reports_path else request.state_root / "runs"
    return task_folder(root, request.identity)


def check_reports_path(request: ExportRequest) -> None:
    """Check that `reports_path` is a folder or can be created, because no retry changes that.

    Raises:
        InvalidArgument: it cannot be a folder.
    """
    if request.reports_path:
        check_folder(run_folders_path(request), "`reports_path`")


def run_folder(request: ExportRequest) -> RunFolder:
    """Return the current run folder of a task instance."""
    return RunFolder.open(run_folders_path(request))


def plan_folder(request: ExportRequest) -> str:
    """Return the path of the run folder if it holds a plan; empty if no plan was made yet."""
    path = run_folder(request).path
    return str(path) if exists(path / PLAN_FILE) else ""


def check_plan_folder(request: ExportRequest, deferred_in: str) -> None:
    """Check that a task resumes in the run folder that it used when it was deferred.

    Args:
        request: the request of the resumed task.
        deferred_in: path of the run folder at the time of the deferral.

    Raises:
        RunFolderMissing: this worker does not have the folder; a new plan would send every row again.
    """
    folder, own = resolve(deferred_in), run_folders_path(request)
    if str(folder.parent) == str(own) and exists(folder / PLAN_FILE):
        return
    root = "`reports_path`" if request.reports_path else STATE_PATH
    raise RunFolderMissing(
        f"The task resumes after a deferral, but this worker has no plan in the run folder {deferred_in}, which "
        f"records what was sent. Nothing was sent now; the worker looks below {own}. To fix: set {root} to the same "
        "path on all workers, on a shared disk or in object storage, then clear the task. If the folder is lost, "
        "check first at the vendor what has arrived, because a cleared task makes a new plan."
    )


def open_run_folder(request: ExportRequest, config: ExportConfig) -> tuple[RunFolder, bool]:
    """Return the run folder to resume in, or a new one if the last plan must not be continued.

    Arguments change between tries if a DAG is corrected, or if a mapped task's index now means another segment. A new
    folder is also used if the arguments of the last plan cannot be read, and for a task that was cleared after its
    segment or a suppression list was corrected.

    Returns:
        The folder, and whether an earlier process of the task has used it: another try, or the same one before it was
        rescheduled or deferred.
    """
    folder, config_json = run_folder(request), _config_json(request, config)
    stored_json = None if folder.is_new else _read_if_exists(folder.path / CONFIG_FILE)
    writes: list[Callable[[], None]] = []
    if stored_json is not None and (reason := _reason_for_new_plan(folder, request, config, stored_json)):
        log.warning("Making a new plan, because %s.", reason)
        folder = RunFolder(run_folders_path(request) / f"{int(folder.path.name) + 1:02d}")
        stored_json = None
    elif stored_json == config_json and folder.plan() is not None:
        log.info("Resuming the plan of an earlier try (run_folder=%s)", folder.path)
    if stored_json != config_json:
        writes.append(partial(write, folder.path / CONFIG_FILE, config_json))
    writes.append(partial(write, folder.path / ATTEMPT_FILE, json.dumps(request.attempt).encode()))
    side_by_side(folder.path, *writes)
    return folder, stored_json is not None


def _reason_for_new_plan(folder: RunFolder, request: ExportRequest, config: ExportConfig, stored_json: bytes) -> str:
    """Return why the last plan must not be continued; empty if it is continued, or if there is none.

    Args:
        folder: the last run folder.
        request: of this try.
        config: of this try.
        stored_json: the configuration that the folder holds; empty if it cannot be read.
    """
    if not stored_json:
        return f"{CONFIG_FILE} cannot be read"
    if folder.plan() is None:
        return ""
    if stored_json != _config_json(request, config):
        return "the task's arguments have changed since its last try"
    earlier = _last_try(folder)
    was_cleared = earlier is not None and not request.attempt.is_of_same_run(earlier)
    if was_cleared and has_changed(folder.path, config, resolve_argument):
        return "the task was cleared, and its segment or a suppression list has changed since the last plan"
    return ""


def _config_json(request: ExportRequest, config: ExportConfig) -> bytes:
    """Return the configuration as a run folder stores it."""
    fields = {name: value for name, value in asdict(config).items() if name not in NOT_COMPARED}
    if request.content:
        fields["segment"] = request.content
    return json.dumps(fields, indent=2).encode()


def finished_report(request: ExportRequest, config: ExportConfig) -> dict[str, Any] | None:
    """Return the report of an earlier try that finished, if its worker died before Airflow recorded the success.

    None if no try has finished, if the task was cleared since then, or if its DAG run was deleted and created again. In
    these cases the task begins again.
    """
    last = RunFolder.latest(run_folders_path(request)) if request.attempt.number > 1 else None
    report = last.summary() if last is not None else None
    if last is None or report is None or not report.get("finished"):
        return None
    if _read_if_exists(last.path / CONFIG_FILE) != _config_json(request, config):
        return None
    earlier = _last_try(last)
    return report if earlier is not None and request.attempt.retries(earlier) else None


def _last_try(folder: RunFolder) -> Try | None:
    """Return the try that used a run folder last; None if its record is damaged or gone."""
    try:
        return msgspec.json.decode(_read_if_exists(folder.path / ATTEMPT_FILE) or b"", type=Try)
    except msgspec.DecodeError:
        return None


def _read_if_exists(path: StoragePath) -> bytes | None:
    """Return the content of a file of a run folder; None if it does not exist, empty if it is no readable file."""
    try:
        return read_file(path)
    except FileNotFoundError:
        return None
    except DamagedState:
        return b""
