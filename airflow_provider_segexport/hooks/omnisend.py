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
    """Signs with an API key."""

    def __init__(self, key: str) -> None:
        self._header = f"Omnisend-API-Key {key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the key into the request."""
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
        """The key stands in a header, which holds printable ASCII only."""
        if not connection.password:
            raise InvalidConnection(f"Connection {self.conn_id!r} lacks the API key (Password).")
        if not re.fullmatch(r"[!-~]+", connection.password):
            raise InvalidConnection(
                f"The API key of connection {self.conn_id!r} holds a blank, a line break or a letter that no key has. "
                "Copy it again."
            )
        return ApiKey(connection.password)

    @property
    def quota_account(self) -> str:
        """The brand, whose keys share one quota: a key begins with its id (omnisend/wp-omnisend, class-client.php)."""
        return str(self.connection.password).partition("-")[0]

    def create_segment(self, tag: str | None = None) -> str:
        """A dynamic segment of whoever has the tag, made if there is none; returns its id.

        The tag is the connection's default audience where none is named. The key needs the permission for segments
        (read and write) beside those of an export. The audience is held meanwhile, as by an export: two tasks that come
        at once make one segment.

        Raises:
            AudienceLocked: a run writes the audience.
        """
        from airflow_provider_segexport.hooks.holding import holding  # noqa: PLC0415 - the core, when it is asked for

        target = self.resolve_audience(tag)
        with holding(self, target, "segment"):
            return self.run_operation(account.create_segment(target))
