"""Constant Contact: checks the privileges and scopes of a login for the connection test."""

from __future__ import annotations

from airflow_provider_segexport.errors import PermissionDenied
from airflow_provider_segexport.model import Operation
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.constant_contact.account import API_PATH, missing_privileges, privilege_names
from airflow_provider_segexport.vendors.constant_contact.responses import read_json
from airflow_provider_segexport.vendors.responses import get

FORBIDDEN = 403

PRIVILEGES = ("contacts:read", "contacts:write", "contacts:lists:read")
"""Privileges of the calls that an export makes (specification 3.0.178, `x-authorization-privileges`). Creating a
list also needs contacts:lists:write; it is not checked here, because the call itself reports it."""

READS = (("contact_lists", "contact_data"), ("account/summary", "account_read"))
"""Paths of reads, with the scope that each needs."""


def check_permissions(endpoint: ApiEndpoint) -> Operation[str]:
    """Read the user's privileges, the lists and the account, and name each privilege and scope that is missing.

    Raises:
        PermissionDenied: a privilege or scope that exports need is missing; the message names all of them.
    """
    api = endpoint.base_url + API_PATH
    privileges = yield get(f"{api}/account/user/privileges")
    if privileges.status == FORBIDDEN:
        raise PermissionDenied(
            "Constant Contact rejects every call of the application. To fix: check in the developer portal that the "
            "application is active, then log in again."
        )
    granted = privilege_names(read_json(privileges))
    lacking = [name for name in PRIVILEGES if granted and name not in granted]
    if lacking:
        raise missing_privileges(lacking)
    scopes = []
    for path, scope in READS:
        response = yield get(f"{api}/{path}", **({"limit": "1"} if path == "contact_lists" else {}))
        if response.status == FORBIDDEN:
            scopes.append(scope)
        else:
            read_json(response)
    if "contact_data" in scopes:
        raise PermissionDenied(
            f"The login at Constant Contact lacks: scope {', scope '.join(scopes)}. An export needs contact_data; "
            "account_read only adds the account's name. To fix: log in again by `airflow segexport login <connection "
            "id>`, which asks for all scopes."
        )
    return "The login lacks the scope account_read, so the account has no name here." if scopes else ""
