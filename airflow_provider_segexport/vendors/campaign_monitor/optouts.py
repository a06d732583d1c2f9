"""Campaign Monitor: who has opted out, of the list and of everything the client sends.

The list's unsubscribed and bounced people since a day, and the client's suppression list, where its client can be
known. Dates are the account's own, without a zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_segexport.email_address import same
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

STATES = {"unsubscribed": Reason.UNSUBSCRIBED, "bounced": Reason.BOUNCED}


def list_optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Who is in one of these states since the day before; each person once, by the nearest reason."""
    day, told = day_before(since), set[str]()

    def tell_new(page: Sequence[dict[str, Any]], reason: Reason) -> None:
        found = {same(as_text(one.get("EmailAddress"))): as_text(one.get("Date")).replace(" ", "T") for one in page}
        on_page([OptOut(email, reason, date) for email, date in found.items() if email and email not in told])
        told.update(found)

    for word, reason in STATES.items():
        page = 1
        while page:
            asked = {
                "date": day,
                "page": str(page),
                "pagesize": PAGE_SIZE,
                "orderfield": "email",
                "orderdirection": "asc",
            }
            found = read_json((yield get(f"{audience.base_url}/lists/{audience.audience}/{word}.json", **asked)))
            tell_new(required_list(found["Results"], "Results"), reason)
            page = next_page(found, page)

    def take(page: Sequence[dict[str, Any]]) -> bool:
        recent = [one for one in page if not as_text(one.get("Date")) or as_text(one["Date"]) >= day]
        tell_new(recent, Reason.SUPPRESSED)
        return len(recent) == len(page)

    client = yield from find_client(audience)
    if client:
        yield from read_suppression_list(audience, client, take, order="date")
