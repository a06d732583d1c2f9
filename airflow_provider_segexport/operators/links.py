"""Links that Airflow's UI shows as buttons of a task instance: the audience at the vendor, the report, the rejects.

Airflow calls `get_link` at the end of every try, in the task's own process, and stores the links.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from airflow_provider_segexport.errors import InvalidArgument

if TYPE_CHECKING:
    from airflow_provider_segexport.storage.run_folder import RunFolder


def folder_of(operator: Any) -> RunFolder | None:
    """Return the task's latest run folder; None if it has none, or if state path or `reports_path` cannot be read."""
    from airflow_provider_segexport.hooks.run_folders import run_folders_path  # noqa: PLC0415 - the worker has imported it by then
    from airflow_provider_segexport.storage.run_folder import RunFolder  # noqa: PLC0415

    request = getattr(operator, "export_request", None)
    try:
        return RunFolder.latest(run_folders_path(request)) if request is not None else None
    except (OSError, InvalidArgument):
        return None


def base_url() -> str:
    """Return the URL of Airflow's UI, without a slash at the end."""
    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/")


def task_path(instance: Any) -> str:
    """Return the path of a task instance's page in Airflow's UI.

    Args:
        instance: a task instance or its key. If its map index is None or -1, the task is not mapped.
    """
    parts = ["dags", instance.dag_id, "runs", instance.run_id, "tasks", instance.task_id]
    index = getattr(instance, "map_index", None)
    if index is not None and index >= 0:
        parts += ["mapped", str(index)]
    return "/".join(quote(part, safe="") for part in parts)


class _Link(BaseOperatorLink):
    """The base of the three links."""

    @property
    def xcom_key(self) -> str:
        """The key under which Airflow stores the link."""
        return f"segexport_{type(self).__name__.removesuffix('Link').lower()}_link"


class AudienceLink(_Link):
    """Leads to the list, address book or contacts in the vendor's web application."""

    name = "Audience at the vendor"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - as Airflow calls it
        """Return the audience's URL, from the plan or a verification's report; empty if they cannot be read."""
        from airflow_provider_segexport.errors import DamagedState  # noqa: PLC0415
        from airflow_provider_segexport.vendors.links import page_link  # noqa: PLC0415
        from airflow_provider_segexport.vendors.registry import VENDORS  # noqa: PLC0415

        folder = folder_of(operator)
        try:
            plan = folder.plan() if folder is not None else None
            if plan is None:
                return str((folder.summary() or {}).get("audience_link", "")) if folder is not None else ""
        except (DamagedState, OSError):
            return ""
        _, facts = plan
        return page_link(VENDORS[facts.vendor], facts.audience) if facts.vendor in VENDORS else ""


class ReportLink(_Link):
    """Leads to the task instance's tab *Export*, which shows the run's report."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of the task instance's tab *Export*; empty if the run has no run folder."""
        if folder_of(operator) is None:
            return ""
        return f"{base_url()}/{task_path(ti_key)}/plugin/segment_export"


class RejectsLink(_Link):
    """Leads to the download of the rows that were not delivered."""

    name = "Rejects"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL of the download; empty if there are no such rows."""
        folder = folder_of(operator)
        if folder is None or not (folder.path / "rejects.parquet").exists():
            return ""
        instance = {"dag_id": ti_key.dag_id, "run_id": ti_key.run_id, "task_id": ti_key.task_id}
        index = -1 if ti_key.map_index is None else ti_key.map_index
        return f"{base_url()}/segexport/rejects.csv?{urlencode({**instance, 'map_index': index})}"


LINKS = (AudienceLink(), ReportLink(), RejectsLink())
