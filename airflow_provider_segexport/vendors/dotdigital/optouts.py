"""dotdigital: reading opt-outs of the account and of one address book.

Both reads are API v2's, and neither is deprecated (contacts and lists specifications v2, read 2026-08).
"""

from __future__ import annotations

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import UnexpectedResponse
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.dotdigital.responses import read_json
from airflow_provider_segexport.vendors.responses import as_object, as_text, get, required_list
from airflow_provider_segexport.vendors.timestamps import day_before, is_since_or_unknown

PAGE_SIZE = 1000  # maximum of the specification
MAX_PAGES = 10_000
"""Pages of one read: 10 million people."""


def list_optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Read each person once: with the account's reason, or otherwise as having left the address book.

    Args:
        audience: the audience.
        since: time in epoch seconds; 0 for all opt-outs.
        on_page: receives the opt-outs on each page.
    """
    day, seen = day_before(since), set[str]()
    account_url = f"{audience.base_url}/v2/contacts/suppressed-since/{day}"
    book_url = f"{audience.base_url}/v2/address-books/{audience.audience}/contacts/unsubscribed-since/{day}"
    for url in (account_url, book_url):
        for page in range(MAX_PAGES):
            query = {"select": str(PAGE_SIZE), "skip": str(page * PAGE_SIZE)}
            entries = required_list(read_json((yield get(url, **query))), "contacts")
            if not entries:
                break
            optouts: dict[str, OptOut] = {}
            for entry in entries:
                contact, date = as_object(entry.get("suppressedContact")), as_text(entry.get("dateRemoved"))
                email = canonical(as_text(contact.get("email")))
                if email and email not in seen and is_since_or_unknown(date, since):
                    status = f"{as_text(entry.get('reason'))} {as_text(contact.get('status'))}"
                    optouts[email] = OptOut(email, Reason.LEFT_AUDIENCE if url == book_url else reason_of(status), date)
            on_page(list(optouts.values()))
            seen.update(optouts)
        else:
            raise UnexpectedResponse(
                f"{url} has more pages after {counted(MAX_PAGES * PAGE_SIZE, 'person')}. To fix: report it to "
                "dotdigital's support."
            )


def reason_of(status: str) -> Reason:
    """Map a status, of an open set: `Unsubscribed`, `HardBounced`, `IspComplained`, `Suppressed` and others."""
    status = status.lower()
    if "bounce" in status:
        return Reason.BOUNCED
    return Reason.UNSUBSCRIBED if "unsubscribed" in status else Reason.SUPPRESSED
