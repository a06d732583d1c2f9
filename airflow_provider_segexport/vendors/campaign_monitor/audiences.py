"""Campaign Monitor: lists the lists of an account, and creates a list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_segexport.errors import InvalidArgument, InvalidConnection
from airflow_provider_segexport.model import Audience, Operation
from airflow_provider_segexport.vendors.campaign_monitor.account import LIST_ID
from airflow_provider_segexport.vendors.campaign_monitor.responses import client_id_of, error_of, read_json
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import CANNOT_LIST_CLIENTS
from airflow_provider_segexport.vendors.directory import AudienceDirectory, AudienceEntry
from airflow_provider_segexport.vendors.responses import (
    as_int,
    as_object,
    as_text,
    get,
    required_id,
    required_list,
    send_json,
)

DUPLICATE_TITLE, NO_SUCH_LIST = 250, 101


def list_audiences(account: Audience, with_counts: bool) -> Operation[list[AudienceEntry]]:  # noqa: FBT001 - a callable's argument
    """Read the lists of the connection's client, or of all clients; with counts, each list's statistics too."""
    entries: list[AudienceEntry] = []
    client_ids = yield from _client_ids(account)
    for client_id in client_ids:
        lists = read_json((yield get(f"{account.base_url}/clients/{client_id}/lists.json")))
        entries += [
            AudienceEntry(required_id(item, "ListID", LIST_ID), as_text(item.get("Name")))
            for item in required_list(lists, "lists")
        ]
    if not with_counts:
        return entries
    counted: list[AudienceEntry] = []
    for entry in entries:
        response = yield get(f"{account.base_url}/lists/{entry.id}/stats.json")
        if response.status >= 400 and error_of(response)[0] == NO_SUCH_LIST:  # noqa: PLR2004 - deleted by now
            continue
        stats = as_object(read_json(response))
        counted.append(replace(entry, member_count=as_int(stats.get("TotalActiveSubscribers"))))
    return counted


def _client_ids(account: Audience) -> Operation[list[str]]:
    """Return the ids of the clients to list: the connection's client, or all clients that the login may list."""
    if account.extra.get("client_id"):
        return [account.extra["client_id"]]
    response = yield get(f"{account.base_url}/clients.json")
    if response.status in {401, 403} and error_of(response)[0] in CANNOT_LIST_CLIENTS:
        raise InvalidConnection(
            "The key belongs to one client of Campaign Monitor and may not list clients, so its lists cannot be listed "
            "without the client's id. To fix: enter 'Client id' in the connection (from the client's API settings), or "
            "give the list by its id."
        )
    clients = required_list(read_json(response), "clients")
    return [client_id for client in clients if (client_id := client_id_of(client))]


def create(account: Audience, name: str) -> Operation[str]:
    """Create a list without confirmed opt-in, whose unsubscribers leave all lists of the client, and return its id.

    With `AllClientLists`, the vendor's default, a person who has opted out of one list gets no mail of another.
    """
    client_id = account.extra.get("client_id")
    if not client_id:
        raise InvalidConnection(
            f"The account has several clients, so the client of the new list {name!r} is unclear. Nothing was created. "
            "To fix: enter 'Client id' in the connection."
        )
    body: dict[str, Any] = {
        "Title": name,
        "UnsubscribePage": "",
        "UnsubscribeSetting": "AllClientLists",
        "ConfirmedOptIn": False,
        "ConfirmationSuccessPage": "",
    }
    response = yield replace(send_json("POST", f"{account.base_url}/lists/{client_id}.json", body), repeatable=False)
    if response.status >= 400 and error_of(response)[0] == DUPLICATE_TITLE:  # noqa: PLR2004 - the body of a success is a text
        raise InvalidArgument(
            "Campaign Monitor already has a list with an equivalent name (error code 250). To fix: use that list's "
            "exact name, which `airflow segexport audiences` shows."
        )
    return required_id({"id": read_json(response, 200, 201)}, "id", LIST_ID)


DIRECTORY = AudienceDirectory(list_audiences=list_audiences, create=create)
