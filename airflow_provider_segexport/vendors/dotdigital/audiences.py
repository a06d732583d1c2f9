"""dotdigital: lists the address books of an account, and creates an address book."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.model import Audience, Operation
from airflow_provider_segexport.vendors.directory import AudienceDirectory, AudienceEntry
from airflow_provider_segexport.vendors.dotdigital.account import read_data_fields
from airflow_provider_segexport.vendors.dotdigital.responses import error_of, read_json
from airflow_provider_segexport.vendors.responses import (
    DIGITS,
    as_int,
    as_text,
    get,
    required_id,
    required_list,
    send_json,
)

PAGE_SIZE = 1000
MAX_NAME_CHARS = 128
"""Maximums of the address books specification (v2, read 2026-08)."""


def list_audiences(account: Audience, with_counts: bool) -> Operation[list[AudienceEntry]]:  # noqa: FBT001 - a callable's argument
    """Read all pages of address books, which always have counts. Stop at a page without new books."""
    del with_counts
    entries: dict[str, AudienceEntry] = {}
    skip = 0
    while True:
        url = f"{account.base_url}/v2/address-books"
        page = required_list(read_json((yield get(url, select=str(PAGE_SIZE), skip=str(skip)))), "address books")
        page_entries = {
            book_id: AudienceEntry(book_id, as_text(book.get("name")), as_int(book.get("contacts")))
            for book in page
            if (book_id := required_id(book, "id", DIGITS))
        }
        if page_entries.keys() <= entries.keys():
            return list(entries.values())
        entries |= page_entries
        skip += len(page)


def create(account: Audience, name: str) -> Operation[str]:
    """Create a private address book and return its id."""
    body = {"name": name, "visibility": "Private"}
    response = yield replace(send_json("POST", f"{account.base_url}/v2/address-books", body), repeatable=False)
    if error_of(response)[0] == "ERROR_ADDRESSBOOK_DUPLICATE":
        raise InvalidArgument(
            "dotdigital already has an address book with an equivalent name (ERROR_ADDRESSBOOK_DUPLICATE). To fix: "
            "use that book's exact name, which `airflow segexport audiences` shows."
        )
    return required_id(read_json(response, 200, 201), "id", DIGITS)


def describe_new(account: Audience) -> Operation[Audience]:
    """Add the account's data fields, which apply to every address book."""
    fields, unsupported = yield from read_data_fields(account.base_url)
    return replace(account, fields=fields, unsupported=unsupported)


DIRECTORY = AudienceDirectory(
    list_audiences=list_audiences, create=create, describe_new=describe_new, max_name_chars=MAX_NAME_CHARS
)
