"""dotdigital: reading the members of an address book."""

from __future__ import annotations

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.dotdigital.responses import read_json
from airflow_provider_segexport.vendors.responses import DIGITS, as_object, as_text, get, id_of, required_list

PAGE_SIZE = 5000  # maximum of the contacts specification, 3.4.3


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Read all pages. They are addressed by a marker, so additions and removals between reads skip no contact."""
    query = {"~listId": audience.audience, "limit": str(PAGE_SIZE)}
    while True:
        page = read_json((yield get(f"{audience.base_url}/contacts/v3", **query)))
        contacts = required_list(as_object(page).get("_items"), "_items")
        emails = [as_text(as_object(contact.get("identifiers")).get("email")) for contact in contacts]
        on_page(
            [
                Member(canonical(email), id_of(contact.get("contactId"), DIGITS))
                for email, contact in zip(emails, contacts, strict=True)
                if email
            ]
        )
        marker = as_text(as_object(as_object(page.get("_links")).get("next")).get("marker"))
        if not contacts or not marker or marker == query.get("marker"):
            return
        query["marker"] = marker
