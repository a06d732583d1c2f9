"""Serves the pages over HTTP. Every address requires a login, and no request changes anything."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable
from typing import Annotated

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi import Depends, FastAPI, HTTPException, Request, Response, status
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from starlette.middleware.base import RequestResponseEndpoint

from airflow_provider_segexport.error_help import ERROR_HELP
from airflow_provider_segexport.errors import DamagedState, SegexportError
from airflow_provider_segexport.hooks.paths import resolve, state_path
from airflow_provider_segexport.plugins import audience_page, history, list_page, person_page, task_page, task_run
from airflow_provider_segexport.plugins.audiences import HOOK_CALL, AudienceKey, RunIdentity
from airflow_provider_segexport.plugins.pages import ASSETS, asset, render
from airflow_provider_segexport.plugins.permissions import UserRights, require, rights
from airflow_provider_segexport.plugins.task_instances import instance
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.rejects_csv import RejectsFile

log = logging.getLogger(__name__)

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
"""Security headers: a page may load its own style sheet and script, and nothing from elsewhere."""


def make_app() -> FastAPI:
    """Return the application. It has no OpenAPI page, because that page would require no login."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, dependencies=[Depends(rights)])
    app.middleware("http")(add_headers)
    app.add_exception_handler(OSError, unreadable)
    app.add_exception_handler(ImportError, unreadable)
    app.add_exception_handler(SegexportError, unreadable)
    app.get("/")(front)
    app.get("/assets/{name}")(served)
    app.get("/audiences", response_class=HTMLResponse)(audiences)
    app.get("/audience", response_class=HTMLResponse)(audience)
    app.get("/errors", response_class=HTMLResponse)(errors)
    app.get("/task", response_class=HTMLResponse)(task)
    app.get("/live", response_class=HTMLResponse)(live)
    app.get("/rejects.csv")(rejects_csv)
    app.get("/history.csv")(history_csv)
    app.get("/person", response_class=HTMLResponse)(person_page.form)
    app.post("/person", response_class=HTMLResponse)(person_page.result)
    return app


async def add_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Add the security headers to every response, errors included."""
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def unreadable(_: Request, error: Exception) -> Response:
    """Respond with 503 and a text on what cannot be read, if it stops the whole page. The log has the path."""
    if isinstance(error, SegexportError):
        return JSONResponse({"detail": str(error)}, status.HTTP_503_SERVICE_UNAVAILABLE)
    log.warning("Reading the state failed (path=%a error=%s)", getattr(error, "filename", None), type(error).__name__)
    kind = ": ".join(filter(None, (type(error).__name__, getattr(error, "strerror", None))))
    text = (
        f"The state path or a run folder cannot be read ({kind}); the API server's log has the path. To fix: let the "
        "API server's user read `[segexport] state_path` and the folders of `reports_path`, or install and check the "
        "object store that they name."
    )
    return JSONResponse({"detail": text}, status.HTTP_503_SERVICE_UNAVAILABLE)


def front() -> RedirectResponse:
    """Redirect to the list of audiences."""
    return RedirectResponse("audiences")


def served(name: str) -> Response:
    """Serve the style sheet or the script."""
    if name not in ASSETS:
        raise HTTPException(status.HTTP_404_NOT_FOUND)
    return Response(asset(name), media_type=ASSETS[name], headers={"cache-control": "private, max-age=60"})


def audiences(user: UserRights) -> str:
    """Show every audience that the user may see."""
    return render("audiences.html", list_page.page(state_path(), user, time.time()))


def audience(user: UserRights, vendor: str, account: str, audience: str) -> str:
    """Show one audience. The response is 404 if it does not exist, and also if the user may see none of its runs.

    Args:
        user: the rights that decide which runs are shown.
        vendor: folder name of the vendor below `ledgers`.
        account: folder name of the account.
        audience: folder name of the audience.
    """
    values = audience_page.page(state_path(), AudienceKey(vendor, account, audience), user, time.time())
    if values is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such audience, or you may not see it.")
    return render("audience.html", values)


def errors() -> str:
    """Show what each error code means, and what to do."""
    return render("errors.html", {"title": "Error codes", "entries": ERROR_HELP})


BYTE_ORDER_MARK = "\ufeff"
"""First character of a CSV download. Without it, Excel reads UTF-8 as another character set."""

MAX_INDEX_DIGITS, MAX_INDEX = 10, 2**31 - 1
"""Airflow's database stores a map index as a 32-bit integer."""


