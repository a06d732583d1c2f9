"""Campaign Monitor's hook."""

from __future__ import annotations

from typing import Any

from requests.auth import HTTPBasicAuth

from airflow_provider_segexport.errors import InvalidConnection
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.vendors import campaign_monitor
from airflow_provider_segexport.vendors.auth import OAuthCredentials


class CampaignMonitorHook(SegmentExportHook):
    """Calls Campaign Monitor (https://www.campaignmonitor.com/api/), with an API key or an OAuth2 login."""

    vendor = campaign_monitor.VENDOR
    conn_type = "campaign_monitor"
    conn_name_attr = "conn_id"
    default_conn_name = "campaign_monitor_default"
    hook_name = "Campaign Monitor"

    def auth(self, connection: Any, extra: dict[str, Any]) -> Any:
        """Return Basic authentication with the key as user name, because the vendor ignores the password; or OAuth."""
        if connection.password:
            self.mask_basic_auth(connection.password, "x")
            return HTTPBasicAuth(connection.password, "x")
        if extra.get("refresh_token"):
            return self.oauth(OAuthCredentials(str(extra["refresh_token"])))
        raise InvalidConnection(
            f"Connection {self.conn_id!r} has neither an API key nor an OAuth refresh token. To fix: enter the key in "
            "the connection's field 'API key'."
        )
