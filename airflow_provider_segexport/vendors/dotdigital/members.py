"""dotdigital: who is in an address book."""

from __future__ import annotations

from airflow_provider_segexport.address import same
from airflow_provider_segexport.contract import Tell
from airflow_provider_segexport.model import Member, Operation, Target
from airflow_provider_segexport.vendors.dotdigital.answers import read
from airflow_provider_segexport.vendors.replies import get

PAGE = "5000"  # the Contacts spec's largest; v3.4.3


def members(target: Target, tell: Tell) -> Operation[None]:
    """Pages are sought by marker: what is added or removed meanwhile moves nobody past the reader."""
    query = {"~listId": target.audience, "limit": PAGE}
    while True:
        found = read((yield get(f"{target.api}/contacts/v3", **query)))
        people = [one for one in found["_items"] if (one.get("identifiers") or {}).get("email")]
        tell([Member(same(str(one["identifiers"]["email"])), str(one["contactId"])) for one in people])
        marker = ((found.get("_links") or {}).get("next") or {}).get("marker")
        if not found["_items"] or not marker or marker == query.get("marker"):
            return
        query["marker"] = str(marker)