class TaskQuery:
    """The task instance that a request names. Unless the user may see it, the response is 403.

    Args:
        user: the user's rights.
        dag_id: the DAG.
        run_id: the DAG run.
        task_id: the task.
        map_index: the index of a mapped task; negative or a placeholder for a task that is not mapped.
    """

    def __init__(self, user: UserRights, dag_id: str, run_id: str, task_id: str, map_index: str = "-1") -> None:
        # For a task that is not mapped, Airflow passes the placeholder `{MAP_INDEX}` unchanged.
        number = map_index.removeprefix("-")
        is_too_large = number.isdecimal() and (len(number) > MAX_INDEX_DIGITS or int(number) > MAX_INDEX)
        # These are names in the path of a hook's run outside any task, to which rights on DAGs do not apply.
        is_hook_run = dag_id == "hook" and HOOK_CALL.fullmatch(run_id)
        if is_too_large or is_hook_run or "\0" in f"{dag_id}{run_id}{task_id}":
            raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such task instance.")
        self.map_index = max(int(map_index), -1) if number.isdecimal() else -1
        self.run = RunIdentity(dag_id, task_id, run_id, self.map_index)
        self.user = user
        require(user.reads(dag_id, DagAccessEntity.TASK_INSTANCE), "You may not see this DAG's task instances.")


Task = Annotated[TaskQuery, Depends()]


def task(query: Task) -> str:
    """Show the tab of a task instance."""
    return render("task.html", task_page.page(state_path(), resolve, query.run, query.map_index, query.user))


def live(query: Task) -> str:
    """Show the part of the tab that changes while the task runs."""
    return render("run.html", task_page.page(state_path(), resolve, query.run, query.map_index, query.user))


def rejects_csv(query: Task) -> Response:
    """Download the rows that the run could not deliver, with their addresses."""
    require(
        query.user.can_download_rejects(query.run.dag_id),
        "Rejected rows contain email addresses, so you may not download them. By default only users who may edit the "
        "DAG may; the option `[segexport] rejects_permission` changes this.",
    )
    folder = task_page.folder_of(state_path(), resolve, query.run, instance(query.run, query.map_index))
    if folder is None or not (folder / task_run.REJECTS).exists():
        raise HTTPException(status.HTTP_404_NOT_FOUND, "This run has no rejects.")
    name = safe_name(f"rejects-{query.run.dag_id}-{query.run.task_id}-{query.run.run_id}-{query.map_index}")
    try:
        rows = RejectsFile(folder / task_run.REJECTS).lines()
    except DamagedState as damaged:
        raise HTTPException(
            status.HTTP_409_CONFLICT,
            f"The rejects of this run cannot be read: {damaged.why}. The counts are not affected. To fix: restore "
            f"{damaged.file} from a backup, or export the segment again.",
        ) from None
    return _csv(name, rows)


def history_csv(user: UserRights, vendor: str, account: str, audience: str) -> Response:
    """Download the runs of an audience that the user may see, newest first.

    Args:
        user: the rights that decide which runs are in the file.
        vendor: folder name of the vendor below `ledgers`.
        account: folder name of the account.
        audience: folder name of the audience.
    """
    runs = audience_page.runs_of(state_path(), AudienceKey(vendor, account, audience), user, time.time())
    if runs is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such audience, or you may not see it.")
    return _csv(safe_name(f"history-{vendor}-{account}-{audience}"), history.lines(runs))


def _csv(name: str, lines: Iterable[str]) -> Response:
    return StreamingResponse(
        itertools.chain([BYTE_ORDER_MARK], lines),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}.csv"'},
    )
