"""Omnisend: tags are added and removed without touching the tags of others.

`POST` and `DELETE /contacts/tags` are additive (contacts OpenAPI 2026-03-15, read 2026-11): other tags stay. At most
250 addresses and 250 contact ids in one call are united, at 60 calls a minute. Exports select people by address alone,
because it is the key of segment and ledger. Accepted with 202 and done later; there is no job to read, and addresses
that the brand does not know are ignored.

No document says whether `tags` of an upsert are merged with a contact's tags or replace them. Only where an
experiment has proven `merge`, an upsert carries the tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.model import (
    Audience,
    Batch,
    BatchResult,
    Operation,
    Reason,
    Request,
    Response,
    RowRejection,
)
from airflow_provider_segexport.vendors.omnisend.responses import error_of, raise_for, versioned
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, send_json

TAGS_SCOPE = "tags"
"""Rate limit scope of `/contacts/tags`: 60 calls a minute, beside the limit of all calls."""

MAX_SELECTED = 250
"""Most addresses in one call."""

TAGS_FIELD = re.compile(r"tags\b")

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


def tag_accepted(audience: Audience, batch: Batch, result: BatchResult) -> Operation[BatchResult]:
    """Add the tag to the rows of a batch that the vendor has accepted, by address.

    A contact id in the result names the contact that had the address when the batch ended. By now, the address may be
    another contact's. If the vendor rejects a call, it is halved until the invalid address is alone.

    Args:
        audience: names the brand and the tag.
        batch: its items had no tag.
        result: contact ids, rejected rows and rows to retry.

    Returns:
        The result, with the rows whose tag was rejected.
    """
    left_out = {rejection.index for rejection in result.rejected} | set(result.retry)
    accepted = [index for index in range(len(batch)) if index not in left_out]
    rejected: dict[int, RowRejection] = {}
    parts = [accepted[start : start + MAX_SELECTED] for start in range(0, len(accepted), MAX_SELECTED)]
    while parts:
        part = parts.pop()
        body = {"emails": [batch.emails[index] for index in part], "tags": [audience.audience]}
        response = yield tags_request("POST", audience, body)
        if response.status in ACCEPTED:
            continue
        if response.status not in {400, 413} or is_about_the_tag(response):
            raise_for(response)
        if len(part) > 1:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
        else:
            kind, message = error_of(response)
            rejected[part[0]] = RowRejection(part[0], Reason.REJECTED_BY_VENDOR, kind, message)
    ids = {index: contact_id for index, contact_id in result.contact_ids.items() if index not in rejected}
    return replace(result, rejected=(*result.rejected, *rejected.values()), contact_ids=ids)


def is_about_the_tag(response: Response) -> bool:
    """Return whether all invalid fields of a rejected call are `tags`, so that a part of its people changes nothing."""
    fields = [as_text(error.get("field")) for error in as_objects(as_object(response.json()).get("errors"))]
    return bool(fields) and all(TAGS_FIELD.match(field) for field in fields)


def change_tags(method: str, audience: Audience, tags: Sequence[str], emails: Sequence[str]) -> Operation[None]:
    """Add or remove tags, in as many calls as are needed; each may be repeated.

    Args:
        method: `POST` adds, `DELETE` removes.
        audience: names the brand.
        tags: 1 to 100.
        emails: people by address.
    """
    for start in range(0, len(emails), MAX_SELECTED):
        body = {"emails": list(emails[start : start + MAX_SELECTED]), "tags": list(tags)}
        response = yield tags_request(method, audience, body)
        if response.status not in ACCEPTED:
            raise_for(response)


def tags_request(method: str, audience: Audience, body: Mapping[str, Any]) -> Request:
    """Return a call that adds (`POST`) or removes (`DELETE`, with a body) tags.

    Args:
        method: `POST` or `DELETE`.
        audience: names the brand.
        body: people and tags.
    """
    return versioned(send_json(method, f"{audience.base_url}/contacts/tags", body), TAGS_SCOPE)
