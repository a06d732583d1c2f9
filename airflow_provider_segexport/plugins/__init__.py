"""Adds the page *Segment exports* and the task tab *Export* to the Airflow UI.

Every Airflow process imports this module, but only the API server serves pages, so the pages are imported with the
first request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/segexport"
"""URL prefix of the pages, below the API server's base path."""


class Pages:
    """The pages as an ASGI application, created with the first request."""

    def __init__(self) -> None:
        self._app: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request."""
        if self._app is None:
            from airflow_provider_segexport.plugins.web import make_app  # noqa: PLC0415 - only the API server needs it

            self._app = make_app()
        await self._app(scope, receive, send)


APPS = [{"app": Pages(), "url_prefix": PREFIX, "name": "Segment exports"}]

# The addresses are relative to the `base` of Airflow's page, so they are valid below a base path too.
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
