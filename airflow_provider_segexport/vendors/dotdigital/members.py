"""dotdigital: who is in an address book."""

from __future__ import annotations

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.dotdigital.responses import read_json
from airflow_provider_segexport.vendors.responses import DIGITS, as_object, as_text, get, id_of, required_list

PAGE_SIZE = "5000"  # the Contacts spec's largest; v3.4.3


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Pages are sought by marker: what is added or removed meanwhile moves nobody past the reader."""
    query = {"~listId": audience.audience, "limit": PAGE_SIZE}
    while True:
        found = read_json((yield get(f"{audience.base_url}/contacts/v3", **query)))
        contacts = required_list(as_object(found).get("_items"), "_items")
        people = [(as_text(as_object(one.get("identifiers")).get("email")), one) for one in contacts]
        on_page([Member(same(email), id_of(one.get("contactId"), DIGITS)) for email, one in people if email])
        marker = as_text(as_object(as_object(found.get("_links")).get("next")).get("marker"))
        if not contacts or not marker or marker == query.get("marker"):
            return
        query["marker"] = marker
