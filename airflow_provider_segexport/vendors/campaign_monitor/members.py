"""Campaign Monitor: reading the active subscribers of a list."""

from __future__ import annotations

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.campaign_monitor.responses import next_page, read_json
from airflow_provider_segexport.vendors.responses import as_text, get, required_list


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Read the active subscribers, 1000 a page. Pages are numbered, so nothing may be removed between two reads."""
    page = 1
    while page:
        url = f"{audience.base_url}/lists/{audience.audience}/active.json"
        content = read_json((yield get(url, page=str(page), pagesize="1000", orderfield="email", orderdirection="asc")))
        emails = [as_text(entry.get("EmailAddress")) for entry in required_list(content["Results"], "Results")]
        on_page([Member(canonical(email)) for email in emails if email])
        page = next_page(content, page)
