"""Campaign Monitor: how a list holds a person, and whom the client's suppression list holds.

Endpoint pages of v3.3 and the official clients, read 2026-08. A person has no id: it is an address within a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_segexport.errors import BatchRefused
from airflow_provider_segexport.model import Operation, Reason, Refusal, Target
from airflow_provider_segexport.vendors.campaign_monitor.replies import client_id, code_and_words, next_page, read
from airflow_provider_segexport.vendors.replies import answer_list, get, inner, items, text

PAGE = "1000"
NOT_IN_LIST = 203
MAY_NOT_LIST_CLIENTS = {60, 403}
ACTIVE, DELETED, NOBODY, UNKNOWN = "Active", "Deleted", "", "unknown"

STATES = {
    NOBODY: Reason.NOT_THERE,
    DELETED: Reason.DELETED,
    "Unsubscribed": Reason.UNSUBSCRIBED,
    "Bounced": Reason.BOUNCED,
    "Unconfirmed": Reason.UNCONFIRMED,
    "Suppressed": Reason.SUPPRESSED,
}
"""Who is not active, and why."""


def person(target: Target) -> str:
    """Where one subscriber is read and deleted; the address goes into the query, which no log shows."""
    return f"{target.api}/subscribers/{target.audience}.json"


def state(target: Target, email: str) -> Operation[str]:
    """How the list holds a person, in the vendor's word; nothing where it does not."""
    response = yield get(person(target), email=email, includetrackingpreference="false")
    if response.status == 400:  # noqa: PLR2004
        code, words = code_and_words(response)
        if code == NOT_IN_LIST:
            return NOBODY
        raise BatchRefused(str(code), words)
    return text(inner(read(response)).get("State")) or UNKNOWN


def inactive(index: int, found: str) -> Refusal:
    """Why a person of that state is left alone."""
    code = "" if found else str(NOT_IN_LIST)
    return Refusal(
        index, STATES.get(found, Reason.REFUSED_BY_VENDOR), code, f"The list holds this person as {found or 'nobody'}."
    )


def client_of(target: Target) -> Operation[str]:
    """The client that the list belongs to, which a list does not tell; nothing where the key may not look."""
    if target.facts.get("client"):
        return target.facts["client"]
    clients = yield get(f"{target.api}/clients.json")
    if clients.status in {401, 403} and code_and_words(clients)[0] in MAY_NOT_LIST_CLIENTS:
        return ""
    for client in filter(None, map(client_id, answer_list(read(clients), "clients"))):
        lists = items(read((yield get(f"{target.api}/clients/{client}/lists.json"))))
        if any(one.get("ListID") == target.audience for one in lists):
            return client
    return ""


def suppressed(
    target: Target, client: str, take: Callable[[Sequence[dict[str, Any]]], bool], order: str = "email"
) -> Operation[None]:
    """The suppression list's pages, as long as `take` wants more. It can be asked neither for a person nor a date."""
    url = f"{target.api}/clients/{client}/suppressionlist.json"
    direction = "desc" if order == "date" else "asc"
    page = 1
    while page:
        asked = {"page": str(page), "pagesize": PAGE, "orderfield": order, "orderdirection": direction}
        found = read((yield get(url, **asked)))
        said = (text(found.get("ResultsOrderedBy")).lower(), text(found.get("OrderDirection")).lower())
        if not take(answer_list(found["Results"], "Results")) and said == (order, direction):
            return
        page = next_page(found, page)
