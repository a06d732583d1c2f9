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
from airflow_provider_segexport.vendors.campaign_monitor.responses import next_page, read
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import PAGE, client_of, suppressed
from airflow_provider_segexport.vendors.responses import answer_list, get, text
from airflow_provider_segexport.vendors.timestamps import day_before

STATES = {"unsubscribed": Reason.UNSUBSCRIBED, "bounced": Reason.BOUNCED}


def optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Who is in one of these states since the day before; each person once, by the nearest reason."""
    day, told = day_before(since), set[str]()

    def tell_new(page: Sequence[dict[str, Any]], reason: Reason) -> None:
        found = {same(text(one.get("EmailAddress"))): text(one.get("Date")).replace(" ", "T") for one in page}
        on_page([OptOut(email, reason, date) for email, date in found.items() if email and email not in told])
        told.update(found)

    for word, reason in STATES.items():
        page = 1
        while page:
            asked = {"date": day, "page": str(page), "pagesize": PAGE, "orderfield": "email", "orderdirection": "asc"}
            found = read((yield get(f"{audience.base_url}/lists/{audience.audience}/{word}.json", **asked)))
            tell_new(answer_list(found["Results"], "Results"), reason)
            page = next_page(found, page)

    def take(page: Sequence[dict[str, Any]]) -> bool:
        recent = [one for one in page if not text(one.get("Date")) or text(one["Date"]) >= day]
        tell_new(recent, Reason.SUPPRESSED)
        return len(recent) == len(page)

    client = yield from client_of(audience)
    if client:
        yield from suppressed(audience, client, take, order="date")
