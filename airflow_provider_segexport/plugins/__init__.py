"""What the provider adds to the Airflow UI: the page *Segment exports*, and the tab *Export* of a task.

Every Airflow process imports this, and only the API server ever serves a page: the pages are imported with the first
request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/segexport"
"""Where the pages are served, below the API server's own base path."""


class Pages:
    """The pages as an ASGI application, made when the first request comes in."""

    def __init__(self) -> None:
        self._app: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self._app is None:
            from airflow_provider_segexport.plugins.web import make_app  # noqa: PLC0415 - only the API server pays

            self._app = make_app()
        await self._app(scope, receive, send)


APPS = [{"app": Pages(), "url_prefix": PREFIX, "name": "Segment exports"}]

# Addresses without a slash before them: Airflow's own page has a `base`, so they hold below a base path too.
VIEWS = [
    {
        "name": "Segment exports",
        "href": "segexport/audiences",
        "destination": "nav",
        "category": "browse",
        "url_route": "segment_exports",
    },
    {
        "name": "Export",
        "href": "segexport/task?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}",
        "destination": "task_instance",
        "url_route": "segment_export",
    },
]


class SegmentExportsPlugin(AirflowPlugin):
    """A page in the navigation and a tab on each task instance."""

    name = "segexport"
    fastapi_apps = APPS
    external_views = VIEWS
