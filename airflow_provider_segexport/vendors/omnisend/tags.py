"""Omnisend: tags are added and removed without touching the tags of others.

`POST` and `DELETE /contacts/tags` are additive (contacts OpenAPI 2026-03-15, read 2026-11): other tags stay. At most
250 addresses and 250 contact ids in one call are united, at 60 calls a minute. Accepted with 202 and done later; there
is no job to read, and addresses and ids that the brand does not know are ignored.

No document says whether `tags` of an upsert are merged with a contact's tags or replace them. Only where an
experiment has proven `merge`, an upsert carries the tag.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.model import Audience, Batch, BatchResult, Operation, Request
from airflow_provider_segexport.vendors.omnisend.responses import raise_for, versioned
from airflow_provider_segexport.vendors.responses import send_json

TAGS_SCOPE = "tags"
"""Rate limit scope of `/contacts/tags`: 60 calls a minute, beside the limit of all calls."""

MAX_SELECTED = 250
"""Most addresses, and most contact ids, in one call."""

ACCEPTED = frozenset({200, 202, 204})

FACT = "tags_on_upsert"
MERGE, REPLACE = "merge", "replace"


def merges(audience: Audience) -> bool:
    """Tell whether upserts may carry the tag, because it is proven that the contact's other tags stay."""
    return audience.extra.get(FACT) == MERGE


def extra_calls(audience: Audience) -> Mapping[str, int]:
    """Return the calls that a batch takes beside its own: its items are read, and its people get the tag."""
    return {} if merges(audience) else {"": 1, TAGS_SCOPE: 1}


def tags_of_item(audience: Audience) -> str:
    """Return the member `tags` of a planned item with the comma before it; no other text in an item is the same.

    A tag has no character that JSON escapes, and quotes in values are escaped.
    """
    return f',"tags":["{audience.audience}"]'


def without_tags(audience: Audience, request: Request) -> Request:
    """Return an upsert whose items have no member `tags`, which leaves all tags of a contact alone."""
    body = request.body or b""
    return replace(request, body=body.replace(tags_of_item(audience).encode(), b""))


def items_as_sent(audience: Audience, batch: Batch) -> Iterator[str]:
    """Return a batch's items in the form in which `upsert` sends them."""
    cut = "" if merges(audience) else tags_of_item(audience)
    return (item.replace(cut, "") if cut else item for item in batch.items)


def tag_accepted(audience: Audience, batch: Batch, result: BatchResult) -> Operation[None]:
    """Add the tag to the rows of a batch that the vendor has accepted.

    Args:
        audience: names the brand and the tag.
        batch: its items had no tag.
        result: contact ids, rejected rows and rows to retry.
    """
    left_out = {rejection.index for rejection in result.rejected} | set(result.retry)
    accepted = [index for index in range(len(batch)) if index not in left_out]
    emails = [batch.emails[index] for index in accepted if index not in result.contact_ids]
    ids = [result.contact_ids[index] for index in accepted if index in result.contact_ids]
    yield from change_tags("POST", audience, [audience.audience], emails, ids)


def change_tags(
    method: str, audience: Audience, tags: Sequence[str], emails: Sequence[str], ids: Sequence[str] = ()
) -> Operation[None]:
    """Add or remove tags, in as many calls as are needed; each may be repeated.

    Args:
        method: `POST` adds, `DELETE` removes.
        audience: names the brand.
        tags: 1 to 100.
        emails: people by address.
        ids: people by contact id.
    """
    for body in request_bodies(tags, emails, ids):
        response = yield tags_request(method, audience, body)
        if response.status not in ACCEPTED:
            raise_for(response)


def request_bodies(tags: Sequence[str], emails: Sequence[str], ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Return the bodies of as few calls as select these people, each of them by address or by contact id.

    Args:
        tags: to add or to remove.
        emails: people selected by address.
        ids: people selected by contact id.
    """
    for start in range(0, max(len(emails), len(ids)), MAX_SELECTED):
        selected = {"emails": emails[start : start + MAX_SELECTED], "contactIDs": ids[start : start + MAX_SELECTED]}
        yield {**{name: list(people) for name, people in selected.items() if people}, "tags": list(tags)}


def tags_request(method: str, audience: Audience, body: Mapping[str, Any]) -> Request:
    """Return a call that adds (`POST`) or removes (`DELETE`, with a body) tags.

    Args:
        method: `POST` or `DELETE`.
        audience: names the brand.
        body: from `request_bodies`.
    """
    return versioned(send_json(method, f"{audience.base_url}/contacts/tags", body), TAGS_SCOPE)
