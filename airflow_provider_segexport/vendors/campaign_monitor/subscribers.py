"""Campaign Monitor: how a list holds a person, and whom the client's suppression list holds.

Endpoint pages of v3.3 and the official clients, read 2026-08. A person has no id: it is an address within a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_segexport.errors import BatchRejected
from airflow_provider_segexport.model import Audience, Operation, Reason, RowRejection
from airflow_provider_segexport.vendors.campaign_monitor.responses import client_id_of, error_of, next_page, read_json
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get, required_list

PAGE_SIZE = "1000"
NOT_IN_LIST = 203
CANNOT_LIST_CLIENTS = {60, 403}
ACTIVE, DELETED, ABSENT, UNKNOWN = "Active", "Deleted", "", "unknown"

INACTIVE_REASONS = {
    ABSENT: Reason.NOT_IN_AUDIENCE,
    DELETED: Reason.DELETED,
    "Unsubscribed": Reason.UNSUBSCRIBED,
    "Bounced": Reason.BOUNCED,
    "Unconfirmed": Reason.PENDING_CONFIRMATION,
    "Suppressed": Reason.SUPPRESSED,
}
"""Who is not active, and why."""


def subscriber_url(audience: Audience) -> str:
    """Where one subscriber is read and deleted; the address goes into the query, which no log shows."""
    return f"{audience.base_url}/subscribers/{audience.audience}.json"


def read_state(audience: Audience, email: str) -> Operation[str]:
    """How the list holds a person, in the vendor's word; nothing where it does not."""
    response = yield get(subscriber_url(audience), email=email, includetrackingpreference="false")
    if response.status == 400:  # noqa: PLR2004
        code, words = error_of(response)
        if code == NOT_IN_LIST:
            return ABSENT
        raise BatchRejected(str(code), words)
    return as_text(as_object(read_json(response)).get("State")) or UNKNOWN


def why_inactive(index: int, found: str) -> RowRejection:
    """Why a person of that state is left alone."""
    code = "" if found else str(NOT_IN_LIST)
    return RowRejection(
        index,
        INACTIVE_REASONS.get(found, Reason.REJECTED_BY_VENDOR),
        code,
        f"The list holds this person as {found or 'nobody'}.",
    )


def find_client(audience: Audience) -> Operation[str]:
    """The client that the list belongs to, which a list does not tell; nothing where the key may not look."""
    if audience.extra.get("client_id"):
        return audience.extra["client_id"]
    clients = yield get(f"{audience.base_url}/clients.json")
    if clients.status in {401, 403} and error_of(clients)[0] in CANNOT_LIST_CLIENTS:
        return ""
    for client in filter(None, map(client_id_of, required_list(read_json(clients), "clients"))):
        lists = as_objects(read_json((yield get(f"{audience.base_url}/clients/{client}/lists.json"))))
        if any(one.get("ListID") == audience.audience for one in lists):
            return client
    return ""


def read_suppression_list(
    audience: Audience, client: str, take: Callable[[Sequence[dict[str, Any]]], bool], order: str = "email"
) -> Operation[None]:
    """The suppression list's pages, as long as `take` wants more. It can be asked neither for a person nor a date."""
    url = f"{audience.base_url}/clients/{client}/suppressionlist.json"
    direction = "desc" if order == "date" else "asc"
    page = 1
    while page:
        asked = {"page": str(page), "pagesize": PAGE_SIZE, "orderfield": order, "orderdirection": direction}
        found = read_json((yield get(url, **asked)))
        said = (as_text(found.get("ResultsOrderedBy")).lower(), as_text(found.get("OrderDirection")).lower())
        if not take(required_list(found["Results"], "Results")) and said == (order, direction):
            return
        page = next_page(found, page)
