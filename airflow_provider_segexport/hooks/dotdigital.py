"""dotdigital's hook."""

from __future__ import annotations

from typing import Any

from requests.auth import HTTPBasicAuth

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.vendors import dotdigital


class DotdigitalHook(SegmentExportHook):
    """Calls dotdigital (https://developer.dotdigital.com) as an API user, in the account's own region."""

    vendor = dotdigital.VENDOR
    conn_type = "dotdigital"
    conn_name_attr = "conn_id"
    default_conn_name = "dotdigital_default"
    hook_name = "dotdigital"

    def auth(self, connection: Any, extra: dict[str, Any]) -> Any:  # noqa: ARG002 - a vendor with extras needs them
        """Return Basic authentication with the API user."""
        if not connection.login or not connection.password:
            raise InvalidConnection(
                f"Connection {self.conn_id!r} has no API user or no password. To fix: enter both in the connection's "
                "form."
            )
        self.mask_basic_auth(connection.login, connection.password)
        return HTTPBasicAuth(connection.login, connection.password)
