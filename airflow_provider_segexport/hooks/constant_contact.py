"""Constant Contact's hook."""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.vendors import constant_contact
from airflow_provider_segexport.vendors.auth import OAuthCredentials


class ConstantContactHook(SegmentExportHook):
    """Calls Constant Contact (https://developer.constantcontact.com) with an OAuth2 sign-in that renews itself."""

    vendor = constant_contact.VENDOR
    conn_type = "constant_contact"
    conn_name_attr = "conn_id"
    default_conn_name = "constant_contact_default"
    hook_name = "Constant Contact"

    def auth(self, connection: Any, extra: dict[str, Any]) -> Any:
        """A bearer token. Client id is the login, client secret the password; a public client has no secret."""
        if not connection.login:
            raise InvalidConnection(f"Connection {self.conn_id!r} lacks the client id (Login).")
        if not extra.get("refresh_token"):
            raise InvalidConnection(
                f"Connection {self.conn_id!r} holds no refresh token. Run `airflow segexport login {self.conn_id}`."
            )
        if connection.password:
            self.mask_basic_auth(connection.login, connection.password)
        return self.oauth(OAuthCredentials(str(extra["refresh_token"]), connection.login, connection.password or ""))
