"""Campaign Monitor: leavers out of a list, one person a call.

Endpoint pages of v3.3 and the official clients, read 2026-08. `DELETE` makes an active person Deleted in this list:
not unsubscribed, not suppressed, in the client's other lists as before. There is no call for several.
"""

from __future__ import annotations

from airflow_provider_segexport.contract import Limits, Removal
from airflow_provider_segexport.errors import BatchRefused
from airflow_provider_segexport.model import Batch, Operation, Reason, Refusal, Reply, Request, Settled, Target
from airflow_provider_segexport.vendors.campaign_monitor.replies import code_and_words, read, refuse
from airflow_provider_segexport.vendors.replies import get

NOT_IN_LIST = 203
ACTIVE, DELETED = "Active", "Deleted"

STATES = {
    "": Reason.NOT_THERE,
    DELETED: Reason.DELETED,
    "Unsubscribed": Reason.UNSUBSCRIBED,
    "Bounced": Reason.BOUNCED,
    "Unconfirmed": Reason.UNCONFIRMED,
}
"""Who is not active, and why there is nobody to take out."""


def remove(target: Target, batch: Batch) -> Operation[Reply]:
    """Delete who is active. Anybody else keeps their state: an opt-out that was deleted would be none any more."""
    refused = []
    for index, email in enumerate(batch.emails):
        found = yield from state(target, email)
        if found == ACTIVE:
            yield from delete(target, email)
        else:
            refused.append(inactive(index, found))
    return Settled(refused=tuple(refused))


def inactive(index: int, found: str) -> Refusal:
    """Why a person of that state is left alone."""
    code = "" if found else str(NOT_IN_LIST)
    return Refusal(index, STATES[found], code, f"The list holds this person as {found or 'nobody'}.")


def state(target: Target, email: str) -> Operation[str]:
    """How the list holds a person, in the vendor's word; nothing where it does not."""
    response = yield get(person(target), email=email, includetrackingpreference="false")
    if response.status == 400:  # noqa: PLR2004
        code, words = code_and_words(response)
        if code == NOT_IN_LIST:
            return ""
        raise BatchRefused(str(code), words)
    return str(read(response)["State"])


def delete(target: Target, email: str) -> Operation[None]:
    """Take one out who was active just now.

    203 says that it is done: a first try of this call whose answer was lost, or somebody else a moment before.
    """
    response = yield Request("DELETE", person(target), query={"email": email}, headers={"accept": "application/json"})
    if response.status in {200, 204}:
        return
    if response.status == 400:  # noqa: PLR2004
        code, words = code_and_words(response)
        if code == NOT_IN_LIST:
            return
        raise BatchRefused(str(code), words)
    refuse(response)


def person(target: Target) -> str:
    """Where one subscriber is read and deleted; the address goes into the query, which no log shows."""
    return f"{target.api}/subscribers/{target.audience}.json"


REMOVAL = Removal(
    remove=remove,
    # Two calls a person. No rate is published; 429 does occur (createsend-ruby#67), and four at a time is modest.
    limits=Limits(batch_rows=1, batch_bytes=1_000, connections=4, jobs=0, timeout_s=120),
)
