"""Campaign Monitor: who is in a list."""

from __future__ import annotations

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.campaign_monitor.responses import next_page, read_json
from airflow_provider_segexport.vendors.responses import as_text, get, required_list


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Who is active in the list, 1000 a page. Pages are counted by offset: nothing may be removed meanwhile."""
    page = 1
    while page:
        url = f"{audience.base_url}/lists/{audience.audience}/active.json"
        found = read_json((yield get(url, page=str(page), pagesize="1000", orderfield="email", orderdirection="asc")))
        emails = [as_text(one.get("EmailAddress")) for one in required_list(found["Results"], "Results")]
        on_page([Member(same(email)) for email in emails if email])
        page = next_page(found, page)
