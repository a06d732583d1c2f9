"""dotdigital: who is in an address book."""

from __future__ import annotations

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.dotdigital.responses import read
from airflow_provider_segexport.vendors.responses import DIGITS, answer_list, get, id_of, inner, text

PAGE = "5000"  # the Contacts spec's largest; v3.4.3


def members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Pages are sought by marker: what is added or removed meanwhile moves nobody past the reader."""
    query = {"~listId": audience.audience, "limit": PAGE}
    while True:
        found = read((yield get(f"{audience.base_url}/contacts/v3", **query)))
        contacts = answer_list(inner(found).get("_items"), "_items")
        people = [(text(inner(one.get("identifiers")).get("email")), one) for one in contacts]
        on_page([Member(same(email), id_of(one.get("contactId"), DIGITS)) for email, one in people if email])
        marker = text(inner(inner(found.get("_links")).get("next")).get("marker"))
        if not contacts or not marker or marker == query.get("marker"):
            return
        query["marker"] = marker
