"""Omnisend: checks the permissions of an API key, for the connection test and before the first batch."""

from __future__ import annotations

from airflow_provider_segexport.errors import PermissionDenied
from airflow_provider_segexport.model import Audience, Operation
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.omnisend.account import API_PATH, read_store
from airflow_provider_segexport.vendors.omnisend.responses import FORBIDDEN, read_json, versioned
from airflow_provider_segexport.vendors.responses import get

BATCH_PERMISSIONS = "contacts.read, products.read, events.read"
"""Permissions that the vendor's documentation lists for reading batches (OpenAPI 2026-03-15, read 2026-11)."""

BRAND_PATH = "brands/current"
READS: tuple[tuple[str, dict[str, str], str], ...] = (
    (BRAND_PATH, {}, "brands.read (the store of the key)"),
    ("contacts", {"limit": "1"}, "contacts.read (the contacts with a tag)"),
    ("batches", {"endpoint": "contacts", "limit": "1"}, f"one of {BATCH_PERMISSIONS} (the results of batches)"),
)
"""Path and query of reads, with the permission that each needs."""

GRANT = "To fix: grant them in the store's settings under API keys (app.omnisend.com/integrations/api-keys)"


def check_reads(audience: Audience) -> Operation[None]:
    """Read one batch, because a run needs the results of its batches.

    Raises:
        PermissionDenied: the key may not read batches.
    """
    path, query, _ = READS[-1]
    response = yield versioned(get(f"{audience.base_url}/{path}", **query))
    if response.status == FORBIDDEN:
        raise PermissionDenied(
            f"The API key may not read the results of batches. It lacks one of {BATCH_PERMISSIONS}. Nothing was sent. "
            f"{GRANT}, and wait a few minutes."
        )
    read_json(response)


def check_permissions(endpoint: ApiEndpoint) -> Operation[str]:
    """Read store, contacts and batches, and name each permission that the key lacks.

    Only an export can check the permission contacts.write, because no read needs it.

    Raises:
        InvalidConnection: the connection is pinned to another store.
        PermissionDenied: a permission is missing; the message names all of them.
    """
    missing: list[str] = []
    for path, query, permission in READS:
        response = yield versioned(get(f"{endpoint.base_url}{API_PATH}/{path}", **query))
        if response.status == FORBIDDEN:
            missing.append(permission)
        elif path == BRAND_PATH:
            read_store(endpoint, response)
        else:
            read_json(response)
    if missing:
        raise PermissionDenied(
            f"The API key lacks: {'; '.join(missing)}. {GRANT}, also contacts.write, and wait a few minutes."
        )
    return "The permission contacts.write was not checked, because only a write can check it."
