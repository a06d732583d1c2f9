"""Campaign Monitor: reads the active subscribers of a list."""

from __future__ import annotations

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.campaign_monitor.responses import next_page, read_json
from airflow_provider_segexport.vendors.member_pages import read_parts
from airflow_provider_segexport.vendors.responses import as_text, get, required_list

PAGE_SIZE = 1000  # maximum


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Read the active subscribers. Pages are numbered, so a removal between two reads would skip people."""
    return read_parts(read_members, audience, on_page)


def read_members(audience: Audience, marker: str, on_page: OnPage) -> Operation[str]:
    """Read one page; return the number of the next page, or an empty string after the last.

    Args:
        audience: the audience.
        marker: number of the page; empty for the first page.
        on_page: receives the members on the page.
    """
    page = int(marker or 1)
    url = f"{audience.base_url}/lists/{audience.audience}/active.json"
    query = {"page": str(page), "pagesize": str(PAGE_SIZE), "orderfield": "email", "orderdirection": "asc"}
    content = read_json((yield get(url, **query)))
    emails = [as_text(entry.get("EmailAddress")) for entry in required_list(content["Results"], "Results")]
    on_page([Member(canonical(email)) for email in emails if email])
    return str(next_page(content, page) or "")
