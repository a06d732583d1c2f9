"""Omnisend's hook."""

from __future__ import annotations

import re
from typing import Any

import requests
from requests.auth import AuthBase

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.vendors import omnisend
from airflow_provider_segexport.vendors.omnisend import account


class ApiKey(AuthBase):
    """Authenticates requests with an API key."""

    def __init__(self, key: str) -> None:
        self._header = f"Omnisend-API-Key {key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the key to the request's headers."""
        request.headers["Authorization"] = self._header
        return request


class OmnisendHook(SegmentExportHook):
    """Calls Omnisend (https://api-docs.omnisend.com), API version 2026-03-15, with a store's API key."""

    vendor = omnisend.VENDOR
    conn_type = "omnisend"
    conn_name_attr = "conn_id"
    default_conn_name = "omnisend_default"
    hook_name = "Omnisend"

    def auth(self, connection: Any, extra: dict[str, Any]) -> Any:  # noqa: ARG002 - a vendor with extras needs them
        """Return the authentication with an API key. It is sent in a header, which holds printable ASCII only."""
        if not connection.password:
            raise InvalidConnection(
                f"Connection {self.conn_id!r} has no API key. To fix: enter it in the field 'API key'."
            )
        if not re.fullmatch(r"[!-~]+", connection.password):
            raise InvalidConnection(
                f"The API key of connection {self.conn_id!r} contains a blank, a line break or a letter outside ASCII. "
                "To fix: copy the key again."
            )
        return ApiKey(connection.password)

    @property
    def quota_account(self) -> str:
        """The brand's id, because all keys of a brand share one quota.

        A key begins with the brand's id (omnisend/wp-omnisend, class-client.php).
        """
        return str(self.connection.password).partition("-")[0]

    def create_segment(self, tag: str | None = None) -> str:
        """Return the id of the dynamic segment of people with a tag; create the segment if it does not exist.

        The key needs the permission for segments (read and write) in addition to those for exports. The audience is
        leased as by an export, so that two tasks that run at the same time create only one segment.

        Args:
            tag: the tag; None for the connection's default audience.

        Raises:
            AudienceLocked: a run is writing the audience.
        """
        from airflow_provider_segexport.hooks.holding import hold_audience  # noqa: PLC0415 - imports the core

        audience = self.resolve_audience(tag)
        with hold_audience(self, audience, "segment"):
            return self.run_operation(account.create_segment(audience))
