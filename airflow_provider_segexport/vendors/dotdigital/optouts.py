"""dotdigital: who has opted out, of the account and of one address book.

Contacts and lists specifications v2, read 2026-08: both reads are v2's, and neither is deprecated.
"""

from __future__ import annotations

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.errors import UnexpectedResponse
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.dotdigital.responses import read_json
from airflow_provider_segexport.vendors.responses import as_object, as_text, get, required_list
from airflow_provider_segexport.vendors.timestamps import day_before, is_since_or_unknown

PAGE_SIZE = 1000  # the most of a page
MAX_PAGES = 10_000


def list_optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Each person once: with what the account holds of them, or else as having left the address book."""
    day, told = day_before(since), set[str]()
    account = f"{audience.base_url}/v2/contacts/suppressed-since/{day}"
    book = f"{audience.base_url}/v2/address-books/{audience.audience}/contacts/unsubscribed-since/{day}"
    for url in (account, book):
        for page in range(MAX_PAGES):
            found = required_list(
                read_json((yield get(url, select=str(PAGE_SIZE), skip=str(page * PAGE_SIZE)))), "contacts"
            )
            if not found:
                break
            people: dict[str, OptOut] = {}
            for one in found:
                contact, date = as_object(one.get("suppressedContact")), as_text(one.get("dateRemoved"))
                email = same(as_text(contact.get("email")))
                if email and email not in told and is_since_or_unknown(date, since):
                    words = f"{as_text(one.get('reason'))} {as_text(contact.get('status'))}"
                    reason = Reason.LEFT_AUDIENCE if url == book else reason_of(words)
                    people[email] = OptOut(email, reason, date)
            on_page(list(people.values()))
            told.update(people)
        else:
            raise UnexpectedResponse(f"{url} goes on after {counted(MAX_PAGES * PAGE_SIZE, 'person')}.")


def reason_of(words: str) -> Reason:
    """The vendor's word for a state, of an open set: `Unsubscribed`, `HardBounced`, `IspComplained`, `Suppressed`.."""
    words = words.lower()
    if "bounce" in words:
        return Reason.BOUNCED
    return Reason.UNSUBSCRIBED if "unsubscribed" in words else Reason.SUPPRESSED
