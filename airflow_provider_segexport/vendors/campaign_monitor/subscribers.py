"""Campaign Monitor: reads the state of a person in a list, and the client's suppression list.

Sources: endpoint pages of v3.3 and the official clients, read 2026-08. The address is a person's only id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_segexport.model import Audience, Operation, Reason, RowRejection
from airflow_provider_segexport.vendors.campaign_monitor.responses import (
    client_id_of,
    error_of,
    next_page,
    read_json,
    reject,
)
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get, required_list

PAGE_SIZE = "1000"
NOT_IN_LIST = 203
UNKNOWN_CODES = {1, NOT_IN_LIST}
"""Error codes for an address that is not in the list. Code 1 means that the vendor does not accept the address (error
registry, area subscribers, read 2026-11), so no list can have it."""
CANNOT_LIST_CLIENTS = {60, 403}
"""Error codes for a key of one client, which may not list the account's clients."""
ACTIVE, DELETED, ABSENT, UNKNOWN = "Active", "Deleted", "", "unknown"
"""States of a person. The vendor defines the first two; `ABSENT` and `UNKNOWN` are additions."""

INACTIVE_REASONS = {
    ABSENT: Reason.NOT_IN_AUDIENCE,
    DELETED: Reason.DELETED,
    "Unsubscribed": Reason.UNSUBSCRIBED,
    "Bounced": Reason.BOUNCED,
    "Unconfirmed": Reason.PENDING_CONFIRMATION,
    "Suppressed": Reason.SUPPRESSED,
}
"""The reason for each state except `ACTIVE`."""


def subscriber_url(audience: Audience) -> str:
    """Return the URL for reading or deleting a person. The address is sent in the query, which logs omit."""
    return f"{audience.base_url}/subscribers/{audience.audience}.json"


def read_state(audience: Audience, email: str) -> Operation[str]:
    """Return a person's state in the list; `ABSENT` for a person not in it, `UNKNOWN` if the record has no state."""
    response = yield get(subscriber_url(audience), email=email, includetrackingpreference="false")
    if response.status == 400:  # noqa: PLR2004
        if error_of(response)[0] in UNKNOWN_CODES:
            return ABSENT
        reject(response)
    return as_text(as_object(read_json(response)).get("State")) or UNKNOWN


def why_inactive(row: int, state: str) -> RowRejection:
    """Return the rejection of a person who is not active."""
    code = "" if state else str(NOT_IN_LIST)
    reason = INACTIVE_REASONS.get(state, Reason.REJECTED_BY_VENDOR)
    return RowRejection(row, reason, code, f"The person's state in the list is {state or 'absent'}.")


def find_client(audience: Audience) -> Operation[str]:
    """Return the id of the client that owns the list; empty if no client lists it or the key may not list clients."""
    if audience.extra.get("client_id"):
        return audience.extra["client_id"]
    response = yield get(f"{audience.base_url}/clients.json")
    if response.status in {401, 403} and error_of(response)[0] in CANNOT_LIST_CLIENTS:
        return ""
    for client in filter(None, map(client_id_of, required_list(read_json(response), "clients"))):
        lists = as_objects(read_json((yield get(f"{audience.base_url}/clients/{client}/lists.json"))))
        if any(entry.get("ListID") == audience.audience for entry in lists):
            return client
    return ""


def read_suppression_list(
    audience: Audience, client: str, on_entries: Callable[[Sequence[dict[str, Any]]], bool], order_by: str = "email"
) -> Operation[None]:
    """Read the suppression list page by page. The API can filter it neither by person nor by date.

    Args:
        audience: a list of the client.
        client: the client's id.
        on_entries: receives the entries of a page. It returns False to end the read, which takes effect only if the
            response confirms the order.
        order_by: `email`, or `date` for the newest first.
    """
    url = f"{audience.base_url}/clients/{client}/suppressionlist.json"
    direction = "desc" if order_by == "date" else "asc"
    page = 1
    while page:
        query = {"page": str(page), "pagesize": PAGE_SIZE, "orderfield": order_by, "orderdirection": direction}
        content = read_json((yield get(url, **query)))
        actual = (as_text(content.get("ResultsOrderedBy")).lower(), as_text(content.get("OrderDirection")).lower())
        wants_more = on_entries(required_list(content["Results"], "Results"))
        if not wants_more and actual == (order_by, direction):
            return
        page = next_page(content, page)
