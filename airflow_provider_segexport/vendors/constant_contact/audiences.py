"""Constant Contact: lists the lists of an account, and creates a list."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.model import Audience, Operation
from airflow_provider_segexport.vendors.constant_contact.account import custom_fields, link_url
from airflow_provider_segexport.vendors.constant_contact.responses import read_json
from airflow_provider_segexport.vendors.directory import AudienceDirectory, AudienceEntry
from airflow_provider_segexport.vendors.responses import (
    GUID,
    as_int,
    as_object,
    as_text,
    get,
    required_id,
    required_list,
    send_json,
)

PAGE_SIZE = "500"
"""The specification (3.0.178) allows 500 in its text and 1,000 in its schema. An account has at most 1,000 lists."""
MAX_NAME_CHARS = 255
CONFLICT = 409


def list_audiences(account: Audience, with_counts: bool) -> Operation[list[AudienceEntry]]:  # noqa: FBT001 - a callable's argument
    """Read all pages of lists that are not deleted."""
    entries: list[AudienceEntry] = []
    query = {"include_membership_count": "active"} if with_counts else {}
    request = get(f"{account.base_url}/contact_lists", limit=PAGE_SIZE, **query)
    while True:
        page = as_object(read_json((yield request)))
        entries += [
            AudienceEntry(
                required_id(item, "list_id", GUID), as_text(item.get("name")), as_int(item.get("membership_count"))
            )
            for item in required_list(page.get("lists"), "lists")
            if not item.get("deleted_at")
        ]
        url = link_url(account.base_url, page, "next")
        if not url:
            return entries
        request = get(url)


def create(account: Audience, name: str) -> Operation[str]:
    """Create a list and return its id."""
    response = yield replace(
        send_json("POST", f"{account.base_url}/contact_lists", {"name": name, "favorite": False}), repeatable=False
    )
    if response.status == CONFLICT:
        raise InvalidArgument(
            "Constant Contact already has a list with an equivalent name (409). To fix: use that list's exact name, "
            "which `airflow segexport audiences` shows."
        )
    return required_id(read_json(response, 200, 201), "list_id", GUID)


def describe_new(account: Audience) -> Operation[Audience]:
    """Add the account's custom fields, which apply to every list."""
    fields = yield from custom_fields(account.base_url)
    return replace(account, fields=fields)


DIRECTORY = AudienceDirectory(
    list_audiences=list_audiences, create=create, describe_new=describe_new, max_name_chars=MAX_NAME_CHARS
)
