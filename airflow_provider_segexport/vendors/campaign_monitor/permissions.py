"""Campaign Monitor: checks the OAuth scopes of a login for the connection test.

An API key has no scopes. It permits every call in its account or client.
"""

from __future__ import annotations

from airflow_provider_segexport.errors import PermissionDenied
from airflow_provider_segexport.model import Operation
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.campaign_monitor.account import API_PATH
from airflow_provider_segexport.vendors.campaign_monitor.responses import client_id_of, error_of, read_json
from airflow_provider_segexport.vendors.responses import get, required_list

MISSING_SCOPE = 60


def check_permissions(endpoint: ApiEndpoint) -> Operation[str]:
    """Read the lists of a client, which needs the scope ManageLists.

    Only an import can check the scope ImportSubscribers, because no read needs it.

    Raises:
        PermissionDenied: the scope ManageLists is missing.
    """
    api = endpoint.base_url + API_PATH
    client_id = endpoint.options.get("client_id", "").strip()
    if not client_id:
        response = yield get(f"{api}/clients.json")
        if response.status >= 400:  # noqa: PLR2004 - a key of one client: the read of the default list checks it
            return ""
        clients = required_list(read_json(response), "clients")
        client_id = next(filter(None, map(client_id_of, clients)), "")
    if not client_id:
        return ""
    lists = yield get(f"{api}/clients/{client_id}/lists.json")
    if lists.status >= 400 and error_of(lists)[0] == MISSING_SCOPE:  # noqa: PLR2004
        raise PermissionDenied(
            "The login at Campaign Monitor lacks the scope ManageLists (error code 60). To fix: log in with the scopes "
            "ImportSubscribers and ManageLists, and put the new refresh token into the connection."
        )
    read_json(lists)
    return ""
