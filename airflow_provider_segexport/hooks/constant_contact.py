"""Constant Contact's hook."""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.vendors import constant_contact
from airflow_provider_segexport.vendors.auth import OAuthCredentials


class ConstantContactHook(SegmentExportHook):
    """Calls Constant Contact (https://developer.constantcontact.com) with OAuth2 and renews its tokens."""

    vendor = constant_contact.VENDOR
    conn_type = "constant_contact"
    conn_name_attr = "conn_id"
    default_conn_name = "constant_contact_default"
    hook_name = "Constant Contact"

    def auth(self, connection: Any, extra: dict[str, Any]) -> Any:
        """Return OAuth with the login as client id and the password as client secret; a public client has no secret."""
        if not connection.login:
            raise InvalidConnection(
                f"Connection {self.conn_id!r} has no client id. To fix: enter it as 'Client id (API key)'."
            )
        if not extra.get("refresh_token"):
            raise InvalidConnection(
                f"Connection {self.conn_id!r} has no refresh token. To fix: run `airflow segexport login "
                f"{self.conn_id}`."
            )
        if connection.password:
            self.mask_basic_auth(connection.login, connection.password)
        return self.oauth(OAuthCredentials(str(extra["refresh_token"]), connection.login, connection.password or ""))
