"""dotdigital: who has opted out, of the account and of one address book.

Contacts and lists specifications v2, read 2026-08: both reads are v2's, and neither is deprecated.
"""

from __future__ import annotations

from airflow_provider_segexport.address import same
from airflow_provider_segexport.contract import TellOptOuts
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import ReplyNotUnderstood
from airflow_provider_segexport.model import Operation, OptOut, Reason, Target
from airflow_provider_segexport.vendors.dotdigital.answers import read
from airflow_provider_segexport.vendors.moments import day_before, since_or_untold
from airflow_provider_segexport.vendors.replies import answer_list, get, inner, text

SELECT = 1000  # the most of a page
MOST_PAGES = 10_000


def optouts(target: Target, since: float, tell: TellOptOuts) -> Operation[None]:
    """Each person once: with what the account holds of them, or else as having left the address book."""
    day, told = day_before(since), set[str]()
    account = f"{target.api}/v2/contacts/suppressed-since/{day}"
    book = f"{target.api}/v2/address-books/{target.audience}/contacts/unsubscribed-since/{day}"
    for url in (account, book):
        for page in range(MOST_PAGES):
            found = answer_list(read((yield get(url, select=str(SELECT), skip=str(page * SELECT)))), "contacts")
            if not found:
                break
            people: dict[str, OptOut] = {}
            for one in found:
                contact, date = inner(one.get("suppressedContact")), text(one.get("dateRemoved"))
                email = same(text(contact.get("email")))
                if email and email not in told and since_or_untold(date, since):
                    words = f"{text(one.get('reason'))} {text(contact.get('status'))}"
                    reason = Reason.LEFT_AUDIENCE if url == book else why(words)
                    people[email] = OptOut(email, reason, date)
            tell(list(people.values()))
            told.update(people)
        else:
            raise ReplyNotUnderstood(f"{url} goes on after {counted(MOST_PAGES * SELECT, 'person')}.")


def why(words: str) -> Reason:
    """The vendor's word for a state, of an open set: `Unsubscribed`, `HardBounced`, `IspComplained`, `Suppressed`.."""
    words = words.lower()
    if "bounce" in words:
        return Reason.BOUNCED
    return Reason.UNSUBSCRIBED if "unsubscribed" in words else Reason.SUPPRESSED
