"""Campaign Monitor: reads the opt-outs of a list and of its client.

Opt-outs are the unsubscribed and bounced people of the list, and the client's suppression list if the client is known.
Dates are in the account's time zone, which responses do not name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.campaign_monitor.responses import next_page, read_json
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import (
    PAGE_SIZE,
    find_client,
    read_suppression_list,
)
from airflow_provider_segexport.vendors.responses import as_text, get, required_list
from airflow_provider_segexport.vendors.timestamps import day_before

SUPPRESSED = "suppressed"
"""The part of a page's marker that means the client's suppression list."""
STATES = {"unsubscribed": Reason.UNSUBSCRIBED, "bounced": Reason.BOUNCED}


def list_optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Read each person once. The reason in the list takes precedence over the suppression list.

    Args:
        audience: the audience.
        since: time in epoch seconds; 0 for all opt-outs.
        on_page: receives the opt-outs on each page.
    """
    day, seen = day_before(since), set[str]()

    def pass_on(entries: Sequence[dict[str, Any]], reason: Reason) -> None:
        dates = {canonical(as_text(entry.get("EmailAddress"))): as_text(entry.get("Date")) for entry in entries}
        new = [email for email in dates if email and email not in seen]
        on_page([OptOut(email, reason, dates[email].replace(" ", "T")) for email in new])
        seen.update(dates)

    for state, reason in STATES.items():
        page = 1
        while page:
            query = {
                "date": day,
                "page": str(page),
                "pagesize": PAGE_SIZE,
                "orderfield": "email",
                "orderdirection": "asc",
            }
            content = read_json((yield get(f"{audience.base_url}/lists/{audience.audience}/{state}.json", **query)))
            pass_on(required_list(content["Results"], "Results"), reason)
            page = next_page(content, page)

    def on_suppressed(entries: Sequence[dict[str, Any]]) -> bool:
        recent = [entry for entry in entries if not as_text(entry.get("Date")) or as_text(entry["Date"]) >= day]
        pass_on(recent, Reason.SUPPRESSED)
        return len(recent) == len(entries)

    client = yield from find_client(audience)
    if client:
        yield from read_suppression_list(audience, client, on_suppressed, order_by="date")


def read_optouts(audience: Audience, marker: str, on_page: OnOptOutPage) -> Operation[str]:
    """Read one page of all opt-outs, first the list's states, then the suppression list; return the next marker.

    Args:
        audience: the audience.
        marker: state and number of the page; empty for the first page.
        on_page: receives the opt-outs on the page; a person may be on several pages.
    """
    kind, _, number = (marker or f"{next(iter(STATES))}:1").partition(":")
    page = int(number)
    query = {"page": str(page), "pagesize": PAGE_SIZE, "orderfield": "email", "orderdirection": "asc"}
    url = f"{audience.base_url}/lists/{audience.audience}/{kind}.json"
    if kind == SUPPRESSED:
        client = yield from find_client(audience)
        if not client:
            return ""
        url = f"{audience.base_url}/clients/{client}/suppressionlist.json"
    else:
        query["date"] = day_before(0.0)
    content = read_json((yield get(url, **query)))
    entries = required_list(content["Results"], "Results")
    reason = STATES.get(kind, Reason.SUPPRESSED)
    optouts = [
        OptOut(canonical(as_text(row.get("EmailAddress"))), reason, as_text(row.get("Date")).replace(" ", "T"))
        for row in entries
    ]
    on_page([optout for optout in optouts if optout.email])
    if following := next_page(content, page):
        return f"{kind}:{following}"
    kinds = [*STATES, SUPPRESSED, ""]
    after = kinds[kinds.index(kind) + 1]
    return f"{after}:1" if after else ""
