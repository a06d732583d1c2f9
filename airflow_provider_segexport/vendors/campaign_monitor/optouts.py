"""Campaign Monitor: who has opted out, of the list and of everything the client sends.

The list's unsubscribed and bounced people since a day, and the client's suppression list, where its client can be
known. Dates are the account's own, without a zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_segexport.address import same
from airflow_provider_segexport.contract import TellOptOuts
from airflow_provider_segexport.model import Operation, OptOut, Reason, Target
from airflow_provider_segexport.vendors.campaign_monitor.replies import next_page, read
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import PAGE, client_of, suppressed
from airflow_provider_segexport.vendors.moments import day_before
from airflow_provider_segexport.vendors.replies import answer_list, get, text

STATES = {"unsubscribed": Reason.UNSUBSCRIBED, "bounced": Reason.BOUNCED}


def optouts(target: Target, since: float, tell: TellOptOuts) -> Operation[None]:
    """Who is in one of these states since the day before; each person once, by the nearest reason."""
    day, told = day_before(since), set[str]()

    def tell_new(page: Sequence[dict[str, Any]], reason: Reason) -> None:
        found = {same(text(one.get("EmailAddress"))): text(one.get("Date")).replace(" ", "T") for one in page}
        tell([OptOut(email, reason, date) for email, date in found.items() if email and email not in told])
        told.update(found)

    for word, reason in STATES.items():
        page = 1
        while page:
            asked = {"date": day, "page": str(page), "pagesize": PAGE, "orderfield": "email", "orderdirection": "asc"}
            found = read((yield get(f"{target.api}/lists/{target.audience}/{word}.json", **asked)))
            tell_new(answer_list(found["Results"], "Results"), reason)
            page = next_page(found, page)

    def take(page: Sequence[dict[str, Any]]) -> bool:
        recent = [one for one in page if not text(one.get("Date")) or text(one["Date"]) >= day]
        tell_new(recent, Reason.SUPPRESSED)
        return len(recent) == len(page)

    client = yield from client_of(target)
    if client:
        yield from suppressed(target, client, take, order="date")
